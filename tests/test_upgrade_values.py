"""The words of an upgrade, its errors and its settings, without a database."""

from __future__ import annotations

import pytest

from alembic_rescue import errors, unkept, waiting
from alembic_rescue.cli.upgrading_log import UpgradeLog
from alembic_rescue.dialects import of as dialect_of
from alembic_rescue.dialects.postgresql import guarding
from alembic_rescue.evidence.model import ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Action, Blocker, Choice, DatabaseReport, Note, Recommendation, Revision
from alembic_rescue.report import upgraded
from alembic_rescue.upgrading import Again, Waiting
from alembic_rescue.worker.requests import Progress, Ran, Swallowed

BLOCKER = Blocker(
    pid=7, application="psql", role="ann", client="local", state="idle in transaction", age_seconds=61.4,
    query="SELECT 1", locks=(), awaits=(), blocks=(), end_command="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "error", "status"),
    [
        ("migration-failed", errors.MigrationFailed("r1", "r1.py:3", "no", "SELECT 1"), 3),
        ("upgrade-not-kept", errors.UpgradeNotKept(["shop is at r1"], ["r2"]), 3),
        ("upgrade-not-read", errors.UpgradeNotRead(["r2"], "gone"), 5),
        ("upgrade-not-proved", errors.UpgradeNotProved("shop", "t1 is missing", "look"), 5),
        ("upgrade-wait-timeout", errors.UpgradeWaitTimedOut(600.0, "another one"), 4),
        ("rehearsal-failed", errors.RehearsalFailed("r1 fails"), 3),
        ("lock-url-elsewhere", errors.LockUrlElsewhere("shop at a", "shop at b"), 2),
        ("deadlock", errors.Deadlock("shop", "deadlock detected"), 4),
    ],
)
def test_the_code_and_exit_status_of_each_error(code, error, status):
    assert (error.code, error.exit_status) == (code, status)
    assert isinstance(error, errors.Refusal) == (code == "rehearsal-failed"), "refused: nothing was written"
    assert errors.from_json(error.to_json()).message == error.message


@pytest.mark.parametrize(
    ("statement", "is_concurrent"),
    [
        ("CREATE INDEX CONCURRENTLY ix ON t (a)", True),
        ("  create unique index concurrently if not exists ix ON t (a)", True),
        ("DROP INDEX CONCURRENTLY ix", True),
        ("-- build it\n/* app */ CREATE INDEX /* x */ CONCURRENTLY ix ON t (a)", True),
        ("REINDEX (VERBOSE) TABLE CONCURRENTLY t", True),
        ("ALTER TABLE t DETACH PARTITION t1 CONCURRENTLY", True),
        ("CREATE INDEX ix ON t (a)", False),
        ("CREATE INDEX ix ON t ((note || ' CONCURRENTLY '))", False),
        ("ALTER TABLE t ADD concurrently int", False),
        ("SELECT 1; DROP INDEX CONCURRENTLY ix", False),
    ],
)
def test_the_statements_that_get_no_lock_timeout(statement, is_concurrent):
    assert guarding.is_concurrent(statement) is is_concurrent


def test_the_messages():
    assert errors.MigrationFailed("r1", "r1.py:3", "no such table", "SELECT 1").message == (
        "r1 failed at r1.py:3: no such table. Statement: `SELECT 1`"
    )
    assert errors.UpgradeNotKept(["shop is at r1"], ["r2", "r3"]).message == (
        "`alembic upgrade` ended without an error after it ran r2 and r3, but shop is at r1"
    )
    assert upgraded.waiting(
        Waiting("another alembic-rescue is running (pid 7 from local, connected for 3 s)", 12.4)
    ) == (
        "Waiting: another alembic-rescue is running (pid 7 from local)",
        ", for 12 s",
    )
    assert upgraded.told(Swallowed("r1", "r1.py", 3, 4, "DROP TABLE x", "it does not exist")) == [
        "warning[swallowed-error]: r1.py:3: DROP TABLE x failed: it does not exist. The except at line 4 hides it",
        (
            "help: re-raise it; or, if it may fail, put the statement in `with op.get_bind().begin_nested():` inside "
            "the try"
        ),
    ]
    assert upgraded.told(Note("a", "b", "c")) == ["warning[a]: b", "help: C"]
    failure = errors.LockTimeout("the lock on t in shop", 5.0)
    failure.blockers = (BLOCKER,)
    assert upgraded.told(Again(failure, "r1.py:3", 2, 4, 1.26)) == [
        "Another session holds the lock on t in shop; gave up after 5 s at r1.py:3. It left no changes.",
        "  pid 7 (psql, ann): idle in transaction for 61 s, SELECT 1",
        "Trying again in 1.3 s (2 of 4)",
    ]


