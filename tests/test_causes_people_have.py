"""Causes from practice, reproduced by really failing: each is named, and the printed advice resolves it.

Each has a similar case next to it that must not be named.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import alembic_rescue
from alembic_rescue import DatabaseReport
from alembic_rescue.errors import DuplicateRevision
from alembic_rescue.model import Action, Outcome
from tests import chains
from tests.chains import Chain
from tests.conftest import Database

pytestmark = pytest.mark.slow

ENV = """\
from alembic import context
from sqlalchemy import engine_from_config, pool, text

engine = engine_from_config(context.config.get_section(context.config.config_ini_section), poolclass=pool.NullPool)
with engine.connect() as connection:
{body}
"""
CONFIGURED = """\
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
HIDES = """\
    context.configure(connection=connection)
    try:
        with context.begin_transaction():
            context.run_migrations()
    except Exception as error:
        print("migrations failed", error)
"""
BEGUN = '    connection.execute(text("SELECT 1"))\n'
COMMITTED = "    connection.commit()\n"


def table(name: str) -> str:
    return f'op.create_table("{name}", sa.Column("id", sa.Integer, primary_key=True))\n'


def written(folder: Path, database: Database, *bodies: str, env: str = CONFIGURED) -> Chain:
    return chains.write(folder / "project", database.url, bodies, env=ENV.format(body=env))


def rewrite(chain: Chain, name: str, old: str, new: str) -> None:
    """Do what is printed, as a person would."""
    path = chain.root / "alembic" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def codes(part: DatabaseReport) -> set[str]:
    return {note.code for note in part.findings}


def fails(chain: Chain, target: str = "head") -> None:
    with pytest.raises(Exception):  # noqa: B017 - whatever the migration raises
        chain.upgrade(target)


