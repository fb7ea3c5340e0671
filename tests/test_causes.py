"""Causes, from what ran on a copy: the real failures, and none that rows or the copy itself may be responsible for."""

import contextlib
from dataclasses import replace

import pytest
from sqlalchemy import create_engine

from alembic_rescue.dialects.postgresql.catalog import READER
from alembic_rescue.evidence.causes import Upgrade, causes, first_words, fix_of, too_long
from alembic_rescue.evidence.observation import (
    CatalogObject,
    Change,
    Failure,
    Observation,
    Reading,
    Statement,
    StatementKind,
)
from alembic_rescue.worker.scratch.runs import OwnVisit
from tests import scratching

ABORTED = "current transaction is aborted, commands ignored until end of transaction block"
TAKEN = 'type "mood" already exists'
VERSION = "UPDATE alembic_version SET version_num='r2' WHERE alembic_version.version_num = 'r1'"


def statement(sql="CREATE TYPE mood AS ENUM ('a')", error: str | None = TAKEN, line=10, handler=None, path="/p/r2.py"):
    return Statement(sql, StatementKind.CATALOG, path, line, error, handler)


def run(*failing, ends: str | None = None, sql="", failed: str | None = "r2", **more) -> Upgrade:
    failure = None if ends is None else Failure(ends, "/p/r2.py", 10, sql)
    return Upgrade(tuple(("r2", one) for one in failing), failed if failure else None, failure, **more)


def only(upgrade, *rest):
    (cause,) = causes(upgrade, *rest)
    return cause


def test_what_ends_the_run_is_the_cause_with_file_and_line():
    cause = only(run(statement(path="/p/helpers.py", line=3), ends=TAKEN))
    assert (cause.revision, cause.path, cause.line, cause.error) == ("r2", "/p/helpers.py", 3, TAKEN)
    assert (cause.swallowed, cause.handler_line, cause.aborts) == (False, None, True)
    assert "checkfirst=True" in cause.fix


def test_a_swallowed_error_that_aborts_the_transaction_causes_all_that_follows():
    cause = only(run(statement(handler=12), statement("CREATE TABLE t ()", ABORTED, 14), ends=ABORTED))
    assert (cause.error, cause.swallowed, cause.handler_line, cause.aborts) == (TAKEN, True, 12, True)
    assert "begin_nested" in cause.fix


def test_it_is_the_cause_even_if_only_the_version_fails_after_it():
    cause = only(run(statement(handler=12), ends=ABORTED, sql=VERSION))
    assert (cause.error, cause.swallowed, cause.line) == (TAKEN, True, 10)


def test_each_try_block_is_examined_and_the_first_is_the_cause():
    first = statement("DROP INDEX ix", 'index "ix" does not exist', 20, 23)
    others = [statement(f"ALTER TABLE t{n}", ABORTED, n, n + 1) for n in (30, 40)]
    cause = only(run(first, *others, ends=ABORTED, sql=VERSION))
    assert (cause.line, cause.handler_line) == (20, 23)
    assert cause.fix.startswith("check before dropping, or use IF EXISTS")


def test_a_failure_in_a_savepoint_is_deliberate():
    assert causes(run(statement(handler=12))) == ()


def test_a_swallowed_insert_is_the_cause_of_what_follows_though_rows_may_decide():
    error = 'null value in column "x" of relation "t" violates not-null constraint'
    insert = statement("INSERT INTO t VALUES (NULL)", error, 10, 11)
    innocent = statement("CREATE TABLE b ()", ABORTED, 14)
    cause = only(run(insert, innocent, ends=ABORTED, sql=innocent.sql))
    assert (cause.line, cause.handler_line, cause.swallowed, cause.without_rows) == (10, 11, True, True)
    assert causes(run(insert)) == ()  # in a SAVEPOINT


def test_a_failure_in_a_savepoint_before_one_that_aborts_is_no_cause():
    saved = statement("DROP TABLE x", 'table "x" does not exist', 5, 7)
    assert only(run(saved, statement(handler=12), ends=ABORTED)).line == 10


def test_in_autocommit_the_version_advances_past_a_swallowed_error():
    cause = only(run(statement(handler=12), transactional=False))
    assert (cause.swallowed, cause.aborts) == (True, False)
    assert "begin_nested" not in cause.fix


def test_an_error_swallowed_in_an_autocommit_block_aborts_nothing():
    cause = only(run(replace(statement(handler=12), in_autocommit=True)))
    assert (cause.swallowed, cause.aborts) == (True, False)
    assert "begin_nested" not in cause.fix
    assert causes(run(replace(statement(handler=12), in_autocommit=True, kind=StatementKind.QUERY))) == ()
    ends = only(run(replace(statement(), in_autocommit=True), ends=TAKEN))
    assert (ends.swallowed, ends.aborts) == (False, True)


