"""From evidence to a recommendation: the trap, its three variants, and what cannot be proved."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

import alembic_rescue
from alembic_rescue import DatabaseReport, Verdict
from tests.chains import Chain, by_id, only, told, verdicts, write
from tests.conftest import Database

STANDS = "op.execute(\"CREATE TYPE review AS ENUM ('open', 'closed')\")"
TABLES = """
op.create_table(
    "documents",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Enum("letter", "bill", name="document_kind"), nullable=False),
)
"""
SWALLOWS = """
op.add_column("documents", sa.Column("version", sa.Integer, server_default="1", nullable=False))
try:
    op.execute("CREATE TYPE review AS ENUM ('open', 'closed')")
except Exception:
    pass
"""
CONVERTS = "op.add_column('documents', sa.Column('uid', sa.String(36)))"
CHAIN = (STANDS, TABLES, SWALLOWS, CONVERTS)
"""It does not run from empty: r3 loses its transaction to r1's type, as it does everywhere."""
MORE = "op.execute('CREATE TABLE more (x int)')"


def project(tmp_path: Path, database: Database, *bodies: str, options: str = "") -> Chain:
    return write(tmp_path / "project", database.url, bodies, options=options)


def advice(part: DatabaseReport) -> tuple[str, str | None]:
    return part.recommendation.action.value, part.recommendation.revision


def fail_to_upgrade(chain: Chain) -> None:
    with pytest.raises(DBAPIError, match="current transaction is aborted"):
        chain.upgrade("head")


def test_the_trap_nothing_is_left(tmp_path, any_database) -> None:
    chain = project(tmp_path, any_database, *CHAIN)
    chain.upgrade("r1")
    fail_to_upgrade(chain)
    part = chain.diagnose()
    found = verdicts(part)
    assert (found["r2"], found["r4"]) == ("not-applied", "not-applied")
    assert found["r3"] in {"not-applied", "unverifiable"}  # the type that r3 fails on is r1's
    assert advice(part) == ("rerun", None)
    (cause,) = part.causes
    assert (cause.revision, cause.line, cause.swallowed, cause.handler_line) == ("r3", 11, True, 12)
    assert "review" in cause.error
    assert "exists" in cause.error
    assert "begin_nested" in cause.fix
    assert "r3.py:11" in part.recommendation.reason
    assert "rolled back" in part.recommendation.reason


def test_a_prefix_is_left(tmp_path, database) -> None:
    chain = project(tmp_path, database, *CHAIN, options="transaction_per_migration=True")
    chain.upgrade("r1")
    fail_to_upgrade(chain)
    database.run("UPDATE alembic_version SET version_num = 'r1'")
    part = chain.diagnose()
    assert (verdicts(part)["r2"], verdicts(part)["r4"]) == ("applied", "not-applied")
    assert advice(part) == ("stamp", "r2")


def test_everything_was_created_by_hand(tmp_path, database) -> None:
    chain = project(tmp_path, database, STANDS, TABLES, SWALLOWS.partition("try")[0], CONVERTS)
    chain.upgrade("r1")
    database.run("CREATE TYPE document_kind AS ENUM ('letter', 'bill')")
    database.run("CREATE TABLE documents (id serial PRIMARY KEY, kind document_kind NOT NULL)")
    database.run("ALTER TABLE documents ADD version int NOT NULL DEFAULT 1")
    part = chain.diagnose()
    assert list(verdicts(part).values()) == ["applied", "applied", "not-applied"]
    assert advice(part) == ("stamp", "r3")
    database.run("ALTER TABLE documents ADD uid varchar(36)")
    part = chain.diagnose()
    assert (verdicts(part)["r4"], *advice(part)) == ("applied", "stamp", "r4")
    database.run("UPDATE alembic_version SET version_num = 'r4'")
    assert advice(chain.diagnose()) == ("nothing", None)