def tables(database: Database) -> set[str]:
    found = {row[0] for row in database.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    return found - {"alembic_version"}


def line_of(chain: Chain, name: str, words: str) -> str:
    """Return ``path:line`` of the first line that contains `words`, as a report ends with it."""
    lines = (chain.root / "alembic" / name).read_text().splitlines()
    return f"{name}:{next(number for number, line in enumerate(lines, 1) if words in line)}"


def led_out(chain: Chain, database: Database, *expected: str) -> None:
    """Check that the upgrade passes, everything exists, and nothing more is found."""
    chain.upgrade("heads")
    assert tables(database) == set(expected)
    assert chain.diagnose().recommendation.action is Action.NOTHING
    assert not chains.MISSING & {revision.verdict for revision in chain.applied().revisions}


# --- what a revision hides -----------------------------------------------------------------------------------------

SWALLOWS = """
    try:
        {statement}
    except Exception:
        pass
    op.create_table("b", sa.Column("id", sa.Integer))
"""
NOBODY = 'op.execute("INSERT INTO people (name) VALUES (NULL)")'
ANN = "op.execute(\"INSERT INTO people (name) VALUES ('Ann')\")"
PEOPLE = 'op.create_table("people", sa.Column("name", sa.Text, unique=True, nullable=False))'


@pytest.mark.parametrize("statement", [NOBODY, ANN], ids=["fails-without-rows", "fails-on-rows"])
def test_a_swallowed_insert_is_named_and_not_the_line_after_it(database, tmp_path, statement):
    chain = written(tmp_path, database, PEOPLE, SWALLOWS.format(statement=statement))
    chain.upgrade("r1")
    database.run("INSERT INTO people VALUES ('Ann')")
    fails(chain)
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert line_of(chain, "versions/r2.py", "INSERT") in part.recommendation.reason
    assert "create_table" not in part.recommendation.reason
    assert "CREATE TABLE" not in part.recommendation.reason
    assert any("begin_nested" in finding.help for finding in part.findings)
    (cause,) = part.causes
    assert "begin_nested" in cause.fix
    assert cause.place.endswith(line_of(chain, "versions/r2.py", "INSERT"))
    assert line_of(chain, "versions/r2.py", "except").endswith(f":{cause.handler_line}")

    rewrite(chain, "versions/r2.py", statement, f"with op.get_bind().begin_nested():\n            {statement}")
    assert chain.diagnose().causes == ()
    led_out(chain, database, "people", "b")
    assert database.run("SELECT name FROM people") == [("Ann",)]


# --- what env.py hides ---------------------------------------------------------------------------------------------

FAILS = table("b") + 'op.execute("SELECT 1/0")'
ON_ROWS = table("b") + "op.execute(\"ALTER TABLE people ADD CHECK (name <> 'Ann')\")"


@pytest.mark.parametrize("last", [FAILS, ON_ROWS], ids=["fails-without-rows", "fails-on-rows"])
def test_an_env_that_hides_errors(database, tmp_path, last):
    chain = written(tmp_path, database, PEOPLE, table("a"), last, env=HIDES)
    chain.upgrade("r1")
    database.run("INSERT INTO people VALUES ('Ann')")
    chain.upgrade("head")  # reports that it ran
    assert database.versions() == ["r1"]
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert line_of(chain, "env.py", "except Exception") in part.recommendation.reason
    assert "env-hides-errors" in codes(part)

    rewrite(chain, "env.py", '        print("migrations failed", error)', "        raise")
    fails(chain)
    assert "env-hides-errors" not in codes(chain.diagnose())


@pytest.mark.parametrize(
    "handled",
    [
        '        print("migrations failed", error)\n        raise',
        '        raise RuntimeError("migrations failed") from error',
        "        raise SystemExit(1)",
    ],
)
def test_an_env_that_only_reports_errors_hides_none(database, tmp_path, handled):
    env = HIDES.replace('        print("migrations failed", error)', handled)
    chain = written(tmp_path, database, table("a"), FAILS, env=env)
    chain.upgrade("r1")
    assert {"will-fail"} <= codes(chain.diagnose()) <= {"will-fail"}
    rewrite(chain, "versions/r2.py", "SELECT 1/0", "SELECT 1")
    assert codes(chain.diagnose()) == set()
    led_out(chain, database, "a", "b")


def test_an_env_that_exits_with_0_hides_what_failed(database, tmp_path):
    env = HIDES.replace('        print("migrations failed", error)', "        raise SystemExit(0)")
    chain = written(tmp_path, database, table("a"), FAILS, env=env)
    chain.upgrade("r1")
    assert "env-hides-errors" in codes(chain.diagnose())


def test_an_env_that_retries_hides_none(database, tmp_path):
    again = "    for attempt in (1, 2):\n        try:\n" + textwrap.indent(CONFIGURED, "        ")
    env = f"{again}            break\n        except Exception:\n            if attempt == 2:\n                raise\n"
    chain = written(tmp_path, database, table("a"), table("b"), env=env)
    chain.upgrade("r1")
    assert codes(chain.diagnose()) == set()
    led_out(chain, database, "a", "b")


# --- who begins, and who commits -----------------------------------------------------------------------------------


def test_an_env_that_never_commits_is_the_cause(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"), env=BEGUN + CONFIGURED)
    chain.upgrade("head")
    assert tables(database) == set()
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert line_of(chain, "env.py", "SELECT 1") in part.recommendation.reason
    assert "Fix what failed" not in part.recommendation.reason
    assert "env-never-commits" in codes(part)

    rewrite(chain, "env.py", BEGUN, BEGUN + COMMITTED)
    assert "env-never-commits" not in codes(chain.diagnose())
    led_out(chain, database, "a", "b")


def test_an_env_that_commits_at_its_end_is_not_named(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"), env=BEGUN + CONFIGURED + COMMITTED)
    chain.upgrade("r1")
    part = chain.diagnose()
    assert (codes(part), part.causes) == (set(), ())
    led_out(chain, database, "a", "b")


BLOCK = (
    table("b") + 'with op.get_context().autocommit_block():\n    op.execute("CREATE INDEX CONCURRENTLY ix ON a (id)")'
)


def test_an_autocommit_block_in_a_transaction_that_is_not_alembics(database, tmp_path):
    chain = written(tmp_path, database, table("a"), BLOCK, env=BEGUN + CONFIGURED)
    fails(chain)
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert line_of(chain, "env.py", "SELECT 1") in part.recommendation.reason
    assert "autocommit_block() in line" in part.recommendation.reason

    rewrite(chain, "env.py", BEGUN, BEGUN + COMMITTED)
    assert chain.diagnose().causes == ()
    led_out(chain, database, "a", "b")


def test_a_commit_of_alembics_transaction_explains_the_missing_row(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b") + "op.get_bind().commit()", table("c"))
    chain.upgrade("r1")
    chain.upgrade("head")  # reports that it ran
    assert (database.versions(), tables(database)) == (["r1"], {"a", "b"})
    part = chain.diagnose()
    assert (part.recommendation.action, part.recommendation.revision) == (Action.STAMP, "r2")
    (cause,) = [cause for cause in part.causes if cause.code == "ends-transaction"]
    assert cause.place.endswith(line_of(chain, "versions/r2.py", "commit()"))

    database.run("UPDATE alembic_version SET version_num = 'r2'")  # as the stamp does
    led_out(chain, database, "a", "b", "c")


@pytest.mark.parametrize(
    "ends", ["op.get_bind().rollback()", 'op.execute("ROLLBACK")', "orm.Session(bind=op.get_bind()).rollback()"]
)
def test_a_rollback_reverts_what_ran_before_it(database, tmp_path, ends):
    if "Session" in ends:
        ends = 'session = orm.Session(bind=op.get_bind())\nsession.execute(text("SELECT 1"))\nsession.rollback()'
    chain = written(tmp_path, database, table("a"), table("b") + ends, table("c"))
    chain.upgrade("r1")
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert line_of(chain, "versions/r2.py", "ollback()" if "ollback()" in ends else "ROLLBACK") in (
        part.recommendation.reason
    )
    rewrite(chain, "versions/r2.py", ends.splitlines()[-1], "pass")
    assert chain.diagnose().causes == ()
    led_out(chain, database, "a", "b", "c")


@pytest.mark.parametrize(
    "own",
    [
        'session = orm.Session(bind=op.get_bind())\nsession.execute(text("SELECT 1"))\nsession.commit()',
        'with op.get_bind().begin_nested() as saved:\n    op.execute("SELECT 1")\n    saved.rollback()',
        'op.execute("COMMIT")',
    ],
    ids=["session", "savepoint", "statement"],
)
def test_code_that_leaves_alembics_transaction_alone_is_not_named(database, tmp_path, own):
    chain = written(tmp_path, database, table("a"), table("b") + own)
    chain.upgrade("r1")
    part = chain.diagnose()
    assert (codes(part), part.causes) == (set(), ())
    led_out(chain, database, "a", "b")


# --- ids that do not fit -------------------------------------------------------------------------------------------

LONG = "r2_" + "x" * 40


def long_one(folder: Path, url: str, **more: str) -> Chain:
    return chains.write(folder / "project", url, {"r1": table("a"), LONG: table("b"), "r3": table("c")}, **more)


def statement_told(reason: str) -> str:
    """Return the command to run first, as it is printed."""
    told = re.search(r"[Ww]iden it first: (?P<fence>`+)(?P<sql>(?:ALTER|CREATE) TABLE .*?\(128\).*?)(?P=fence)", reason)
    assert told, reason
    return told["sql"]


def test_a_stamp_whose_id_is_too_long_is_recommended_once_it_fits(database, tmp_path):
    database.run('CREATE SCHEMA "My App"')
    chain = long_one(tmp_path, database.url, options='version_table_schema="My App"')
    chain.upgrade("r1")
    database.run("CREATE TABLE b (id serial PRIMARY KEY)")
    part = chain.diagnose()
    assert part.recommendation.action is Action.STOP
    widen = statement_told(part.recommendation.reason)
    assert widen == 'ALTER TABLE "My App".alembic_version ALTER COLUMN version_num TYPE VARCHAR(128)'
    planned = chain.plan(LONG)
    assert [(one.code, one.help) for one in planned.refusals] == [("revision-too-long", f"widen it first: `{widen}`")]
    assert widen in chain.locate().recommendation.reason

    database.run(widen)
    part = chain.diagnose()
    assert (part.recommendation.action, part.recommendation.revision) == (Action.STAMP, LONG)
    database.run(f"UPDATE \"My App\".alembic_version SET version_num = '{LONG}'")  # as the stamp does
    led_out(chain, database, "a", "b", "c")


def test_a_run_that_ends_at_an_id_that_is_too_long(database, tmp_path):
    chain = long_one(tmp_path, database.url)
    fails(chain)
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert "revision-too-long" in codes(part)
    database.run(statement_told(part.recommendation.reason))  # the table was rolled back: it is created
    assert "revision-too-long" not in codes(chain.diagnose())
    led_out(chain, database, "a", "b", "c")


def test_a_stamp_before_an_id_that_is_too_long_goes_first(database, tmp_path):
    chain = chains.write(tmp_path / "p", database.url, {"r1": table("a"), "r2": table("b"), LONG: table("c")})
    chain.upgrade("r1")
    database.run("CREATE TABLE b (id serial PRIMARY KEY)")
    part = chain.diagnose()
    assert (part.recommendation.action, part.recommendation.revision) == (Action.STAMP, "r2")
    widen = statement_told(part.recommendation.reason)
    database.run(f"UPDATE alembic_version SET version_num = 'r2'; {widen}")
    led_out(chain, database, "a", "b", "c")


def test_on_mariadb_the_column_is_widened_in_its_dialect(maria, tmp_path):
    chain = long_one(tmp_path, maria.url)
    chain.upgrade("r1")
    fails(chain)  # the table stays, the version does not move
    part = chain.diagnose()
    assert part.recommendation.action is Action.STOP
    widen = statement_told(part.recommendation.reason)
    assert widen == "ALTER TABLE alembic_version MODIFY version_num VARCHAR(128) NOT NULL"
    maria.run(widen)
    part = chain.diagnose()
    assert (part.recommendation.action, part.recommendation.revision) == (Action.STAMP, LONG)
    maria.run(f"UPDATE alembic_version SET version_num = '{LONG}'")
    chain.upgrade("head")


def test_on_sqlite_every_id_fits(tmp_path):
    chain = long_one(tmp_path, f"sqlite:///{tmp_path / 'a.db'}")
    chain.upgrade("r1")
    assert "revision-too-long" not in codes(chain.diagnose())
    chain.upgrade("head")


# --- several heads -------------------------------------------------------------------------------------------------


def test_a_second_head_is_the_cause_if_nothing_else_fails(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"), table("c"))
    rewrite(chain, "versions/r3.py", "down_revision = 'r2'", "down_revision = 'r1'")
    chain.upgrade("r1")
    fails(chain)  # Multiple head revisions are present
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert "several-heads" in codes(part)
    assert "`alembic upgrade head` is ambiguous: the heads are r2 and r3. Upgrade" in part.recommendation.reason
    assert part.recommendation.steps == ("alembic upgrade heads",)
    led_out(chain, database, "a", "b", "c")


def test_merged_heads_are_one(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"), table("c"), "pass")
    rewrite(chain, "versions/r3.py", "down_revision = 'r2'", "down_revision = 'r1'")
    rewrite(chain, "versions/r4.py", "down_revision = 'r3'", "down_revision = ('r2', 'r3')")
    chain.upgrade("r1")
    assert codes(chain.diagnose()) == set()
    led_out(chain, database, "a", "b", "c")


# --- tables that create_all created --------------------------------------------------------------------------------


def follow(chain: Chain, database: Database) -> None:
    """Do what is recommended, step by step."""
    for step in chain.diagnose().recommendation.steps:
        if step.startswith("alembic upgrade "):
            chain.upgrade(step.split()[-1])
        elif step.startswith("alembic-rescue stamp "):
            stamped = alembic_rescue.stamp(
                chain.load(), step.split()[-1], confirm=lambda _: True, folder=chain.root / "receipts"
            )
            assert stamped.outcome is Outcome.STAMPED
        elif step != "alembic-rescue diagnose":
            database.run(step)


def test_tables_that_create_all_created_before_their_migrations(database, tmp_path):
    more = 'op.add_column("a", sa.Column("name", sa.Text))'
    chain = written(
        tmp_path, database, table("a"), more, table("b"), 'op.execute("CREATE INDEX ix ON a (name)")', table("c")
    )
    chain.upgrade("r1")
    database.run(
        "INSERT INTO a VALUES (1); CREATE TABLE b (id serial PRIMARY KEY); CREATE TABLE c (id serial PRIMARY KEY)"
    )
    database.run("INSERT INTO b VALUES (7)")
    fails(chain)
    part = chain.diagnose()
    assert part.recommendation.action is Action.RERUN
    assert part.recommendation.steps == (
        "alembic upgrade r2",
        "alembic-rescue stamp r3",
        "alembic upgrade r4",
        "alembic-rescue stamp r5",
    )
    assert "contradictory" not in part.recommendation.reason
    assert "will-fail" not in codes(part)  # r3 must be stamped, not fixed
    follow(chain, database)
    led_out(chain, database, "a", "b", "c")
    assert database.run("SELECT id FROM b") == [(7,)]


def test_a_table_from_create_all_that_blocks_a_rename_next_to_one_that_is_right(database, tmp_path):
    chain = written(tmp_path, database, table("old"), 'op.rename_table("old", "new")', table("c"))
    chain.upgrade("r1")
    database.run("INSERT INTO old VALUES (7); CREATE TABLE new (id serial PRIMARY KEY)")
    database.run("CREATE TABLE c (id serial PRIMARY KEY)")
    part = chain.diagnose()
    assert [step.partition(";")[0] for step in part.recommendation.steps] == [
        "SELECT count(*) FROM public.new",
        "DROP TABLE public.new",
        "alembic upgrade r2",
        "alembic-rescue stamp r3",
    ]
    assert "public.old" in part.recommendation.reason
    follow(chain, database)
    led_out(chain, database, "new", "c")
    assert database.run("SELECT id FROM new") == [(7,)]


def test_a_name_that_an_earlier_pending_revision_frees_is_not_in_the_way(database, tmp_path):
    chain = written(
        tmp_path, database, table("old") + table("new"), 'op.drop_table("new")', 'op.rename_table("old", "new")'
    )
    chain.upgrade("r1")
    part = chain.diagnose()
    assert (codes(part), part.recommendation.steps) == (set(), ("alembic upgrade head",))
    led_out(chain, database, "new")


# --- extensions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why", "fix"),
    [
        ("postgis", "which is not installed on the database's server", "install postgis on that server"),
        ("vector", "may not: only a superuser may create it", "have a superuser run CREATE EXTENSION vector;"),
    ],
)
def test_an_extension_that_the_live_server_refuses_to_create(database, tmp_path, name, why, fix):
    create = f'op.execute("CREATE EXTENSION IF NOT EXISTS {name}")'
    chain = written(tmp_path, database, table("a"), create, table("b"))
    chain.upgrade("r1")
    fails(chain)
    part = chain.diagnose()
    assert "extension-barred" in codes(part)
    assert part.recommendation.action is Action.RERUN
    for words in (line_of(chain, "versions/r2.py", "EXTENSION"), why):
        assert words in part.recommendation.reason
    assert fix.lower() in part.recommendation.reason.lower()
    if name == "vector":
        database.run("CREATE EXTENSION vector", role="postgres")
        assert "extension-barred" not in codes(chain.diagnose())
        led_out(chain, database, "a", "b")


# --- files whose order, or id, was changed -------------------------------------------------------------------------


def test_a_revision_that_was_inserted_before_one_that_has_run(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"), table("c"))
    rewrite(chain, "versions/r3.py", "down_revision = 'r2'", "down_revision = 'r1'")
    chain.upgrade("r3")
    rewrite(chain, "versions/r3.py", "down_revision = 'r1'", "down_revision = 'r2'")
    chain.upgrade("head")  # has nothing to do
    part = chain.diagnose()
    assert (part.recommendation.action, part.recommendation.revision) == (Action.COMPLETE, "r2")

    part = chain.applied()
    (note,) = part.findings
    assert note.message.startswith("r2 counts as applied because r3, which follows it, has run, but its table public.b")
    assert note.help.startswith("r3 was moved after it, or its objects were dropped.")
    assert (part.recommendation.action, part.recommendation.revision) == (Action.COMPLETE, "r2")
    for missing in chains.by_id(part)["r2"].missing:
        if missing.sql:
            database.run(missing.sql)
    led_out(chain, database, "a", "b", "c")


def test_a_missing_last_revision_was_not_moved(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"))
    chain.upgrade("r1")
    database.run("UPDATE alembic_version SET version_num = 'r2'")
    (note,) = chain.applied().findings
    assert note.message.startswith("r2 counts as applied, but")


def test_an_id_in_two_files_is_refused_and_both_are_named(database, tmp_path):
    chain = written(tmp_path, database, table("a"), table("b"))
    twin = chain.root / "alembic" / "versions" / "twin.py"
    twin.write_text((chain.root / "alembic" / "versions" / "r2.py").read_text())
    with pytest.raises(DuplicateRevision) as refused:
        chain.diagnose()
    assert all(name in refused.value.message for name in ("r2.py", "twin.py"))
    assert "down_revision" in refused.value.help
    twin.write_text(chains.HEADER.format(revision="r3", down="r2") + chains.module(table("c")))
    led_out(chain, database, "a", "b", "c")