def test_in_autocommit_a_failure_rolls_nothing_back():
    assert only(run(statement(), ends=TAKEN, transactional=False)).aborts is False


def test_an_upgrade_that_passes_has_no_cause():
    assert causes(Upgrade()) == ()


@pytest.mark.parametrize(
    "error",
    [
        'null value in column "x" of relation "t" violates not-null constraint',
        'duplicate key value violates unique constraint "u"',
        'insert or update on table "a" violates foreign key constraint "b"',
        "value too long for type character varying(3)",
        "integer out of range",
        'column "x" of relation "t" contains null values',
        'extension "postgis" is not available',
        'could not open extension control file "/x/postgis.control": No such file or directory',
        "canceling statement due to statement timeout",
    ],
)
def test_a_failure_that_rows_or_the_scratch_server_decide_is_no_cause(error):
    assert causes(run(statement("INSERT INTO t VALUES (1)", error), ends=error)) == ()


@pytest.mark.parametrize(("sql", "told"), [("SELECT 1/0", 1), ("SELECT a/0 FROM t", 0), ("SELECT f()/0", 0)])
def test_a_query_that_reads_no_rows_fails_everywhere(sql, told):
    error = "division by zero"
    assert len(causes(run(statement(sql, error), ends=error, sql=sql))) == told


def test_an_error_that_the_revision_raises_is_no_cause_because_the_copy_has_no_rows():
    assert causes(run(ends="NoResultFound: No row was found when one was required")) == ()


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("public.away", 0),
        ('public."away"', 0),
        ("CREATE TABLE public.away ( id integer );", 0),
        ("public", 0),
        ("public.elsewhere", 1),
    ],
)
def test_what_the_copy_lacks_is_no_cause(lacking, told):
    missing = statement("ALTER TABLE away ADD x integer", 'relation "public.away" does not exist')
    assert len(causes(run(missing, ends=missing.error, lacking=[lacking]))) == told


def test_an_existing_object_is_a_cause_whatever_the_copy_lacks():
    assert len(causes(run(statement(), ends=TAKEN, lacking=["public.mood"]))) == 1


# --- with the catalogs ---------------------------------------------------------------------------------------------

KEY = CatalogObject("table constraint", "orders_account_kid_fkey on public.orders", "public.orders")
OTHER = CatalogObject("table constraint", "fk_other on public.orders", "public.orders")
FACTS = {"definition": "FOREIGN KEY (account_kid) REFERENCES public.accounts(kid)", "valid": "t"}


@pytest.mark.parametrize(("facts", "named"), [(FACTS, True), ({**FACTS, "definition": "another key"}, False)])
def test_a_constraint_that_exists_under_another_name_is_named(facts, named):
    dropped = statement(
        "ALTER TABLE orders DROP CONSTRAINT orders_account_kid_fkey",
        'constraint "orders_account_kid_fkey" of relation "orders" does not exist',
    )
    steps = [Observation("r2", (Change(KEY, FACTS, None),))]
    cause = only(run(dropped, ends=dropped.error), steps, Reading({OTHER: facts}))
    assert ("fk_other" in cause.fix) is ("fk_other" in cause.error) is named
    assert named or cause.fix == "check before dropping, or use IF EXISTS"


INDEX = CatalogObject("index", "public.ix", "public.t")


def making(catalog_object, after, sql) -> list[Observation]:
    sent = (Statement(sql, StatementKind.CATALOG, "/p/r2.py", 30),)
    return [Observation("r2", (Change(catalog_object, None, after, 0),), statements=sent, path="/p/r2.py", line=9)]


def test_an_invalid_index_is_left_so_by_if_not_exists():
    steps = making(INDEX, {"valid": "t", "definition": "x"}, "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON t (a)")
    cause = only(Upgrade(), steps, Reading({INDEX: {"definition": "x"}}))
    assert (cause.line, cause.fails, cause.swallowed) == (30, False, False)
    assert cause.fix == "first: DROP INDEX CONCURRENTLY public.ix"
    assert "invalid" in cause.error


def test_without_if_not_exists_the_upgrade_fails_and_the_index_must_go_first():
    sql = "CREATE INDEX ix ON t (a)"
    steps = making(INDEX, {"valid": "t", "definition": "x"}, sql)
    failing = run(statement(sql, 'relation "ix" already exists'), ends='relation "ix" already exists', sql=sql)
    cause = only(failing, steps, Reading({INDEX: {"definition": "x"}}))
    assert (cause.fails, cause.error) == (True, 'relation "ix" already exists: it is invalid')
    assert cause.fix == "first: DROP INDEX CONCURRENTLY public.ix"


