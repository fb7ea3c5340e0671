"""A chain that really runs on a scratch database, and the observations of each revision in question."""

from __future__ import annotations

import threading

import pytest

from alembic_rescue.evidence.observation import StatementKind
from tests.conftest import fresh_database
from tests.scratching import ENV, chain, run, visit

QUERY, SESSION, CATALOG, DATA = StatementKind
TABLE = 'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Integer))'


def observed(tmp_path, database, *bodies, behind=1, **given):
    """The observations of the revisions after the first `behind`."""
    ids = [f"r{number}" for number in range(1, len(bodies) + 1)]
    project = chain(tmp_path, database, *bodies, **given)
    done, _ = run(project, visits=[visit(*ids[behind:], behind=tuple(ids[:behind]))])
    assert done.is_whole, done
    return done.visits[0].observations


def kinds(observation):
    return [one.kind for one in observation.statements]


def changed(observation):
    """The names of what was created (+), removed (-) and changed (~)."""
    return {
        f"{'+' if one.before is None else '-' if one.after is None else '~'}{one.object.kind} {one.object.name}"
        for one in observation.changes
    }


def test_a_step_is_observed_with_what_it_changed_and_sent(database, tmp_path):
    (made, filled, nothing) = observed(
        tmp_path,
        database,
        "",
        TABLE + '\nop.create_index("i", "t", ["b"])',
        'op.get_bind().execute(text("update t set b = :b where id = :id"), {"b": 1, "id": 2})',
        'op.get_bind().execute(text("select count(*) from t"))',
    )
    assert {"+table public.t", "+table column public.t.b", "+index public.i"} <= changed(made)
    assert kinds(made) == [CATALOG, CATALOG]
    by_object = {one.object.name: one.statement for one in made.changes}
    assert (by_object["public.t"], by_object["public.t.b"], by_object["public.i"]) == (0, 0, 1)
    (update,) = filled.statements
    assert (update.sql, update.kind) == ("update t set b = 1 where id = 2", DATA)
    assert (update.path, update.line) == (filled.path, filled.line + 1)
    assert not filled.changes
    assert (kinds(nothing), nothing.changes, nothing.left_out) == ([QUERY], (), ())
    assert database.versions() == ["r4"]


def test_guards_and_loops_see_the_state_of_their_moment(database, tmp_path):
    guard = """
        if "b" in [c["name"] for c in inspect(op.get_bind()).get_columns("t")]:
            op.drop_column("t", "b")
        else:
            op.add_column("t", sa.Column("b", sa.Integer))
        for row in op.get_bind().execute(text("select id from t")):
            op.execute(f"insert into t values ({row.id})")
    """
    first, second = observed(tmp_path, database, TABLE, guard, guard)
    assert changed(first) == {"-table column public.t.b"}
    assert changed(second) == {"+table column public.t.b"}
    assert [(one.source, one.sends) for one in first.left_out] == [
        ('op.add_column("t", sa.Column("b", sa.Integer))', CATALOG),
        ('op.execute(f"insert into t values ({row.id})")', DATA),
    ]


FOR_EACH_ROW = {
    "a comprehension": "[bind.execute(text('delete from t where id = 1')) for row in {rows}]",
    "a map": "list(map(lambda row: bind.execute(text('delete from t where id = 1')), {rows}))",
    "a conditional expression": "bind.execute(text('delete from t')) if {rows} else None",
    "an `and`": "{rows} and bind.execute(text('delete from t'))",
    "a loop on one line": "for row in {rows}: bind.execute(text('delete from t where id = 1'))",
    "rows to be inserted": "op.bulk_insert(sa.table('t', sa.column('id')), [{{'id': row.id}} for row in {rows}])",
}


@pytest.mark.parametrize("line", FOR_EACH_ROW.values(), ids=FOR_EACH_ROW)
def test_a_line_that_only_queried_rows_has_not_changed_any(database, tmp_path, line):
    body = "bind = op.get_bind()\n" + line.format(rows="bind.execute(text('select id from t')).all()")
    (asked,) = observed(tmp_path, database, TABLE, body)
    assert kinds(asked) == [QUERY]
    assert {one.sends for one in asked.left_out} == {DATA}


def test_what_others_write_elsewhere_on_the_server_is_not_attributed_to_the_revision(server, database, tmp_path):
    over = threading.Event()

    def write_on(other):
        with other.session() as theirs, theirs.cursor() as cursor:
            theirs.autocommit = True
            while not over.wait(0.001):
                cursor.execute("SELECT txid_current()")

    with fresh_database(server) as other:
        busy = threading.Thread(target=write_on, args=[other])
        busy.start()
        try:
            body = "import time\nop.get_bind().execute(text('select id from t'))\ntime.sleep(0.2)"
            (asked,) = observed(tmp_path, database, TABLE, body)
        finally:
            over.set()
            busy.join()
    assert kinds(asked) == [QUERY]


