"""What is done around the statements of a run: when it is the cause, and when it is nobody's business."""

import pytest

from alembic_rescue import findings
from alembic_rescue.evidence.causes import Upgrade, causes
from alembic_rescue.evidence.handling import NOTHING, Handling, unrecorded
from alembic_rescue.evidence.model import RevisionEvidence, Verdict
from alembic_rescue.evidence.observation import At, Ended, Failure, Observation, Statement, StatementKind, Unobserved
from alembic_rescue.evidence.recommending import recommend

ENV, LINE = "/p/env.py", At("/p/env.py", 7)
COMMIT = Ended("r2", At("/p/r2.py", 12), "commit()")
ROLLBACK = Ended("r2", At("/p/r2.py", 12), "rollback()")
STEPS = [Observation("r1"), Observation("r2")]
NOTHING_THERE = [RevisionEvidence(step.revision, Verdict.NOT_APPLIED, ()) for step in STEPS]
FAILURE = Failure("boom", "/p/r2.py", 9)


def told(done=NOTHING, *, failed=None, **more):
    failure = FAILURE if failed else None
    return causes(Upgrade(failed=failed, failure=failure, handling=done, **more), STEPS)


def only(done, **more):
    (cause,) = told(done, **more)
    return cause


def test_a_run_whose_rows_are_missing_afterwards_was_never_committed():
    cause = only(Handling(lost=True, begun=LINE, expected=("r2",), env=ENV))
    assert (cause.code, cause.place, cause.revision) == ("env-never-commits", "/p/env.py:7", "r1")
    assert "begins a transaction before context.configure() and never commits it" in cause.error
    assert "finds no row in the version table, not r2" in cause.error
    assert "connection.commit()" in cause.fix


def test_a_transaction_that_begins_after_configure_has_its_own_fix():
    cause = only(Handling(lost=True, begun=LINE, begun_late=True, expected=("r2",), env=ENV))
    assert "begins a transaction after context.configure() and never commits it" in cause.error
    assert cause.fix == "commit it, or use `with context.begin_transaction():` instead"
    block = Ended("r2", At("/p/r2.py", 10), "autocommit_block()")
    cause = only(Handling(unblocked=block, begun=LINE, begun_late=True), failed="r2")
    assert "before context.configure()" not in f"{cause.error} {cause.fix}"


def test_env_py_is_named_even_without_its_line():
    cause = only(Handling(lost=True, expected=("r2",), found=("r1",), env=ENV))
    assert (cause.place, cause.code) == (ENV, "env-never-commits")
    assert "finds r1 in the version table, not r2" in cause.error


def test_a_transaction_that_env_py_begins_and_commits_is_not_named():
    assert told(Handling(begun=LINE)) == ()


@pytest.mark.parametrize(("ended", "loses"), [(COMMIT, "what ran before it is kept"), (ROLLBACK, "is lost")])
def test_the_code_that_ends_alembics_transaction_is_named_and_not_env_py(ended, loses):
    cause = only(Handling(lost=True, ended=(ended,), expected=("r2",), found=("r1",)))
    assert (cause.code, cause.place, cause.revision) == ("ends-transaction", "/p/r2.py:12", "r2")
    assert loses in cause.error


def test_a_commit_after_which_everything_stays_is_no_cause():
    assert told(Handling(ended=(COMMIT,))) == ()
    assert told(Handling(ended=(Ended("r2", COMMIT.at, "COMMIT"),))) == ()


def test_a_rollback_is_a_cause_even_if_the_version_advances():
    assert only(Handling(ended=(Ended("r2", COMMIT.at, "ROLLBACK"),))).code == "ends-transaction"


def test_a_commit_before_a_failure_explains_what_stayed():
    assert only(Handling(ended=(COMMIT,)), failed="r2").code == "ends-transaction"


