"""The chain in the project's own transactions, on a copy: what fails, and what of it stays."""

from __future__ import annotations

from tests.conftest import PROJECTS
from tests.scratching import ENV, chain, run, visit

TABLE = 'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))'
SWALLOWS = """
    try:
        op.execute("create type m as enum ('a')")
    except Exception:
        pass
"""


def own(tmp_path, database, *bodies, **given):
    ids = [f"r{number}" for number in range(1, len(bodies) + 1)]
    done, _ = run(chain(tmp_path, database, *bodies, **given), "run_as_project", visits=[visit(*ids)])
    return done.visits[0]


def test_a_run_that_passes_ends_where_it_should(database, tmp_path):
    one = own(tmp_path, database, TABLE, "op.drop_table('t')")
    assert (one.ran, one.failing, one.failed) == (("r1", "r2"), (), None)
    assert (one.rows_expected, one.rows_found) == (("r2",), ("r2",))
    assert not one.never_commits


def test_a_run_that_fails_is_rolled_back_as_in_the_project(database, tmp_path):
    one = own(tmp_path, database, TABLE, TABLE)
    assert (one.ran, one.failed, one.failure.error) == (("r1",), "r2", 'relation "t" already exists')
    ((revision, statement),) = one.failing
    assert (revision, statement.error, statement.handler_line) == ("r2", 'relation "t" already exists', None)
    assert one.transactional
    assert one.rows_found == ()
    assert not one.never_commits


def test_the_swallowed_failure_is_reported_with_the_one_that_it_causes(database, tmp_path):
    one = own(tmp_path, database, "op.execute(\"create type m as enum ('a')\")", SWALLOWS)
    assert one.failed == "r2"
    ((revision, statement),) = one.failing
    assert (revision, statement.error) == ("r2", 'type "m" already exists')
    assert statement.line + 1 == statement.handler_line


def test_in_autocommit_what_ran_before_a_failure_stays(database, tmp_path):
    env = ENV.replace("engine.connect()", 'engine.connect().execution_options(isolation_level="AUTOCOMMIT")')
    one = own(tmp_path, database, TABLE, "op.execute(\"create type m as enum ('a')\")", SWALLOWS, env=env)
    assert (one.failed, one.transactional) == (None, False)
    assert [statement.error for _, statement in one.failing] == ['type "m" already exists']
    assert one.rows_found == ("r3",)


def test_an_env_py_that_never_commits_is_detected(database, tmp_path):
    env = ENV.replace(
        "    context.configure", '    connection.exec_driver_sql("SET lock_timeout TO 1000")\n    context.configure'
    )
    one = own(tmp_path, database, TABLE, env=env)
    assert (one.failed, one.ran, one.rows_expected, one.rows_found) == (None, ("r1",), ("r1",), ())
    assert one.never_commits


def test_a_revision_id_that_is_too_long_fails_at_the_version_table(database, tmp_path):
    project = chain(tmp_path, database, TABLE)
    long = "r" * 40
    file = project.root / "alembic" / "versions" / "r1.py"
    file.write_text(file.read_text().replace('"r1"', f'"{long}"'))
    done, _ = run(project, "run_as_project", visits=[visit(long)])
    (one,) = done.visits
    assert (one.failed, one.failing) == (long, ())
    assert "value too long for type character varying(32)" in one.failure.error


def test_an_asynchronous_env_py_is_read_back_on_a_new_connection(database, tmp_path):
    env = (PROJECTS / "styles" / "async_asyncpg" / "alembic" / "env.py").read_text()
    project = chain(tmp_path, database, TABLE, SWALLOWS, env=env.replace("fileConfig(config", "str(config"))
    project.set_url(database.url.replace("psycopg2", "asyncpg"))
    done, _ = run(project, "run_as_project", visits=[visit("r1", "r2")])
    (one,) = done.visits
    assert (one.failed, one.rows_found, one.transactional) == (None, ("r2",), True)
