"""A log compared with a database and its scripts, as values: what agrees, what belongs to another one, what is new."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alembic_rescue import logged
from alembic_rescue.connection import drivers
from alembic_rescue.evidence.logs.reading import read
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.recommending import recommend
from alembic_rescue.graph import scripts
from alembic_rescue.model import Action, Database, Identity
from alembic_rescue.redact import Secrets
from alembic_rescue.worker.requests import ScriptFile
from tests.test_deployment_log import ABORTED

CHAIN = {"b354": (), "65e4": ("b354",), "7742": ("65e4",), "d473": ("7742",)}
SHOP = Identity(
    "", "postgresql", "18", "7/1", None, None, "db.example.org", 5432, "shop", "app", None, "v", None, "public"
)


def graph(chain=CHAIN):
    return scripts.graph(
        [
            ScriptFile(one, down or None, None, None, "", Path(f"alembic/versions/{one}_x.py"), "")
            for one, down in chain.items()
        ]
    )


def at(*rows: str, identity: Identity = SHOP) -> Database:
    return Database(identity, rows, True, 32, None, (), (), pooled=False)


def missing(*revisions: str, causes: tuple[Cause, ...] = (), **more) -> Proof:
    absent = ObjectEvidence("table", "public.t", "present", Presence.ABSENT, None, "", None, "CREATE TABLE t ()")
    return Proof(
        tuple(RevisionEvidence(one, Verdict.NOT_APPLIED, (absent,)) for one in revisions), None, causes, **more
    )


PENDING = missing("65e4", "7742", "d473")


def log(*lines: str, before: str = "b354 -> 65e4|65e4 -> 7742", impl: str = "PostgresqlImpl"):
    steps = [f"INFO  [alembic.runtime.migration] Running upgrade {step}" for step in before.split("|") if step]
    told = [f"INFO  [alembic.runtime.migration] Context impl {impl}.", *steps, *lines]
    return read(io.StringIO("\n".join(told)), drivers.code_meant)


TRACE = [
    "Traceback (most recent call last):",
    '  File "/site-packages/alembic/runtime/migration.py", line 628, in run_migrations',
    '  File "/app/alembic/versions/7742_x.py", line 40, in upgrade',
    "    op.execute('x')",
]
NULLS = [
    *TRACE,
    'sqlalchemy.exc.IntegrityError: (psycopg2.errors.NotNullViolation) column "a" of relation "t" contains null values',
    "[SQL: ALTER TABLE t ALTER COLUMN a SET NOT NULL]",
]
ABORTS = [
    f"sqlalchemy.exc.InternalError: (psycopg2.errors.InFailedSqlTransaction) {ABORTED}",
    "[SQL: UPDATE alembic_version SET version_num='7742' WHERE alembic_version.version_num = '65e4']",
]
PRINTED = [
    'skipped: (psycopg2.errors.DuplicateObject) type "mood" already exists',
    "[SQL: CREATE TYPE mood AS ENUM ()]",
]
MOOD = Cause("7742", "alembic/versions/7742_x.py", 41, "CREATE TYPE", 'type "mood" already exists', True, 42, "look")


MESS = [
    "INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.",
    "INFO  [alembic.runtime.migration] Running upgrade b354 -> 65e4",
    "INFO  [alembic.runtime.migration] Running upgrade ID -> 7742, ID",
    "INFO  [alembic.runtime.migration] Running upgrade 65e4 -> ID",
    "FAILED: Can't locate revision identified by 'ID'",
    "[SQL: UPDATE alembic_version SET version_num='ID' WHERE version_num = 'ID']",
    'connection to server at "ID" (ID), port 5432 failed',
    "postgresql://ID@ID/ID",
    'database "ID" does not exist',
    "Killed",
    "(psycopg2.errors.ID) ID",
    "[30] ERROR:  ID",
    '  File "ID/versions/7742_x.py", line 7, in ID',
    *TRACE,
    *NULLS,
    *ABORTS,
    *PRINTED,
]


def held(log, database=None, proof=PENDING, chain=CHAIN):
    ((causes, notes),) = logged.held_against(log, graph(chain), [(database or at("b354"), proof)])
    return causes, {note.code: note for note in notes}


def test_a_failure_that_only_data_decide_becomes_a_cause():
    causes, notes = held(log(*NULLS))
    (cause,) = causes
    assert (cause.revision, cause.path, cause.line) == ("7742", "alembic/versions/7742_x.py", 40)
    assert (cause.logged, cause.swallowed, cause.aborts) == (True, False, True)
    assert cause.error == 'column "a" of relation "t" contains null values'
    assert list(notes) == ["log-failure"]
    assert notes["log-failure"].message == (
        'in the log, 7742 failed at alembic/versions/7742_x.py:40: NotNullViolation (23502): column "a" of relation '
        '"t" contains null values (ALTER TABLE t ALTER COLUMN a SET NOT NULL)'
    )
    assert "give the rows that have none a value first" in notes["log-failure"].help
    advice = recommend(PENDING.revisions, causes)
    assert advice.action is Action.RERUN
    assert "7742_x.py:40 failed according to the log (column" in advice.reason
    assert "Fix what failed" not in advice.reason


def test_without_a_log_the_advice_is_unchanged():
    advice = recommend(PENDING.revisions)
    assert advice.reason.endswith("Fix what failed, then upgrade")
    assert advice.steps == ("alembic upgrade head",)


def test_the_hidden_error_is_named_by_the_log():
    causes, notes = held(log(*PRINTED, *ABORTS))
    (cause,) = causes
    assert (cause.revision, cause.path, cause.place) == ("7742", "alembic/versions/7742_x.py", cause.path)
    assert (cause.swallowed, cause.error) == (True, 'type "mood" already exists')
    assert "(25P02) by a failure that an except hides: DuplicateObject (42710): type" in notes["log-failure"].message
    assert "7742_x.py hides a failure (type" in recommend(PENDING.revisions, causes).reason


def test_a_hidden_error_is_reported_even_if_the_log_does_not_show_it():
    causes, notes = held(log(*ABORTS))
    assert "which the log does not show" in notes["log-failure"].message
    assert [cause.swallowed for cause in causes] == [True]
    reason = recommend(PENDING.revisions, causes).reason
    assert "7742_x.py hides a failure (the log does not show it)" in reason
    assert ":0" not in reason


@pytest.mark.parametrize("lines", [ABORTS, [*PRINTED, *ABORTS]])
def test_a_cause_that_is_found_here_too_is_reported_once(lines):
    proof = replace(PENDING, causes=(MOOD,))
    causes, notes = held(log(*lines), proof=proof)
    assert causes == (MOOD,)
    assert "7742_x.py:41" in notes["log-failure"].message
    assert notes["log-failure"].help == "fix 7742: look"


def test_the_logs_cause_appears_where_its_revision_runs():
    later = replace(MOOD, revision="d473", path="alembic/versions/d473_x.py")
    causes, _ = held(log(*NULLS), proof=replace(PENDING, causes=(later,)))
    assert [(cause.revision, cause.logged) for cause in causes] == [("7742", True), ("d473", False)]


def test_a_revision_that_exists_has_no_cause():
    there = RevisionEvidence("7742", Verdict.APPLIED, ())
    causes, notes = held(log(*NULLS), proof=Proof((there,), "7742"))
    assert causes == ()
    assert list(notes) == ["log-failure"]


def test_the_number_of_failed_attempts_is_reported():
    lines = [*NULLS, "INFO  [alembic.runtime.migration] Running upgrade b354 -> 65e4", *ABORTS]
    again = "INFO  [alembic.runtime.migration] Running upgrade 65e4 -> 7742"
    _, notes = held(log(*NULLS, again, *NULLS))
    assert notes["log-failure"].message.startswith(
        "in the last of 2 failed runs in the log (all failed in the same way), 7742"
    )
    _, notes = held(log(*lines))
    assert "(not all failed in the same way)" in notes["log-failure"].message


def test_a_log_with_nothing_in_it_is_reported():
    causes, notes = held(read(["hello\n"]), proof=replace(PENDING, causes=(MOOD,)))
    assert causes == (MOOD,)
    assert list(notes) == ["log-says-nothing"]
    assert "the log has 1 line," in notes["log-says-nothing"].message


def test_a_successful_run_is_reported():
    causes, notes = held(log())
    assert causes == ()
    assert list(notes) == ["log-without-failure"]


def test_an_error_that_ended_nothing_is_reported():
    _, notes = held(log(TRACE[0], *TRACE[2:], PRINTED[0].removeprefix("skipped: ")))
    assert (
        "stop the run at alembic/versions/7742_x.py:40: DuplicateObject (42710)" in notes["log-without-failure"].message
    )


# --- of another version --------------------------------------------------------------------------------------------


def test_a_revision_that_the_scripts_do_not_have():
    causes, notes = held(log(*ABORTS, before="b354 -> 65e4|65e4 -> ffff"))
    assert causes == ()
    assert "runs ffff, which is not in the scripts here" in notes["log-of-another-version"].message
    assert "log-failure" in notes


@pytest.mark.parametrize("before", ["b354 -> 7742", " -> 7742", "b354 -> 65e4|b354, 65e4 -> 7742"])
def test_a_revision_that_follows_another_one_in_the_log(before):
    causes, notes = held(log(*NULLS, before=before))
    assert causes == ()
    assert "in the scripts here it follows 65e4" in notes["log-of-another-version"].message


def test_a_merge_is_no_other_version():
    chain = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    failing = log(*NULLS, before="a -> b|a -> c|b, c -> d")
    _, notes = held(failing, at("a"), missing("b", "c", "d"), chain)
    assert list(notes) == ["log-failure"]
    records = "UPDATE alembic_version SET version_num='d' WHERE alembic_version.version_num = 'b'"
    aborted = log(ABORTS[0], f"[SQL: {records}]", before="")
    _, notes = held(aborted, at("b", "c"), missing("d"), chain)
    assert list(notes) == ["log-failure"]


def test_scripts_in_the_log_that_lack_a_revision():
    refused = "FAILED: Can't locate revision identified by 'd473'"
    _, notes = held(log(refused, before=""), at("d473"))
    assert "lack d473, which these have" in notes["log-of-another-version"].message
    assert notes["log-failure"].message.endswith("Alembic refused: Can't locate revision identified by 'd473'")
    _, notes = held(log(refused.replace("d473", "ffff"), before=""))
    assert list(notes) == ["log-failure"]


def test_scripts_in_the_log_that_have_several_heads():
    refused = "FAILED: Multiple head revisions are present for given argument 'head'"
    _, notes = held(log(refused, before=""))
    assert list(notes) == ["log-of-another-version", "log-failure"]
    _, notes = held(
        log(refused, before=""), chain={"b354": (), "x": ("b354",), "y": ("b354",)}, proof=missing("x", "y")
    )
    assert list(notes) == ["log-failure"]
    assert "merge them" in notes["log-failure"].help


# --- of another database -------------------------------------------------------------------------------------------


def test_another_kind_of_database():
    causes, notes = held(log(*NULLS, impl="MySQLImpl"))
    assert causes == ()
    assert "the log is from MySQL" in notes["log-of-another-database"].message
    for impl in ("CustomImpl", "PostgresqlImpl"):
        assert "log-of-another-database" not in held(log(*NULLS, impl=impl))[1]
    maria = at("b354", identity=replace(SHOP, dialect="mariadb"))
    assert "log-of-another-database" not in held(log(*NULLS, impl="MySQLImpl"), maria)[1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("connecting to postgresql+asyncpg://app:rnd_test@db.example.org:5432/other", "database other"),
        ("postgres://db.example.org/other?sslmode=require", "database other"),
        ('FATAL:  database "other" does not exist', "database other"),
        ('connection to server at "pg.elsewhere.org" (10.0.0.1), port 5432 failed', "server pg.elsewhere.org"),
        ('could not translate host name "pg.elsewhere.org" to address', "server pg.elsewhere.org"),
        ("connecting to postgresql://app@db.example.org/shop", None),
        ("connecting to postgresql://app@db.internal.org/shop", None),  # one host, by its inner and its outer name
        ("connecting to postgresql://app@db/shop", None),
        ("connecting to postgresql://app@10.0.0.5/shop", None),
        ("connecting to postgresql://other.example.org/x and postgresql://db.example.org/shop", None),
        ("connecting to redis://cache.example.org/0", None),
        ("connecting to mysql://elsewhere.example.org/other", None),
    ],
)
def test_another_name_or_host(line, told):
    causes, notes = held(log(*NULLS, line))
    assert ("log-of-another-database" in notes) == (told is not None), notes
    if told:
        message = notes["log-of-another-database"].message
        assert f"the log is from {told}, but this is shop at db.example.org:5432" in message
        assert "rnd_test" not in repr(notes)
    assert [cause.logged for cause in causes] == ([] if told and "database" in told else [True])  # hosts have two names


def test_a_database_before_the_logs_first_step():
    causes, notes = held(log(*NULLS, before="65e4 -> 7742"))
    assert causes == ()
    assert "continues from 65e4, but this database is before that, at b354" in notes["log-of-another-database"].message
    assert "log-of-another-database" not in held(log(*NULLS, before="65e4 -> 7742"), at("65e4"))[1]


def test_a_database_that_has_moved_on():
    causes, notes = held(log(*NULLS), at("d473"), Proof((), None))
    assert causes == ()
    assert list(notes) == ["log-outdated", "log-failure"]
    assert "is applied by now: the database is at d473" in notes["log-outdated"].message


def test_rows_that_no_script_explains_do_not_break_it():
    _, notes = held(log(*NULLS), at("ffff"), Proof((), None))
    assert "log-failure" in notes


def test_of_several_databases_the_cause_belongs_to_the_one_in_the_log():
    other = replace(SHOP, database="other")
    named = log(*NULLS, "connecting to postgresql://db.example.org/shop")
    first, second = logged.held_against(
        named, graph(), [(at("b354"), PENDING), (at("b354", identity=other), replace(PENDING, causes=(MOOD,)))]
    )
    assert [note.code for note in first[1]] == ["log-failure"]
    assert second == ((MOOD,), ())


def test_a_log_that_names_no_revision():
    refused = '(psycopg2.OperationalError) connection to server at "db" failed: Connection refused'
    _, notes = held(log(refused, before=""))
    assert "Alembic failed before it ran a revision: OperationalError" in notes["log-failure"].message
    _, notes = held(read(io.StringIO('psycopg2.errors.DuplicateTable: relation "t" already exists\n')))
    assert "no revision is named beside the error: DuplicateTable" in notes["log-failure"].message


def test_a_log_that_cuts_off_the_error_itself():
    cut = "[SQL: UPDATE alembic_version SET version_num='7742' WHERE alembic_version.version_num = '65e4']"
    causes, notes = held(read(io.StringIO(cut)), proof=replace(PENDING, causes=(MOOD,)))
    assert "7742 failed: an error that the log cuts off (UPDATE" in notes["log-failure"].message
    assert MOOD in causes


def test_a_failing_later_statement_means_that_the_revision_could_not_continue():
    causes, notes = held(log(*TRACE, f"psycopg2.errors.InFailedSqlTransaction: {ABORTED}"))
    assert [cause.line for cause in causes] == [0]  # line 40 is where it shows, not where it was hidden
    assert "7742 could not go on, because its transaction was aborted" in notes["log-failure"].message


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(MESS), max_size=12), st.text(max_size=30))
def test_no_log_breaks_it(lines, more):
    text = "\n".join(lines).replace("ID", more)
    one = logged.without_secrets(read(io.StringIO(text), drivers.code_meant), Secrets())
    causes, notes = held(one)
    assert notes
    assert recommend(PENDING.revisions, causes).action is Action.RERUN


# --- secrets -------------------------------------------------------------------------------------------------------


def test_no_secret_is_printed():
    lines = [
        *TRACE,
        'sqlalchemy.exc.DataError: (psycopg2.errors.X) invalid dsn: postgresql://app:rnd_test_1@db/shop "a"',
        "DETAIL:  Key (api_key)=(rnd_test_2) is duplicated.",
        "[SQL: INSERT INTO users (password) VALUES ('rnd_test_3')]",
    ]
    secrets = Secrets()
    secrets.add("rnd_test_known")
    hidden = logged.without_secrets(log(*lines, before="b354 -> 65e4|65e4 -> 7742, rnd_test_known"), secrets)
    assert hidden.run.failure.statement.startswith("INSERT INTO users")
    assert "rnd_test" not in repr(hidden)