def test_half_a_revision_exists_and_the_printed_sql_completes_it(tmp_path, database) -> None:
    chain = project(tmp_path, database, STANDS, TABLES)
    chain.upgrade("r1")
    database.run("CREATE TYPE document_kind AS ENUM ('letter', 'bill')")
    assert advice(chain.diagnose()) == ("rerun", None), "a type alone may be left over"
    database.run("CREATE TABLE documents (id serial PRIMARY KEY)")
    part = chain.diagnose()
    assert advice(part) == ("complete", "r2")
    for found in by_id(part)["r2"].missing:
        if found.sql:
            database.run(found.sql)
    assert by_id(chain.diagnose())["r2"].verdict is Verdict.APPLIED


def test_the_steps_lead_around_an_object_that_exists_too_early(tmp_path, database) -> None:
    chain = project(tmp_path, database, "op.execute('CREATE TABLE a (x int)')", "op.execute('CREATE TABLE b (x int)')")
    database.run("CREATE TABLE b (x int)")
    part = chain.diagnose()
    assert list(verdicts(part).values()) == ["not-applied", "applied"]
    assert advice(part)[0] == "rerun"
    assert part.recommendation.steps[:2] == ("alembic upgrade r1", "alembic-rescue stamp r2")


def test_what_cannot_be_checked_stops_and_is_named(tmp_path, database) -> None:
    part = project(tmp_path, database, "op.execute('CREATE TABLE a (x int)')", "op.execute('UPDATE a SET x = 1')")
    database.run("CREATE TABLE a (x int)")
    found = part.diagnose()
    assert list(verdicts(found).values()) == ["applied", "unverifiable"]
    (update,) = [o for o in by_id(found)["r2"].objects if o.presence.value == "unverifiable"]
    assert "UPDATE a SET x = 1" in f"{update.name} {update.detail}"
    assert update.line == 9


def test_nothing_to_check_never_means_applied(tmp_path, database) -> None:
    chain = project(tmp_path, database, "pass", "op.execute('DROP TABLE IF EXISTS x')")
    part = chain.diagnose()
    assert verdicts(part)["r1"] == "empty"
    assert verdicts(part)["r2"] in {"empty", "unverifiable"}
    assert advice(part)[0] == "stop"


@pytest.mark.parametrize(
    ("body", "swallowed"),
    [
        ("try:\n    op.execute('CREATE TABLE t (a int)')\nexcept Exception:\n    print('there')", True),
        ("try:\n    op.execute('CREATE TABLE t (a int)')\nexcept Exception:\n    raise", False),
        (
            (
                "with op.get_bind().begin_nested():\n    try:\n        op.execute('CREATE TABLE t (a int)')\n"
                "    except Exception:\n        pass"
            ),
            True,
        ),
        ("op.execute('CREATE TABLE t (a int)')", False),
        ("try:\n    pass\nexcept Exception:\n    pass\nelse:\n    op.execute('CREATE TABLE t (a int)')", False),
    ],
)
def test_whether_a_failure_is_swallowed(tmp_path, database, body, swallowed) -> None:
    database.run("CREATE TABLE t (b int)")  # created by hand, with another one; otherwise the revision would exist
    (cause,) = project(tmp_path, database, MORE, body).diagnose().causes
    assert cause.swallowed is swallowed


def test_a_failure_in_a_savepoint_is_deliberate(tmp_path, database) -> None:
    database.run("CREATE TABLE t (a int)")
    body = (
        "try:\n    with op.get_bind().begin_nested():\n        op.execute('CREATE TABLE t (a int)')\n"
        "except Exception:\n    pass"
    )
    assert not [cause for cause in project(tmp_path, database, MORE, body).diagnose().causes if cause.aborts]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP TABLE nowhere", "nowhere"),
        ("ALTER TABLE nowhere ADD COLUMN x int", "nowhere"),
        ("ALTER TABLE t ALTER COLUMN nowhere SET NOT NULL", "nowhere"),
        ("ALTER TABLE t ADD COLUMN a int", "already exists"),
        ("CREATE INDEX i ON t (a)", "already exists"),
        ("CREATE INDEX IF NOT EXISTS i ON t (a)", None),
        ("CREATE OR REPLACE VIEW v AS SELECT 1 AS a", None),
        ("DROP TABLE t; CREATE TABLE t (a int); CREATE INDEX i ON t (a)", None),
        ("CREATE TABLE w (a int); CREATE INDEX j ON w (a); DROP TABLE w; CREATE INDEX j ON t (a)", None),
        ("CREATE TABLE w (a int); DROP TABLE w; CREATE INDEX i ON t (a)", "already exists"),
    ],
)
def test_what_must_fail_is_found_and_nothing_else(tmp_path, database, sql, words) -> None:
    base = "CREATE TABLE t (a int); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT 2 AS a"
    chain = project(tmp_path, database, f"op.execute({base!r})", f"{MORE}\nop.execute({sql!r})")
    chain.upgrade("r1")
    causes = [cause.error for cause in chain.diagnose().causes]
    assert len(causes) == (1 if words else 0), causes
    assert all(words in error for error in causes)
    if words:
        with pytest.raises(DBAPIError):
            chain.upgrade("head")
    else:
        chain.upgrade("head")


