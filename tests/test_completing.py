"""``complete``: what a partial revision lacks is created and proved again, and can be reverted (promises 3 and 7)."""

from __future__ import annotations

import json
import signal

import pytest

from tests import chains
from tests.conftest import ProjectCopy
from tests.terminal import at_a_terminal
from tests.watching import until
from tests.writing import write_env

TABLES = "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('old', sa.Text))"
HALF = """
op.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
op.add_column('t', sa.Column('a', sa.Integer, server_default='1', nullable=False))
op.create_table('u', sa.Column('id', sa.Integer, primary_key=True), sa.Column('t', sa.Integer, sa.ForeignKey('t.id')))
op.create_index('ix_old', 't', ['old'])
op.create_unique_constraint('uq_old', 't', ['old', 'id'])
op.execute('CREATE VIEW v AS SELECT id, old FROM t')
op.alter_column('t', 'old', nullable=False)
"""
LAST = "op.create_table('w', sa.Column('id', sa.Integer, primary_key=True))"


@pytest.fixture
def make(database, tmp_path):
    def made(*bodies, at="r1"):
        revisions = {f"r{n}": body for n, body in enumerate(bodies, 1)}
        root = chains.write(tmp_path / "project", database.url, revisions).root
        copy = ProjectCopy(root, tmp_path / "state", database)
        assert copy.alembic("upgrade", "head").status == 0
        database.stand_at(at)
        return copy

    return made


def catalog(database):
    """Everything that a dump of the schema shows."""
    return database.run(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(adbin, adrelid) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_attribute a ON attrelid = c.oid "
        "LEFT JOIN pg_attrdef d ON adrelid = c.oid AND adnum = attnum "
        "WHERE nspname = 'public' AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"
    ) + database.run(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 2200 ORDER BY 1"
    )


LOST = (
    "DROP TYPE mood",
    "DROP TABLE u",
    "DROP INDEX ix_old",
    "ALTER TABLE t DROP COLUMN a",
    "DROP VIEW v",
    "ALTER TABLE t ALTER COLUMN old DROP NOT NULL",
    "ALTER TABLE t DROP CONSTRAINT uq_old",
)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [LOST[:3], LOST[3:], LOST[:6]], ids=["first", "last", "all but one"])
def test_missing_objects_are_created_and_removed_again(lost, make, database):
    project = make(TABLES, HALF, LAST)
    database.run("DROP TABLE w")
    whole = catalog(database)
    for statement in lost:
        database.run(statement)
    half = catalog(database)
    looked = project.rescue_json("diagnose")["databases"][0]["recommendation"]
    assert (looked["action"], looked["command"]) == ("complete", "alembic-rescue complete r2")
    answer = project.rescue_json("complete", "r2", "--yes", "--reason", "stuck")
    assert answer["outcome"] == "completed", answer
    assert catalog(database) == whole
    (part,) = answer["databases"]
    assert part["revisions"][0]["verdict"] == "applied"
    assert part["recommendation"]["command"] == "alembic-rescue stamp r2"
    assert part["rehearsal"]["passes"]
    (receipt,) = project.receipts
    kept = json.loads(receipt.read_text())
    assert (kept["command"], kept["state"], kept["reason"]) == ("complete", "verified", "stuck")
    assert database.versions() == ["r1"], "it stamps nothing"
    assert part["completion"]["stays"] == []
    for statement in kept["parts"][0]["sql"]:
        database.run(statement)
    assert catalog(database) == half
    assert project.rescue("complete", "r2", "--yes").status == 0, "and again"
    assert project.rescue("stamp", "r2", "--yes").status == 0
    assert project.alembic("upgrade", "head").status == 0
    assert project.rescue_json("complete", "r2", "--yes")["outcome"] == "nothing-to-do"


@pytest.mark.slow
def test_objects_missing_from_revisions_that_count_as_applied_are_created(make, database):
    project = make(TABLES, HALF, LAST, at="r3")
    database.run("DROP INDEX ix_old")
    looked = project.rescue_json("diagnose", "--applied")["databases"][0]["recommendation"]
    assert looked["command"] == "alembic-rescue complete r2"
    assert project.rescue_json("complete", "r2", "--yes")["outcome"] == "completed"
    assert project.rescue_json("diagnose", "--applied")["databases"][0]["recommendation"]["action"] == "nothing"