def test_a_line_when_a_revision_begins_and_every_ten_seconds():
    lines, now = [], [0.0]
    log = UpgradeLog(lines.append, lambda: now[0])

    def step(number, seconds, statement="ALTER TABLE t"):
        now[0] += seconds
        facts = {"doc": "orders", "seconds": f"{now[0]:.0f}", "statement": statement}
        log.take(Progress("Running", number, 2, f"r{number}", facts))

    for seconds in (0, 5, 4, 2):
        step(1, seconds)
    step(2, 1, "")
    step(2, 11, "")
    assert lines == [
        "Running r1, orders (1 of 2)\n",
        "r1 has been running this statement for 11 s: ALTER TABLE t\n",
        "Running r2, orders (2 of 2)\n",
        "Running r2: no statement for 23 s\n",
    ]


def test_which_targets_count_from_the_rows():
    assert [waiting.counts(one) for one in ("+1", "r1+1", "head", "shop@+2")] == [True, False, False, True]


def test_the_settings_of_a_migrating_session():
    settings = dialect_of("postgresql").server.upgrade_settings(1.5)
    assert "'1500'" in settings[0]
    assert not any("statement_timeout" in one for one in settings), "a migration may take hours"
    assert settings[-1] == guarding.OF_MIGRATIONS[-1]
    assert dialect_of("oracle").server.upgrade_settings(1.5) == ()


def _after(action, error, *, rolled_back=True, place=""):
    choices = (Choice("it ran", ("stamp",)),) if action is Action.STOP else ()
    part = DatabaseReport(
        database=None, revisions=(), heads_after=(), stamps=(), pending_after=(), refusals=(), findings=(),
        recommendation=Recommendation(action, None, "as diagnosed", choices=choices),
    )  # fmt: skip
    return unkept.advice(
        part, Ran((), failure=error, place=place, rolled_back=rolled_back), "alembic upgrade head"
    ).reason


def test_what_a_run_that_was_rolled_back_says_of_what_to_do():
    failed = errors.MigrationFailed("r1", "r1.py:3", "division by zero", "SELECT 1/0")
    made = errors.MigrationFailed("r1", "r1.py:3", 'relation "t" already exists', "CREATE TABLE t ()")
    undone = errors.MigrationFailed("r1", "r1.py:3", 'table "t" does not exist', "DROP TABLE t")
    assert _after(Action.STOP, failed) == "r1 was rolled back. Fix r1.py:3, then deploy again"
    for action, error in ((Action.STOP, made), (Action.STOP, undone), (Action.RERUN, failed), (Action.STAMP, failed)):
        assert _after(action, error) == "as diagnosed"
    assert _after(Action.STOP, failed, rolled_back=False) == "as diagnosed"
    blocked = errors.LockTimeout("the lock on t in shop", 5.0)
    assert _after(Action.RERUN, blocked) == "as diagnosed", "nobody was seen"
    blocked.blockers = (BLOCKER, BLOCKER)
    assert _after(Action.RERUN, blocked) == (
        "pid 7 (psql, idle in transaction) holds the lock on t in shop, and another session is in the way. "
        "Wait for it or end it, then deploy again"
    )
    assert _after(Action.STAMP, blocked) == "as diagnosed"
    slow = errors.StatementTimeout("the server canceled it")
    assert _after(Action.RERUN, slow) == "as diagnosed", "outside of a revision"
    told = "everything was rolled back. r1.py:3 took longer than the statement timeout. Fix that, then deploy again"
    assert _after(Action.RERUN, slow, place="r1.py:3") == told


@pytest.mark.parametrize(("met", "fixed"), [((False, False), True), ((True, False), False), ((), False)])
def test_a_revision_of_which_nothing_is_there_is_to_be_fixed_whoever_has_its_names(met, fixed):
    """A column that exists with another type belongs to another revision; it is not part of this one."""
    failed = errors.MigrationFailed(
        "r1", "r1.py:3", 'column "name" already exists', "ALTER TABLE t ADD name varchar(5)"
    )
    objects = tuple(
        ObjectEvidence(
            "column", f"t.c{n}", "present", Presence.PRESENT if one else Presence.DIFFERENT, None, "", 1, None
        )
        for n, one in enumerate(met)
    )
    for action in (Action.STOP, Action.COMPLETE):
        part = DatabaseReport(
            database=None, revisions=(Revision("r1", "", "r1.py", "", Verdict.PARTIAL, objects),), heads_after=(),
            stamps=(), pending_after=(), refusals=(), findings=(), recommendation=Recommendation(action, "r1", "-"),
        )  # fmt: skip
        advice = unkept.advice(part, Ran((), failure=failed, rolled_back=True), "alembic upgrade head")
        assert (advice.action is Action.RERUN) is fixed
