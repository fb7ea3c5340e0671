"""From evidence to a recommendation: the trap, its three sisters, and what cannot be told."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from alembic_rescue import catalog
from alembic_rescue.catalog import postgresql
from alembic_rescue.history import locate
from alembic_rescue.judging.evidence import recommend
from alembic_rescue.model import Action, Recommendation, Verdict
from tests import proving
from tests.conftest import Database

STANDS = "def upgrade():\n    op.execute(\"CREATE TYPE review AS ENUM ('open', 'closed')\")\n"
TABLES = """
def upgrade():
    op.create_table(
        "documents",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Enum("letter", "bill", name="document_kind"), nullable=False),
    )
"""
SWALLOWS = """
def upgrade():
    op.add_column("documents", sa.Column("version", sa.Integer, server_default="1", nullable=False))
    try:
        op.execute("CREATE TYPE review AS ENUM ('open', 'closed')")
    except Exception:
        pass
"""
CONVERTS = "def upgrade():\n    op.add_column('documents', sa.Column('uid', sa.String(36)))\n"
CHAIN = (STANDS, TABLES, SWALLOWS, CONVERTS)
PENDING = ["r2", "r3", "r4"]


def project(tmp_path: Path, database: Database, *bodies: str, per_migration: bool = False) -> Config:
    return proving.config_for(proving.written(tmp_path / "project", *bodies, per_migration=per_migration), database.url)


def judged(config: Config, pending: list[str]) -> tuple[list[str], Recommendation, list]:
    proof = proving.proof(config, pending)
    verdicts = [evidence.verdict.value for evidence in proof.revisions]
    return verdicts, recommend(proof.revisions, proof.causes), [*proof.causes]


def fail_to_upgrade(config: Config) -> None:
    with pytest.raises(DBAPIError, match="current transaction is aborted"):
        proving.upgrade(config, "head")


def test_the_trap_nothing_is_left(tmp_path, any_database) -> None:
    config = project(tmp_path, any_database, *CHAIN)
    proving.upgrade(config, "r1")
    fail_to_upgrade(config)
    verdicts, advice, causes = judged(config, PENDING)
    assert verdicts == ["not-applied", "not-applied", "not-applied"]  # the type that r3 stumbles over is r1's
    assert (advice.action, advice.revision) == (Action.RERUN, None)
    (cause,) = causes
    assert (cause.revision, cause.line, cause.swallowed, cause.handler_line) == ("r3", 10, True, 11)
    assert "review exists already" in cause.error
    assert "begin_nested" in cause.mend
    assert "r3.py:10" in advice.reason
    assert "rolled back" in advice.reason
    known = proving.proof(config, PENDING, behind=["r1"])
    assert [evidence.verdict.value for evidence in known.revisions] == ["not-applied"] * 3
    assert recommend(known.revisions, known.causes).action is Action.RERUN


def test_a_prefix_is_left(tmp_path, database) -> None:
    config = project(tmp_path, database, *CHAIN, per_migration=True)
    proving.upgrade(config, "r1")
    fail_to_upgrade(config)
    database.run("UPDATE alembic_version SET version_num = 'r1'")
    verdicts, advice, _ = judged(config, PENDING)
    assert verdicts == ["applied", "not-applied", "not-applied"]
    assert (advice.action, advice.revision) == (Action.STAMP, "r2")


def test_everything_was_made_by_hand(tmp_path, database) -> None:
    config = project(tmp_path, database, *CHAIN)
    proving.upgrade(config, "r1")
    database.run("CREATE TYPE document_kind AS ENUM ('letter', 'bill')")
    database.run("CREATE TABLE documents (id serial PRIMARY KEY, kind document_kind NOT NULL)")
    database.run("ALTER TABLE documents ADD version int NOT NULL DEFAULT 1")
    verdicts, advice, _ = judged(config, PENDING)
    assert verdicts == ["applied", "applied", "not-applied"]
    assert (advice.action, advice.revision) == (Action.STAMP, "r3")
    database.run("ALTER TABLE documents ADD uid varchar(36)")
    verdicts, advice, _ = judged(config, PENDING)
    assert (verdicts[-1], advice.action, advice.revision) == ("applied", Action.STAMP, "r4")
    assert judged(config, []) == ([], Recommendation(Action.NOTHING, None, advice_for_nothing()), [])


def advice_for_nothing() -> str:
    return recommend(()).reason


def test_half_of_a_revision_is_there(tmp_path, database) -> None:
    config = project(tmp_path, database, *CHAIN)
    proving.upgrade(config, "r1")
    database.run("CREATE TYPE document_kind AS ENUM ('letter')")
    database.run("CREATE TABLE documents (id int, kind document_kind)")
    proof = proving.proof(config, PENDING)
    advice = recommend(proof.revisions, proof.causes)
    assert (advice.action, advice.revision) == (Action.COMPLETE, "r2")
    for _ in range(2):
        for found in proving.proof(config, ["r2"]).revisions[0].missing:
            if found.sql:
                with contextlib.suppress(Exception):
                    database.run(found.sql)
    assert proving.proof(config, ["r2"]).revisions[0].verdict is Verdict.APPLIED


def test_what_contradicts_itself_stops(tmp_path, database) -> None:
    config = project(
        tmp_path,
        database,
        "def upgrade():\n    op.execute('CREATE TABLE a (x int)')\n",
        "def upgrade():\n    op.execute('CREATE TABLE b (x int)')\n",
    )
    database.run("CREATE TABLE b (x int)")
    verdicts, advice, _ = judged(config, ["r1", "r2"])
    assert verdicts == ["not-applied", "applied"]
    assert advice.action is Action.STOP
    assert "r2" in advice.reason


def test_what_cannot_be_checked_stops_and_is_named(tmp_path, database) -> None:
    config = project(tmp_path, database, "def upgrade():\n    op.execute('UPDATE pg_class SET relname = relname')\n")
    verdicts, advice, _ = judged(config, ["r1"])
    assert (verdicts, advice.action) == (["unverifiable"], Action.STOP)
    assert "line 8" in advice.reason


def test_nothing_to_check_never_means_applied(tmp_path, database) -> None:
    config = project(
        tmp_path, database, "def upgrade():\n    pass\n", "def upgrade():\n    op.execute('DROP TABLE IF EXISTS x')\n"
    )
    verdicts, advice, _ = judged(config, ["r1", "r2"])
    assert verdicts == ["empty", "empty"]
    assert advice.action is Action.STOP


@pytest.mark.parametrize(
    ("body", "swallowed"),
    [
        ("try:\n        op.execute('CREATE TABLE t (a int)')\n    except Exception:\n        print('there')", True),
        ("try:\n        op.execute('CREATE TABLE t (a int)')\n    except Exception:\n        raise", False),
        (
            (
                "try:\n        with op.get_bind().begin_nested():\n            op.execute('CREATE TABLE t (a int)')\n"
                "    except Exception:\n        pass"
            ),
            False,
        ),
        (
            (
                "with op.get_bind().begin_nested():\n        try:\n            op.execute('CREATE TABLE t (a int)')\n"
                "        except Exception:\n            pass"
            ),
            True,
        ),
        ("op.execute('CREATE TABLE t (a int)')", False),
        (
            "try:\n        pass\n    except Exception:\n        pass\n    else:\n        op.execute('CREATE TABLE t (a int)')",  # noqa: E501
            False,
        ),
    ],
)
def test_whether_a_failure_is_swallowed(tmp_path, database, body, swallowed) -> None:
    database.run("CREATE TABLE t (a int)")
    config = project(tmp_path, database, f"def upgrade():\n    {body}\n")
    (cause,) = proving.proof(config).causes
    assert cause.swallowed is swallowed


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP TABLE nowhere", "table nowhere does not exist"),
        ("ALTER TABLE nowhere ADD COLUMN x int", None),
        ("ALTER TABLE t ALTER COLUMN nowhere SET NOT NULL", "column t.nowhere does not exist"),
        ("ALTER TABLE t RENAME COLUMN nowhere TO x", "column t.nowhere does not exist"),
        ("ALTER TABLE t ADD COLUMN a int", "column t.a exists already"),
        ("CREATE INDEX i ON t (a)", "index i exists already"),
        ("CREATE INDEX IF NOT EXISTS i ON t (a)", None),
        ("CREATE OR REPLACE VIEW v AS SELECT 1 AS a", None),
        ("DROP TABLE t; CREATE TABLE t (a int); CREATE INDEX i ON t (a)", None),
        ("CREATE TABLE w (a int); CREATE INDEX j ON w (a); DROP TABLE w; CREATE INDEX j ON t (a)", None),
        ("CREATE TABLE w (a int); DROP TABLE w; CREATE INDEX i ON t (a)", "index i exists already"),
    ],
)
def test_what_must_fail_is_found(tmp_path, database, sql, words) -> None:
    database.run("CREATE TABLE t (a int); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT 2 AS a")
    config = project(tmp_path, database, f"def upgrade():\n    op.execute({sql!r})\n")
    assert [cause.error for cause in proving.proof(config).causes] == ([words] if words else [])


def test_the_search_path_and_schemas(tmp_path, database) -> None:
    database.run("CREATE SCHEMA tenant; CREATE TABLE tenant.t (a int); CREATE TABLE public.shared (a int, b text)")
    database.run(f"ALTER DATABASE {database.name} SET search_path = tenant, public", role="postgres")
    config = project(
        tmp_path,
        database,
        "def upgrade():\n    op.execute('CREATE TABLE t (a int)')\n"
        "    op.execute('ALTER TABLE shared ADD COLUMN b text')\n    op.execute('CREATE TABLE public.u (a int)')\n",
    )
    (evidence,) = proving.proof(config).revisions
    assert {o.name: o.presence.value for o in evidence.objects} == {
        "tenant.t": "present",
        "tenant.t.a": "present",
        "public.shared.b": "present",
        "public.u": "absent",
        "public.u.a": "absent",
    }


@pytest.mark.parametrize("count", [10, 1000])
def test_the_number_of_queries_is_constant(database, count) -> None:
    database.run(
        "".join(f"CREATE TABLE t{n} (a int PRIMARY KEY, b text DEFAULT 'x' CHECK (b <> ''));" for n in range(count))
    )
    engine = create_engine(database.url)
    queries = []
    event.listen(engine, "before_cursor_execute", lambda *a: queries.append(a[2]))
    with engine.connect() as connection:
        queries.clear()
        snapshot = catalog.read(connection)
    engine.dispose()
    assert len(snapshot.objects) > count * 5
    assert len(queries) == postgresql.QUERIES


UPDATES = "def upgrade():\n    op.execute('UPDATE pg_class SET relname = relname')\n"


def test_data_changes_among_the_rest(tmp_path, database) -> None:
    makes = [f"def upgrade():\n    op.execute('CREATE TABLE t{n} (x int)')\n" for n in range(3)]
    config = project(tmp_path, database, UPDATES, makes[0], UPDATES, makes[1], makes[2])
    everything = [f"r{n}" for n in range(1, 6)]
    assert judged(config, everything)[1].action is Action.RERUN  # nothing speaks for it, and nothing is there
    database.run("CREATE TABLE t0 (x int); CREATE TABLE t1 (x int)")
    verdicts, advice, _ = judged(config, everything)
    assert verdicts == ["unverifiable", "applied", "unverifiable", "applied", "not-applied"]
    assert (advice.action, "r1" in advice.reason) == (Action.STOP, True)  # accept r1 by name, then r3
    found = locate(ScriptDirectory.from_config(config).revision_map, proving.proof(config).revisions)
    assert (found.revisions, found.unproved) == (("r4",), ("r1", "r3"))
    _, advice, _ = judged(config, everything[1:])
    assert (advice.action, "r3" in advice.reason) == (Action.STOP, True)
    _, advice, _ = judged(config, everything[3:])
    assert (advice.action, advice.revision) == (Action.STAMP, "r4")