def test_a_valid_index_is_no_cause():
    steps = making(INDEX, {"valid": "t", "definition": "x"}, "CREATE INDEX IF NOT EXISTS ix ON t (a)")
    assert causes(Upgrade(), steps, Reading({INDEX: {"valid": "t", "definition": "x"}})) == ()


MOOD = CatalogObject("type", "public.mood")


@pytest.mark.parametrize(("there", "lacks"), [("'a', 'b'", ["c'"]), ("'a'", ["b", "c'"]), ("'a', 'b', 'c'''", [])])
def test_a_type_that_lacks_a_label_is_left_so_by_checkfirst(there, lacks):
    steps = making(MOOD, {"labels": "'a', 'b', 'c'''"}, "CREATE TYPE mood AS ENUM ('a', 'b', 'c''')")
    found = causes(Upgrade(), steps, Reading({MOOD: {"labels": there}}))
    assert [cause.fix for cause in found] == (
        [
            "first: "
            + "; ".join(f"ALTER TYPE public.mood ADD VALUE '{one.replace(chr(39), 2 * chr(39))}'" for one in lacks)
        ]
        if lacks
        else []
    )


def test_a_type_whose_creation_fails_is_reported_once():
    steps = making(MOOD, {"labels": "'a', 'b'"}, "CREATE TYPE mood AS ENUM ('a', 'b')")
    assert only(run(statement(), ends=TAKEN), steps, Reading({MOOD: {"labels": "'a'"}})).error == TAKEN


def test_causes_are_reported_in_the_order_of_the_chain():
    steps = making(MOOD, {"labels": "'a', 'b'"}, "CREATE TYPE mood AS ENUM ('a', 'b')")
    fails = statement("CREATE TABLE t ()", 'relation "t" already exists')
    upgrade = Upgrade((("r3", fails),), "r3", Failure(str(fails.error), "/p/r3.py", 1))
    found = causes(upgrade, [*steps, Observation("r3")], Reading({MOOD: {"labels": "'a'"}}))
    assert [cause.revision for cause in found] == ["r2", "r3"]


# --- the version table ---------------------------------------------------------------------------------------------


WIDEN = 'ALTER TABLE "App".alembic_version ALTER COLUMN version_num TYPE VARCHAR(128)'


def test_an_id_that_is_too_long_is_reported_with_both_lengths_and_the_statement_to_widen():
    long = "pc20260424_paperless_metadata_tables"
    steps = [Observation("short"), Observation(long, path="/p/long.py", line=7)]
    (cause,) = too_long(steps, 32, "App.alembic_version", WIDEN)
    assert (cause.revision, cause.place, cause.code) == (long, "/p/long.py:7", "revision-too-long")
    assert cause.error == (
        f"cannot be recorded: the id {long} has 36 characters, but App.alembic_version.version_num holds only 32"
    )
    assert cause.fix == f"widen it first: `{WIDEN}`"
    assert cause.aborts


@pytest.mark.parametrize(("length", "limit"), [(32, 32), (33, None), (33, 128)])
def test_an_id_that_fits_is_no_cause(length, limit):
    assert too_long([Observation("x" * length)], limit, "alembic_version", WIDEN) == ()


def test_the_column_becomes_as_wide_as_the_id():
    (cause,) = too_long([Observation("x" * 200)], 32, "alembic_version", WIDEN)
    assert cause.fix.endswith("VARCHAR(200)`")


def test_a_value_of_the_revision_itself_that_is_too_long_is_no_such_cause():
    sent = statement("INSERT INTO t (name) VALUES ('long')", "value too long for type character varying(3)")
    assert causes(run(sent, ends=sent.error, sql=sent.sql)) == ()