@pytest.mark.slow
def test_labels_and_concurrent_indexes_run_on_their_own(make, database):
    body = (
        "op.create_table('n', sa.Column('id', sa.Integer))\n"
        "op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute(\"ALTER TYPE mood ADD VALUE 'sad'\")\n"
        "    op.execute('CREATE INDEX CONCURRENTLY ix ON t (old)')\n"
        "op.execute(\"ALTER TABLE t ADD COLUMN m mood DEFAULT 'sad'\")"
    )
    project = make(TABLES, body)
    database.run("ALTER TABLE t DROP COLUMN m; DROP INDEX ix; DROP TYPE mood; CREATE TYPE mood AS ENUM ('ok')")
    answer = project.rescue_json("complete", "r2", "--yes")
    (part,) = answer["databases"]
    told = part["completion"]
    assert [len(told[which]) for which in ("first", "together", "last")] == [1, 1, 1], told
    assert "ADD VALUE" in told["first"][0]
    assert "CONCURRENTLY" in told["last"][0]
    assert any("sad" in one for one in told["stays"]), "no label is ever taken away"
    assert answer["outcome"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("locked", ["s", "t"], ids=["together", "last"])
def test_a_completion_killed_between_its_parts_can_be_run_again(locked, make, database):
    """The label is committed by then; the transaction waits for a lock, or the index for writers."""
    first = (
        f"op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")\nop.create_table('s', sa.Column('id', sa.Integer))\n{TABLES}"
    )
    body = (
        "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE mood ADD VALUE 'sad'\")\n"
        "op.add_column('s', sa.Column('a', sa.Integer))\n"
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY ix ON t (old)')\n"
        "op.create_table('u', sa.Column('id', sa.Integer))"
    )
    project = make(first, body)
    database.run("ALTER TABLE s DROP COLUMN a; DROP INDEX ix; DROP TYPE mood; CREATE TYPE mood AS ENUM ('ok')")
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.session() as holder:
        holder.cursor().execute(f"LOCK TABLE {locked} IN ROW EXCLUSIVE MODE")
        running = project.started("complete", "r2", "--yes", "--lock-timeout", "30")
        until(lambda: database.run(waits) == [(1,)], "it waits")
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert database.run("SELECT count(*) FROM pg_enum WHERE enumlabel = 'sad'") == [(1,)]
    until(lambda: database.run(waits) == [(0,)], "what it had begun ends")
    answer = project.rescue_json("complete", "r2", "--yes")
    assert answer["outcome"] in {"completed", "nothing-to-do"}, answer
    assert project.rescue_json("diagnose")["databases"][0]["recommendation"]["command"] == "alembic-rescue stamp r2"


@pytest.mark.slow
def test_statements_that_change_rows_are_shown_and_never_run(make, database):
    body = (
        "op.add_column('t', sa.Column('a', sa.Integer))\nop.execute('UPDATE t SET a = 1')\n"
        "op.create_table('u', sa.Column('id', sa.Integer))"
    )
    project = make(TABLES, body)
    database.run("DROP TABLE u; INSERT INTO t (id) VALUES (1)")
    answer = project.rescue_json("complete", "r2", "--yes")
    (part,) = answer["databases"]
    assert answer["outcome"] == "completed"
    assert database.run("SELECT a FROM t") == [(None,)]
    (told,) = [finding for finding in part["findings"] if finding["code"] == "rows-not-run"]
    assert "UPDATE t SET a = 1" in told["message"]
    assert "r2.py:10" in told["message"]
    assert part["recommendation"]["action"] == "stop", "a person has to look at the rows"


@pytest.mark.slow
def test_a_statement_that_the_rows_do_not_fit_is_rolled_back(make, database):
    project = make(TABLES, HALF)
    database.run("ALTER TABLE t ALTER COLUMN old DROP NOT NULL; DROP TABLE u; INSERT INTO t (id) VALUES (1)")
    half = catalog(database)
    answer = project.rescue("--format", "json", "complete", "r2", "--yes")
    assert (answer.status, answer.json["error"]["code"]) == (4, "completion-failed")
    assert "null values" in answer.json["error"]["message"]
    assert catalog(database) == half
    (receipt,) = project.receipts
    assert json.loads(receipt.read_text())["state"] == "not-written"