def test_the_search_path_and_schemas(tmp_path, database) -> None:
    database.run("CREATE SCHEMA tenant; CREATE TABLE tenant.t (a int); CREATE TABLE public.shared (a int, b text)")
    database.run(f"ALTER DATABASE {database.name} SET search_path = tenant, public", role="postgres")
    chain = project(
        tmp_path,
        database,
        "op.execute('CREATE TABLE public.shared (a int)')",
        "op.execute('CREATE TABLE t (a int)')\nop.execute('ALTER TABLE shared ADD COLUMN b text')\n"
        "op.execute('CREATE TABLE public.u (a int)')",
    )
    found = by_id(chain.diagnose())["r2"]
    presence = {o.name: o.presence.value for o in found.objects if "." in o.name}
    assert presence["tenant.t"] == "present"
    assert presence["public.shared.b"] == "present"
    assert presence["public.u"] == "absent"
    assert found.verdict is Verdict.PARTIAL


def test_data_changes_among_other_changes(tmp_path, database) -> None:
    makes = [f"op.execute('CREATE TABLE t{n} (x int)')" for n in range(3)]
    update = "op.execute('UPDATE t0 SET x = 1')"
    chain = project(tmp_path, database, makes[0], update, makes[1], update, makes[2])
    assert advice(chain.diagnose())[0] == "rerun"  # nothing indicates that it ran, and nothing exists
    database.run("CREATE TABLE t0 (x int); CREATE TABLE t1 (x int)")
    part = chain.diagnose()
    assert list(verdicts(part).values()) == ["applied", "unverifiable", "applied", "unverifiable", "not-applied"]
    located = chain.locate().located
    assert located is not None
    assert (located.revisions, located.unproved) == (("r3",), ("r2",))


@pytest.mark.parametrize("with_baseline", [True, False], ids=["baseline", "copies"])
def test_a_chain_that_does_not_start_from_empty_on_a_restored_database(tmp_path, database, with_baseline) -> None:
    """A restore spells the check differently: it counts as the same where the baseline is loaded, and on copies."""
    chain = project(
        tmp_path,
        database,
        "op.add_column('by_hand', sa.Column('step', sa.Integer))",
        "op.execute(\"CREATE TABLE m (stage varchar(9) CONSTRAINT known CHECK (stage IN ('a', 'b')))\")",
    )
    by_hand = "CREATE TABLE by_hand (id integer)"
    database.run(by_hand)
    chain.upgrade("head")
    restored = "stage::text = ANY (ARRAY['a'::character varying::text, 'b'::character varying::text])"
    database.run(f"ALTER TABLE m DROP CONSTRAINT known, ADD CONSTRAINT known CHECK ({restored})")
    database.stand_at("r1")
    (baseline := tmp_path / "baseline.sql").write_text(by_hand)
    loaded = alembic_rescue.load(chain.ini, baseline=baseline if with_baseline else None)
    part = only(alembic_rescue.diagnose(loaded))
    assert verdicts(part) == {"r2": "applied"}, [*map(told, part.revisions)]
    assert advice(part) == ("stamp", "r2")