# --- what to do ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sql", "fix"),
    [
        ('relation "t" already exists', "CREATE TABLE t ()", "check before creating, or IF NOT EXISTS"),
        (
            'column "c" of relation "t" already exists',
            "ALTER TABLE t ADD c int",
            "check before creating, or IF NOT EXISTS",
        ),
        ('constraint "c" for relation "t" already exists', "ALTER TABLE t ADD CONSTRAINT c", "check before creating"),
        (
            'relation "t" does not exist',
            "ALTER TABLE t ADD c int",
            "find out what should have created it, and whether this is the right database",
        ),
        (
            'column "c" of relation "t" does not exist',
            "ALTER TABLE t\nDROP COLUMN c",
            "check before dropping, or use IF EXISTS",
        ),
        ('table "t" does not exist', "drop table t", "check before dropping, or use IF EXISTS"),
        (
            'relation "t" does not exist',
            "SELECT * FROM t",
            "find out what should have created it, and whether this is the right database",
        ),
        (
            "operator does not exist: integer <> text",
            "ALTER TABLE t ALTER COLUMN c TYPE int USING c::int",
            "an index, CHECK, default or view on that column does not fit its new type: drop it before",
        ),
        ("operator does not exist: integer = text", "UPDATE t SET a = 1 WHERE type = 'x'", "cast one of them"),
        (
            'operator class "gin_trgm_ops" does not exist for access method "gin"',
            "CREATE INDEX i ON t USING gin (c gin_trgm_ops)",
            "find out what should have created it",
        ),
        ("cannot drop table t because other objects depend on it", "DROP TABLE t", "drop what depends on it first"),
        ("CREATE INDEX CONCURRENTLY cannot run inside a transaction block", "CREATE INDEX", "autocommit_block"),
        ('unsafe use of new value "x" of enum type mood', "INSERT", "autocommit_block"),
        ("must be owner of table t", "ALTER TABLE t", "as the owner"),
        ('syntax error at or near "x"', "x", "fix the statement"),
    ],
)
def test_each_failure_has_a_remedy(error, sql, fix):
    assert fix in fix_of(error, sql)


def test_long_statements_are_shortened():
    assert first_words("SELECT\n  1") == "SELECT 1"
    assert len(first_words("x" * 500)) == 100


# --- on a server ---------------------------------------------------------------------------------------------------

CHAIN = (
    """
        op.create_table("orders", sa.Column("id", sa.Integer), sa.Column("a", sa.Integer, unique=True))
    """,
    """
        try:
            op.drop_index("ix_none", "orders")
        except Exception:
            pass
        op.add_column("orders", sa.Column("b", sa.Integer))
    """,
    'op.drop_constraint("orders_a_key", "orders")',
    'op.execute("ALTER TABLE orders ADD COLUMN c integer")',
)


def upgraded(project, *todo) -> tuple[Upgrade, OwnVisit]:
    done, _ = scratching.run(project, "run_as_project", visits=[scratching.visit(*todo)])
    (one,) = done.visits
    return Upgrade(one.failing, one.failed, one.failure, one.transactional, handling=one.handling), one


def test_a_real_run_reports_the_swallowed_error_and_passes_once_it_is_fixed(database, tmp_path):
    project = scratching.chain(tmp_path, database, *CHAIN)
    cause = only(upgraded(project, "r1", "r2", "r3", "r4")[0])
    assert (cause.revision, cause.swallowed, cause.error) == ("r2", True, 'index "ix_none" does not exist')
    assert cause.path.endswith("r2.py")
    lines = (project.root / "alembic" / "versions" / "r2.py").read_text().splitlines()
    assert "drop_index" in lines[cause.line - 1]
    assert "except" in lines[(cause.handler_line or 0) - 1]
    fixed = scratching.revision(2, "pass")
    (project.root / "alembic" / "versions" / "r2.py").write_text(fixed)
    upgrade, visit = upgraded(project, "r1", "r2", "r3", "r4")
    assert causes(upgrade) == ()
    assert not visit.never_commits


def test_a_real_constraint_under_another_name_is_named(database, tmp_path):
    database.run("CREATE TABLE orders (id integer, a integer CONSTRAINT mine UNIQUE)")
    database.stand_at("r2")
    upgrade, _ = upgraded(scratching.chain(tmp_path, database, *CHAIN), "r3", "r4")
    with contextlib.closing(create_engine(database.url).connect()) as connection:
        live = READER.everything(connection)
    (same,) = [(o, facts) for o, facts in live.items() if o.kind == "table constraint" and "mine" in o.name]
    dropped = CatalogObject(same[0].kind, same[0].name.replace("mine", "orders_a_key"), same[0].parent)
    steps = [Observation("r3", (Change(dropped, same[1], None),)), Observation("r4")]
    cause = only(upgrade, steps, Reading(live))
    assert cause.fix == "drop it by its name in this database, mine"


def test_a_real_env_that_never_commits(database, tmp_path):
    env = scratching.ENV.replace(
        "    context.configure", '    connection.exec_driver_sql("SELECT 1")\n    context.configure'
    )
    upgrade, visit = upgraded(scratching.chain(tmp_path, database, CHAIN[0], env=env), "r1")
    assert visit.never_commits
    cause = only(upgrade)
    assert (cause.code, cause.line) == ("env-never-commits", 7)
    assert "finds no row" in cause.error