@pytest.mark.slow
def test_refused_where_there_is_nothing_to_complete(make, database):
    project = make(TABLES, "op.execute('UPDATE t SET id = id')", LAST)
    database.run("DROP TABLE w")

    def refused(revision):
        answer = project.rescue("--format", "json", "complete", revision, "--yes")
        assert answer.status == 3
        return answer.json["refusals"][0]

    assert refused("r3")["code"] == "not-partial"
    assert "alembic upgrade" in refused("r3")["help"]
    assert "cannot be verified" in refused("r2")["message"]
    assert project.rescue_json("complete", "r1", "--yes")["outcome"] == "nothing-to-do"
    assert project.receipts == []


@pytest.mark.slow
def test_statements_that_fail_on_a_copy_are_not_run(make, database):
    project = make(TABLES, HALF)
    database.run("DROP INDEX ix_old; ALTER TABLE t DROP CONSTRAINT uq_old; CREATE TABLE uq_old ()")
    answer = project.rescue("--format", "json", "complete", "r2", "--yes")
    assert (answer.status, answer.json["refusals"][0]["code"]) == (3, "completion-would-fail")
    assert database.run("SELECT to_regclass('ix_old')") == [(None,)]


@pytest.mark.slow
def test_it_does_not_wait_for_another_rescue_nor_longer_than_it_may(make, database):
    project = make(TABLES, HALF)
    database.run("DROP INDEX ix_old")
    with database.session() as holder:
        holder.cursor().execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
        answer = project.rescue("--format", "json", "complete", "r2", "--yes", "--lock-timeout", "1")
    assert (answer.status, answer.json["error"]["code"]) == (4, "lock-timeout")
    assert database.run("SELECT to_regclass('ix_old')") == [(None,)]


@pytest.mark.slow
def test_it_asks_and_no_means_no(make, database):
    project = make(TABLES, HALF)
    database.run("DROP INDEX ix_old; DROP VIEW v")
    assert project.rescue("complete", "r2").status == 2, "without a terminal"
    with at_a_terminal(project, "complete", "r2") as terminal:
        terminal.wait_for("Run these 2 statements in")
        terminal.type("n\r")
        assert terminal.end() == 3, terminal.text
    assert "CREATE INDEX ix_old" in terminal.text
    assert database.run("SELECT to_regclass('v')") == [(None,)]
    assert project.receipts == []


MEDDLER = """
CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT FROM t) AND to_regclass('ix_old') IS NOT NULL THEN DROP INDEX ix_old; END IF;
END $$;
CREATE EVENT TRIGGER meddler ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION meddle();
"""


@pytest.mark.slow
def test_objects_that_are_still_missing_afterwards_are_reported(make, database):
    """Because somebody removes it again, for example: here, a trigger that does nothing without rows."""
    project = make(TABLES, HALF)
    database.run("DROP INDEX ix_old; INSERT INTO t (id, old) VALUES (1, 'x')")
    database.run(MEDDLER, role="postgres")
    answer = project.rescue("--format", "json", "complete", "r2", "--yes")
    assert (answer.status, answer.json["error"]["code"]) == (5, "not-completed"), answer
    assert "ix_old" in answer.json["error"]["message"]
    (receipt,) = project.receipts
    kept = json.loads(receipt.read_text())
    assert kept["state"] == "failed"
    told = answer.json["error"]["help"]
    assert str(receipt) in told
    assert kept["parts"][0]["sql"] == ["DROP INDEX public.ix_old;"]
    assert "DROP INDEX public.ix_old;" in told


TYPE = "op.execute(\"CREATE TYPE mood AS ENUM ('ok', 'bad')\")"
WITH_INDEX = """
op.create_table('u', sa.Column('id', sa.Integer, primary_key=True), sa.Column('t', sa.Integer))
op.create_index('ix_u', 'u', ['t'])
"""
SWALLOWING = f"""{WITH_INDEX}
try:
    op.execute("CREATE TYPE mood AS ENUM ('ok')")
except Exception:
    pass
"""
MADE_U = "CREATE TABLE u (id serial PRIMARY KEY, t integer)"