def test_a_rename_is_reported_as_one(database, tmp_path):
    (renamed,) = observed(tmp_path, database, TABLE, 'op.rename_table("t", "u")')
    assert ("public.t", "public.u") in [(old.name, new.name) for old, new in renamed.renames]


def test_a_swallowed_failure_is_reported_with_its_handler(database, tmp_path):
    helper = """
        def tried(bind, sql):
            try:
                with bind.begin_nested():
                    bind.exec_driver_sql(sql)
            except Exception:
                print("it failed")
    """
    (one,) = observed(
        tmp_path,
        database,
        TABLE,
        'from helpers import tried\ndef upgrade():\n    tried(op.get_bind(), "drop table nothing")\n',
        files={"helpers.py": helper},
    )
    (failed,) = [statement for statement in one.statements if statement.error]
    assert failed.error == 'table "nothing" does not exist'
    assert failed.path.endswith("helpers.py")
    assert (failed.line, failed.handler_line) == (5, 6)
    assert one.failure is None


def test_a_successful_statement_is_reported_at_the_revisions_own_line(database, tmp_path):
    helper = "from alembic import op\ndef add(name):\n    op.execute(f'ALTER TABLE t ADD COLUMN {name} int')\n"
    (one,) = observed(
        tmp_path,
        database,
        TABLE,
        "from helpers import add\ndef upgrade():\n    add('c')\n    add('d')\n",
        files={"helpers.py": helper},
    )
    assert [(statement.path, statement.line - one.line) for statement in one.statements] == [
        (one.path, 1),
        (one.path, 2),
    ]


def test_a_revision_that_fails_ends_its_visit_and_is_rolled_back(database, tmp_path):
    project = chain(
        tmp_path, database, TABLE, 'op.add_column("t", sa.Column("c", sa.Integer))\nop.drop_table("x")', TABLE
    )
    done, _ = run(project, visits=[visit("r2", "r3", behind=("r1",))])
    (one,) = done.visits
    assert (one.failed, one.failure.error) == ("r2", 'table "x" does not exist')
    assert one.failure.path.endswith("r2.py")
    assert one.failure.statement.strip() == "DROP TABLE x"
    (observation,) = one.observations
    assert observation.failure == one.failure
    assert [statement.error is None for statement in observation.statements] == [True, False]
    assert database.versions() == ["r1"]

    again, _ = run(project, visits=[visit("r2", "r3", behind=("r1",))], stamped_over={"r2"})
    assert (again.visits[0].failed, again.visits[0].failure.error) == ("r3", 'relation "t" already exists')
    assert [one.revision for one in again.visits[0].observations] == ["r3"]
    assert database.versions() == ["r2"]


def test_the_swallowed_failure_is_named_where_it_aborts_the_transaction(database, tmp_path):
    body = """
        try:
            op.execute("create type m as enum ('a')")
        except Exception:
            pass
        """
    project = chain(tmp_path, database, body, body)
    done, _ = run(project, visits=[visit("r1", "r2")])
    (one,) = done.visits
    assert one.failed == "r2"
    assert "current transaction is aborted" in one.failure.error
    assert 'type "m" already exists' in one.failure.error
    assert one.failure.statement == "create type m as enum ('a')"


def test_an_enums_new_label_can_be_used_in_the_next_revision(database, tmp_path):
    label, _ = observed(
        tmp_path,
        database,
        "op.execute(\"create type m as enum ('a')\")",
        "op.execute(\"alter type m add value 'b'\")",
        "op.execute(\"create table t (m m default 'b')\")",
    )
    assert any("enum label" in one for one in changed(label))


@pytest.mark.parametrize("revision", ["raise SystemExit(3)", "import sys; sys.exit(3)"])
def test_a_revision_that_exits_is_a_failure(database, tmp_path, revision):
    done, _ = run(chain(tmp_path, database, revision), visits=[visit("r1")])
    assert done.visits[0].failure.error == "it ends the program (3)"


def test_after_a_workers_death_the_next_one_continues(database, tmp_path):
    project = chain(tmp_path, database, TABLE, "", "import os; os._exit(9)")
    with pytest.raises(AssertionError, match="status 9"):
        run(project, visits=[visit("r2", "r3", behind=("r1",))])
    done, sent = run(project, visits=[visit("r2", "r3", behind=("r1",))], stamped_over={"r3"})
    assert done.is_whole
    assert sent == [{"visit": 0, "revision": "r3", "number": 1, "of": 1}]


def test_observations_are_sent_while_it_runs(database, tmp_path):
    done, sent = run(chain(tmp_path, database, TABLE, ""), visits=[visit("r2", behind=("r1",))])
    assert [one.get("revision") for one in sent] == ["r1", "r2", None]
    assert sent[-1] == {"visit": 0, "observed": done.visits[0].observations[0]}


def test_stamped_revisions_are_not_observed_and_the_following_ones_are(database, tmp_path):
    project = chain(tmp_path, database, TABLE, "op.drop_table('x')", 'op.get_bind().execute(text("select 1"))')
    done, _ = run(project, visits=[visit("r2", "r3", behind=("r1",))], stamped_over={"r2"})
    (three,) = done.visits[0].observations
    assert (three.revision, three.changes, kinds(three)) == ("r3", (), [QUERY])