def test_for_a_block_that_cannot_commit_the_code_that_began_is_named():
    block = Ended("r2", At("/p/r2.py", 10), "autocommit_block()")
    cause = only(Handling(unblocked=block, begun=LINE), failed="r2")
    assert (cause.code, cause.place, cause.revision) == ("autocommit-block-fails", "/p/env.py:7", "r2")
    assert "line 10 of r2" in cause.error
    assert only(Handling(unblocked=block), failed="r2").place == "/p/r2.py:10"


def test_an_env_that_hides_errors_is_named_next_to_what_fails():
    sent = Statement("SELECT 1/0", StatementKind.QUERY, "/p/r2.py", 9, "division by zero")
    failure = Failure("division by zero", "/p/r2.py", 9, "SELECT 1/0")
    upgrade = Upgrade((("r2", sent),), "r2", failure, handling=Handling(hides=LINE))
    found = causes(upgrade, STEPS)
    assert {cause.code for cause in found} == {"", "env-hides-errors"}
    reason = recommend(NOTHING_THERE, found).reason
    assert "/p/r2.py:9 must fail (division by zero), and /p/env.py:7 hides it" in reason
    assert "let env.py raise" in reason


def test_an_env_that_would_hide_errors_is_named_though_nothing_fails_on_the_copy():
    found = told(Handling(hides=LINE))
    assert "/p/env.py:7 hides the errors of migrations" in recommend(NOTHING_THERE, found).reason
    (note,) = findings.causes(found)
    assert note.code == "env-hides-errors"


def test_each_of_them_replaces_the_advice_to_fix_what_failed():
    for done in (Handling(lost=True, begun=LINE), Handling(ended=(ROLLBACK,)), Handling(hides=LINE)):
        found = told(done)
        reason = recommend(NOTHING_THERE, found).reason
        assert found[0].place in reason
        assert "Fix what failed" not in reason
        assert findings.causes(found)[0].message.startswith(f"{found[0].place} ")
    assert "Fix what failed" in recommend(NOTHING_THERE, ()).reason


# --- what would be hidden ------------------------------------------------------------------------------------------

INSERT = Statement("INSERT INTO t VALUES (1)", StatementKind.DATA, "/p/r2.py", 10, None, 11)


def with_kind(sql, kind=StatementKind.CATALOG):
    return (("r2", Statement(sql, kind, "/p/r2.py", 10, None, 11)),)


def test_an_insert_whose_failure_would_be_hidden_is_named_if_nothing_else_is():
    (cause,) = told(unheard=(("r2", INSERT),))
    assert (cause.code, cause.place, cause.handler_line) == ("would-be-hidden", "/p/r2.py:10", 11)
    assert "begin_nested" in cause.fix
    assert [c.code for c in told(Handling(hides=LINE), unheard=(("r2", INSERT),))] == ["env-hides-errors"]
    assert told(unheard=(("r2", INSERT),), transactional=False) == ()


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("CREATE TABLE t (a integer NOT NULL)", False),
        ("DROP TABLE t", False),
        ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", True),
        ("ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)", True),
        ("CREATE UNIQUE INDEX u ON t (a)", True),
        ("CREATE INDEX u ON t (a)", False),
    ],
)
def test_of_catalog_changes_only_those_that_rows_can_prevent(sql, named):
    assert bool(told(unheard=with_kind(sql))) is named


# --- a revision that exists, but not in the version table ----------------------------------------------------------


def test_a_revision_that_commits_explains_its_missing_row():
    (cause,) = unrecorded([Observation("r1"), Observation("r2", ends=(COMMIT,))])
    assert (cause.code, cause.place) == ("ends-transaction", "/p/r2.py:12")


@pytest.mark.parametrize(
    "ran",
    [
        [],
        [Observation("r2", ends=(COMMIT,)), Observation("r3")],
        [Unobserved("r2", "no")],
        [Observation("r2", ends=(ROLLBACK,))],
    ],
)
def test_no_other_revision_does(ran):
    assert unrecorded(ran) == ()