@pytest.mark.slow
def test_a_revision_that_only_copies_of_the_schema_prove_is_completed(database, tmp_path):
    """Its chain fails from empty.  The proof afterwards needs new copies, because the schema has changed."""
    root = chains.write(tmp_path / "project", database.url, {"r1": TYPE, "r2": SWALLOWING, "r3": LAST}).root
    project = ProjectCopy(root, tmp_path / "state", database)
    assert project.alembic("upgrade", "r1").status == 0
    database.run(MADE_U)

    def objects():
        (revision,) = (r for r in project.rescue_json("diagnose")["databases"][0]["revisions"] if r["revision"] == "r2")
        return [(found["kind"], found["presence"]) for found in revision["objects"]]

    assert objects() == [("table", "present"), ("index", "absent"), ("enum", "present")]
    answer = project.rescue_json("complete", "r2", "--yes")
    assert answer["outcome"] == "completed", answer
    assert answer["databases"][0]["revisions"][0]["verdict"] == "applied"
    assert answer["databases"][0]["rehearsal"]["passes"]
    assert objects() == [("table", "present"), ("index", "present"), ("enum", "present")], "the same objects"


@pytest.mark.slow
def test_a_revision_is_completed_before_there_is_a_version_table(database, tmp_path):
    root = chains.write(tmp_path / "project", database.url, {"r1": WITH_INDEX}).root
    project = ProjectCopy(root, tmp_path / "state", database)
    database.run(MADE_U)
    looked = project.rescue_json("diagnose")["databases"][0]["recommendation"]
    assert looked["command"] == "alembic-rescue complete r1"
    answer = project.rescue_json("complete", "r1", "--yes")
    assert answer["outcome"] == "completed", answer
    assert database.run("SELECT to_regclass('alembic_version')") == [(None,)], "it stamps nothing"
    assert answer["databases"][0]["recommendation"]["command"] == "alembic-rescue stamp r1"
    assert project.rescue("stamp", "r1", "--yes").status == 0
    assert database.versions() == ["r1"]


@pytest.mark.slow
@pytest.mark.parametrize("default", ["'x'", "sa.text('now()::text')"])
def test_a_missing_table_is_created_with_what_has_a_statement_of_its_own_once(default, make, database):
    body = (
        f"{LAST}\n{WITH_INDEX}\nop.add_column('u', sa.Column('a', sa.Text, server_default={default}))\n"
        "op.create_foreign_key('fk_w', 'u', 'w', ['t'], ['id'])"
    )
    project = make(TABLES, body)
    whole = catalog(database)
    database.run("DROP TABLE u")
    answer = project.rescue_json("complete", "r2", "--yes")
    assert answer["outcome"] == "completed", answer
    (part,) = answer["databases"]
    assert part["revisions"][0]["verdict"] == "applied"
    assert part["completion"]["by_hand"] == []
    assert sum("ix_u" in sql for sql in part["completion"]["together"]) == 1
    assert catalog(database) == whole


TENANTS = """
for tenant in ("blue", "green"):
    with engine.connect() as connection:
        connection.execute(text(f"SET search_path TO {tenant}"))
        connection.commit()
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
"""


@pytest.mark.slow
def test_several_databases_are_completed_one_at_a_time(database, tmp_path):
    root = chains.write(tmp_path / "project", database.url, {"r1": TABLES, "r2": HALF}).root
    project = ProjectCopy(root, tmp_path / "state", database)
    write_env(project, body=TENANTS)
    for tenant in ("blue", "green"):
        database.run(f"CREATE SCHEMA {tenant}")
    assert project.alembic("upgrade", "head").status == 0
    database.run("DROP INDEX blue.ix_old; DROP INDEX green.ix_old")
    answer = project.rescue("--format", "json", "complete", "r2", "--yes")
    assert (answer.status, answer.json["refusals"][0]["code"]) == (3, "several-partial")
    assert project.rescue_json("complete", "r2", "--yes", "--only", "green")["outcome"] == "completed"
    assert database.run("SELECT to_regclass('green.ix_old')::text, to_regclass('blue.ix_old')") == [
        ("green.ix_old", None)
    ]
    assert project.rescue_json("complete", "r2", "--yes")["outcome"] == "completed", "the other one is the only one"