def test_an_env_py_that_fails_after_its_visits_is_another_case(database, tmp_path):
    project = chain(tmp_path, database, TABLE, env=ENV + "raise RuntimeError('no mail')\n")
    done, _ = run(project, visits=[visit("r1")])
    assert done.is_whole
    assert done.error.error == "RuntimeError: no mail"


def test_a_missing_visit_is_reported(database, tmp_path):
    project = chain(tmp_path, database, TABLE, env="")
    done, _ = run(project, visits=[visit("r1")])
    assert (done.unvisited, done.visits, done.error) == ((0,), (), None)


def test_settings_of_the_transaction_persist_across_the_commits(database, tmp_path):
    env = ENV.replace(
        "        context.run_migrations()",
        '        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS shop")\n'
        '        connection.exec_driver_sql("SET LOCAL search_path TO shop, public")\n'
        "        context.run_migrations()",
    )
    first, second = observed(tmp_path, database, "", TABLE, 'op.add_column("t", sa.Column("c", sa.Integer))', env=env)
    assert "+table shop.t" in changed(first)
    assert "+table column shop.t.c" in changed(second)


KINDS = {
    "op.execute(\"select setval('s', 9)\")": DATA,
    'op.execute("select f()")': DATA,
    'op.execute("select g()")': DATA,
    'op.execute("select pg_catalog.int4pl(1, 2)")': QUERY,
    'op.get_bind().execute(text("select txid_current_snapshot()"))': QUERY,
    'op.execute("do $$ begin perform f(); end $$")': DATA,
    'op.execute("alter table t alter b type bigint using b * 2")': CATALOG,
    'op.execute("alter table t alter b type bigint using b * 3")': DATA,
    'op.execute("create table u as select * from t")': CATALOG,
    'op.execute("create temp table v as select * from t")': SESSION,
}


def test_the_server_reports_what_the_text_does_not_show(database, tmp_path):
    first = (
        TABLE + '\nop.execute("create sequence s")\n'
        "op.execute(\"create function f() returns int language sql as 'insert into t values (1) returning id'\")\n"
        "op.execute(\"create function g() returns int language sql stable as 'select 1'\")"
    )
    steps = observed(tmp_path, database, first.replace("primary_key=True", ""), *KINDS)
    assert {body: kinds(step) for body, step in zip(KINDS, steps, strict=True)} == {b: [k] for b, k in KINDS.items()}


def test_a_large_object_is_data(database, tmp_path):
    """The server numbers it: in another database that number is another object, or none."""
    (made,) = observed(tmp_path, database, TABLE, "op.execute(\"select lo_from_bytea(0, 'x')\")")
    assert (kinds(made), made.changes) == ([DATA], ())


def test_statements_that_bypass_sqlalchemy_are_seen(database, tmp_path):
    (one, two) = observed(
        tmp_path,
        database,
        TABLE,
        "cursor = op.get_bind().connection.cursor()\ncursor.execute('insert into t values (%s)', (7,))",
        "raw = op.get_bind().engine.raw_connection()\nraw.cursor().execute('insert into t values (8)')\nraw.commit()",
    )
    assert DATA in kinds(one)
    assert DATA in kinds(two)


OUTSIDE = {
    "a socket, swallowed": """
        import socket
        try:
            socket.create_connection(("127.0.0.1", 9), 1)
        except OSError:
            pass
        """,
    "a program, by a helper": """
        from helpers import start
        start()
        """,
    "a thread that goes on": """
        import threading, helpers
        thread = threading.Thread(target=helpers.start)
        thread.start()
        thread.join()
        """,
}


@pytest.mark.parametrize("body", OUTSIDE.values(), ids=OUTSIDE)
def test_an_attempt_to_reach_outside_is_attributed_to_its_revision(database, tmp_path, body):
    helpers = """
        import subprocess
        def start():
            try:
                subprocess.run(["true"])
            except OSError:
                pass
        """
    env = "import socket, threading\n" + ENV.replace(
        "    context.configure(connection=connection)",
        "    tell = lambda **_: socket.create_connection(('127.0.0.1', 9))\n"
        "    context.configure(connection=connection, on_version_apply=[tell])",
    )
    project = chain(
        tmp_path, database, TABLE, body, TABLE.replace('"t"', '"u"'), env=env, files={"helpers.py": helpers}
    )
    led = {
        "host": str(database.server.pgdata),
        "port": database.server.port,
        "database": database.name,
        "user": "postgres",
    }
    done, _ = run(project, led=led, visits=[visit("r2", "r3", behind=("r1",))])
    assert done.is_whole, done
    two, three = done.visits[0].observations
    (refused,) = two.outside
    assert refused.path.endswith(("r2.py", "helpers.py"))
    assert refused.line
    assert three.outside == ()