@pytest.mark.slow
def test_a_half_run_revision_on_mariadb_is_completed_statement_by_statement(maria, tmp_path):
    """Its schema cannot be copied: that is reported, and the statements run nevertheless."""
    bodies = {
        "r1": "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('old', sa.String(9)))",
        "r2": "op.create_table('u', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.create_index('ix_old', 't', ['old'])\nop.add_column('t', sa.Column('a', sa.Integer))",
    }
    root = chains.write(tmp_path / "project", maria.url, bodies).root
    project = ProjectCopy(root, tmp_path / "state")
    assert project.alembic("upgrade", "head").status == 0
    maria.run("UPDATE alembic_version SET version_num = 'r1'")
    maria.run("DROP INDEX ix_old ON t")
    maria.run("ALTER TABLE t DROP COLUMN a")
    command = project.rescue_json("diagnose")["databases"][0]["recommendation"]["command"]
    assert command == "alembic-rescue complete r2"
    answer = project.rescue_json("complete", "r2", "--yes")
    assert answer["outcome"] == "completed", answer
    (part,) = answer["databases"]
    assert "completion-not-tried" in [finding["code"] for finding in part["findings"]]
    assert part["revisions"][0]["verdict"] == "applied"
    assert project.rescue("stamp", "r2", "--yes").status == 0


LOSING = (
    "op.add_column('t', sa.Column('full', sa.Text))\nop.execute(\"UPDATE t SET \\\"full\\\" = old\")\n"
    "op.drop_column('t', 'old')\nop.create_index('ix', 't', ['id'])"
)


@pytest.mark.slow
def test_a_statement_that_would_take_the_rows_from_a_data_statement_is_not_run(make, database):
    """The UPDATE did not run: without the column that it reads it never can."""
    project = make(TABLES, LOSING)
    database.run("DROP INDEX ix; ALTER TABLE t ADD COLUMN old text")
    database.run("INSERT INTO t (id, old) VALUES (1, 'kept')")
    answer = project.rescue("--format", "json", "complete", "r2", "--yes")
    assert (answer.status, answer.json["refusals"][0]["code"]) == (3, "not-partial")
    assert "t.old" in answer.json["refusals"][0]["message"]
    assert database.run("SELECT old FROM t") == [("kept",)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "half", "stays"),
    [
        ("op.drop_column('t', 'old')", "ALTER TABLE t ADD COLUMN old text", "the values of public.t.old"),
        ("op.rename_table('t', 'tt')", "ALTER TABLE tt RENAME TO t", "RENAME"),
    ],
    ids=["dropped", "renamed"],
)
def test_what_cannot_be_reverted_is_named(body, half, stays, make, database):
    project = make(TABLES, f"op.create_table('u', sa.Column('id', sa.Integer))\n{body}")
    database.run(half)
    answer = project.rescue_json("complete", "r2", "--yes")
    assert answer["outcome"] == "completed", answer
    told = answer["databases"][0]["completion"]
    assert stays in told["stays"][0]
    assert told["back"] == []


@pytest.mark.slow
def test_an_object_that_somebody_creates_meanwhile_is_noticed(make, database):
    project = make(TABLES, HALF)
    database.run("DROP INDEX ix_old; DROP VIEW v")
    with at_a_terminal(project, "complete", "r2") as terminal:
        terminal.wait_for("Run these 2 statements in")
        database.run("CREATE VIEW v AS SELECT id, old FROM t")
        terminal.type("y\r")
        assert terminal.end() == 3, terminal.text
    assert "error[completion-moved]" in terminal.text
    assert database.run("SELECT to_regclass('ix_old')") == [(None,)]


@pytest.mark.slow
def test_a_completions_receipt_cannot_be_undone(make, database):
    project = make(TABLES, HALF)
    database.run("DROP INDEX ix_old")
    assert project.rescue("complete", "r2", "--yes").status == 0
    (receipt,) = project.receipts
    answer = project.rescue("--format", "json", "undo", receipt.stem, "--yes")
    assert (answer.status, answer.json["refusals"][0]["code"]) == (3, "receipt-of-completion")
    assert "DROP INDEX public.ix_old;" in answer.json["refusals"][0]["help"]
    assert project.rescue("--format", "json", "undo", "--yes").json["refusals"][0]["code"] == "no-receipt"
