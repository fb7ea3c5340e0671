"""Revisions on copies of the live schema: proved by down and up, and by creating them again; no false "missing"."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg2
import pytest

from alembic_rescue.dialects.postgresql import obstacles
from alembic_rescue.evidence.copies import judged
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.evidence.observation import (
    CatalogObject,
    Change,
    Failure,
    Observation,
    Reading,
    Statement,
    StatementKind,
    Unobserved,
)
from tests import servers
from tests.conftest import Database, clean_environment
from tests.scratching import chain, visit

APPLIED, PARTIAL, NOT_APPLIED, UNVERIFIABLE, EMPTY = (
    Verdict.APPLIED,
    Verdict.PARTIAL,
    Verdict.NOT_APPLIED,
    Verdict.UNVERIFIABLE,
    Verdict.EMPTY,
)
_CODE = """
import pickle, sys
sys.path.insert(0, "")
from alembic_rescue.project import loading as project
from alembic_rescue.worker.scratch import fallback
way, visits = pickle.load(open(".asked", "rb"))
pickle.dump(fallback.probe(project.load(), way, visits, lambda said: None), open(".answered", "wb"))
"""


@contextlib.contextmanager
def copied(live: Database, row: str):
    """A copy of a database whose version table has that row."""
    name = f"{live.name}_copy"
    with contextlib.closing(psycopg2.connect(live.server.admin_dsn)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {live.name} OWNER {servers.ROLE}")
            copy = Database(live.server, name)
            copy.stand_at(row)
            try:
                yield copy
            finally:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def probed(folder: Path, live: Database, way: str, row: str, bodies):
    with copied(live, row) as copy:
        project = chain(folder / way, copy, *bodies)
        ids = [f"r{number}" for number in range(1, len(bodies) + 1)]
        (project.root / ".asked").write_bytes(pickle.dumps((way, [visit(*ids[1:], behind=("r1",))])))
        done = subprocess.run(
            [sys.executable, "-c", _CODE],
            cwd=project.root,
            env=clean_environment(project.home, PYTHONPATH=os.fspath(Path(__file__).parents[1])),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (project.root / ".answered").exists(), done.stdout + done.stderr
        (one,) = pickle.loads((project.root / ".answered").read_bytes())
        return one


def verdicts(folder: Path, live: Database, *bodies: str, there: str = ""):
    """Judge the revisions after a first one that shows nothing, on a database with the objects `there`."""
    live.run(there or "SELECT 1")
    bodies = ("pass", *map(body, bodies))
    upward = probed(folder, live, "upward", "r1", bodies)
    back = probed(folder, live, "down_and_up", f"r{len(bodies)}", bodies)
    return judged(upward.steps, back.steps, upward.copy, back.copy, upward.opposites)


def body(text: str) -> str:
    """SQL of the upgrade, and after ``---`` of the downgrade; or Python."""
    if "def upgrade(" in text:
        return textwrap.dedent(text)
    up, _, down = text.partition("---")
    return f"def upgrade():\n    op.execute({up!r})\ndef downgrade():\n    " + (
        f"op.execute({down!r})\n" if down.strip() else "pass\n"
    )


def of(found):
    return [one.verdict for one in found]


TABLE = "CREATE TABLE t (id serial PRIMARY KEY, a integer); CREATE INDEX ta ON t (a)"
BOTH_WAYS, ONE_WAY = f"{TABLE} --- DROP TABLE t", TABLE


def numbered(text: str, number: int) -> str:
    """Return the same change for tables with that number."""
    return re.sub(r"\b(u?)t(a?)\b", rf"\1t\g<2>{number}", text)


def test_what_exists_is_proved_and_what_does_not_is_missing(tmp_path, database):
    half = TABLE.partition(";")[0]
    states = [(BOTH_WAYS, TABLE), (ONE_WAY, TABLE), (BOTH_WAYS, half), (ONE_WAY, half), (BOTH_WAYS, ""), (ONE_WAY, "")]
    there = ";".join(numbered(made, n) for n, (_, made) in enumerate(states) if made)
    found = verdicts(tmp_path, database, *[numbered(one, n) for n, (one, _) in enumerate(states)], there=there)
    assert of(found) == [APPLIED, APPLIED, PARTIAL, PARTIAL, NOT_APPLIED, NOT_APPLIED], found
    assert [[told.name for told in one.missing] for one in found[2:4]] == [["public.ta2"], ["public.ta3"]]


IN_PLACE = [  # in this order: once a later revision was not observed, nothing counts as missing
    ("ALTER TABLE t ALTER a TYPE bigint", "ALTER TABLE t ALTER a TYPE bigint", UNVERIFIABLE),
    ("ALTER TABLE t DROP COLUMN a", "ALTER TABLE t DROP COLUMN a", UNVERIFIABLE),
    ("CREATE TEMP TABLE z (a integer) ON COMMIT DROP", "", EMPTY),
    ("CREATE TABLE IF NOT EXISTS t (id integer)", "", UNVERIFIABLE),
    ("UPDATE t SET a = 1", "", UNVERIFIABLE),
    ("DROP TABLE nothing --- CREATE SEQUENCE nothing", "", UNVERIFIABLE),
    ("ALTER TABLE t ADD CHECK (a > 0)", "ALTER TABLE t ADD CHECK (a > 0)", APPLIED),
    (
        "ALTER TABLE t ALTER a TYPE bigint --- ALTER TABLE t ALTER a TYPE int",
        "ALTER TABLE t ALTER a TYPE bigint",
        APPLIED,
    ),
    ("ALTER TABLE t DROP COLUMN a --- ALTER TABLE t ADD a integer", "ALTER TABLE t DROP COLUMN a", APPLIED),
    ("ALTER TABLE t RENAME a TO b --- ALTER TABLE t RENAME b TO a", "ALTER TABLE t RENAME a TO b", APPLIED),
    ("ALTER TABLE t ALTER a TYPE bigint --- ALTER TABLE t ALTER a TYPE int", "", NOT_APPLIED),
    ("ALTER TABLE t DROP COLUMN a --- ALTER TABLE t ADD a integer", "", NOT_APPLIED),
    ("ALTER TABLE t RENAME a TO b --- ALTER TABLE t RENAME b TO a", "", NOT_APPLIED),
    ("CREATE TABLE IF NOT EXISTS ut (id integer)", "", NOT_APPLIED),
]


def test_changes_in_place(tmp_path, database):
    there = ";".join(f"{numbered(TABLE, n)}; {numbered(made, n)}" for n, (_, made, _) in enumerate(IN_PLACE))
    found = verdicts(tmp_path, database, *[numbered(one, n) for n, (one, _, _) in enumerate(IN_PLACE)], there=there)
    told = [(IN_PLACE[n][0], one.verdict) for n, one in enumerate(found)]
    assert told == [(revision, verdict) for revision, _, verdict in IN_PLACE], found


SWAP = "ALTER TABLE a RENAME TO x; ALTER TABLE b RENAME TO a; ALTER TABLE x RENAME TO b"


@pytest.mark.parametrize("revision", [SWAP, f"{SWAP} --- {SWAP}"], ids=["without downgrade", "with it"])
def test_a_swap_cannot_be_judged_either_way(tmp_path, database, revision):
    (one,) = verdicts(tmp_path, database, revision, there="CREATE TABLE a (one integer); CREATE TABLE b (two text)")
    assert one.verdict is UNVERIFIABLE, one


GUARDED = """
    def upgrade():
        if not inspect(op.get_bind()).has_table("g"):
            op.create_table("g", sa.Column("id", sa.Integer))
    def downgrade():
        op.drop_table("g")
"""


@pytest.mark.parametrize(("there", "verdict"), [("CREATE TABLE g (id integer)", APPLIED), ("", NOT_APPLIED)])
def test_a_guard_no_longer_skips_once_its_downgrade_has_run(tmp_path, database, there, verdict):
    (one,) = verdicts(tmp_path, database, GUARDED, there=there)
    assert one.verdict is verdict, one


SWALLOWED = """
    def upgrade():
        try:
            op.execute("CREATE TYPE mood AS ENUM ('a')")
        except Exception:
            pass
        op.execute("CREATE TABLE m (mood mood)")
"""


@pytest.mark.parametrize(
    ("there", "verdict"),
    [
        ("CREATE TYPE mood AS ENUM ('a')", NOT_APPLIED),
        ("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE m (mood mood)", APPLIED),
    ],
)
def test_a_swallowed_failure_is_overcome_without_a_downgrade(tmp_path, database, there, verdict):
    (one,) = verdicts(tmp_path, database, SWALLOWED, there=there)
    assert one.verdict is verdict, one


def test_what_a_later_revision_changes_does_not_count_against_the_one_that_created_it(tmp_path, database):
    later = "ALTER TABLE t ALTER a TYPE bigint"
    found = verdicts(tmp_path, database, ONE_WAY, later, there=f"{TABLE}; {later}")
    assert of(found) == [APPLIED, APPLIED], found


def test_the_first_ones_exist_and_the_others_do_not(tmp_path, database):
    found = verdicts(
        tmp_path,
        database,
        BOTH_WAYS,
        "CREATE TABLE u (t integer REFERENCES t) --- DROP TABLE u",
        "ALTER TABLE u ADD x text --- ALTER TABLE u DROP x",
        there=TABLE,
    )
    assert of(found) == [APPLIED, NOT_APPLIED, NOT_APPLIED], found


def test_objects_of_the_copy_are_told_apart_from_those_of_the_revision(tmp_path, database):
    there = f"{TABLE}; CREATE TABLE mine (t integer REFERENCES t); ALTER TABLE t ADD own text"
    (one,) = verdicts(tmp_path, database, ONE_WAY, there=there)
    assert one.verdict is APPLIED, one


# --- pure ----------------------------------------------------------------------------------------------------------

T, U = CatalogObject("table", "public.t"), CatalogObject("table", "public.u")


def made(revision, *objects, failure=None) -> Observation:
    sent = (Statement("CREATE TABLE", StatementKind.CATALOG, "/p.py", 1),)
    changes = tuple(Change(one, None, {"a": "1"}, 0) for one in objects)
    return Observation(revision, changes, statements=sent, failure=failure)


NOBODY = Unobserved("r2", "its downgrade() fails")


def test_both_ways_together():
    there, away = Reading({T: {"a": "1"}}), Reading({})
    r1 = made("r1", T)
    unknown = Unobserved("r1", "it has no downgrade()")
    assert of(judged([r1], [unknown], there)) == [APPLIED]
    assert of(judged([unknown], [r1], there)) == [APPLIED]
    assert of(judged([r1], [unknown], away)) == [NOT_APPLIED]
    assert of(judged([unknown], [unknown], there)) == [UNVERIFIABLE]
    assert of(judged([r1], [r1], away, there)) == [UNVERIFIABLE]


def test_a_missing_object_may_have_been_removed_by_an_unobserved_revision():
    failed = made("r2", failure=Failure("relation does not exist", "/p.py", 2))
    for later in (NOBODY, failed):
        (first, _) = judged([made("r1", T), later], [NOBODY, NOBODY], Reading({}))
        assert first.verdict is UNVERIFIABLE
        assert "r2" in (first.objects[0].detail or "")
    (first, _) = judged([made("r1", T), made("r2", U)], [NOBODY, NOBODY], Reading({}))
    assert first.verdict is NOT_APPLIED


@pytest.mark.parametrize(
    ("error", "sql", "schema"),
    [
        ('relation "t" already exists', "CREATE TABLE t ()", None),
        ('relation "t" already exists', "CREATE TABLE app.t ()", "'app'"),
        ('relation "t" already exists', 'CREATE TABLE "Ap p"."t" ()', "'Ap p'"),
        ('column "c" of relation "t" already exists', "ALTER TABLE App.t ADD c int", "'app'"),
        ('type "t" already exists', "CREATE TYPE t", None),
    ],
)
def test_an_obstacle_is_searched_where_the_statement_says(error, sql, schema):
    query = obstacles.query_for(error, sql)
    assert query is not None
    assert (f"nspname OPERATOR(pg_catalog.=) {schema}" in query) if schema else "current_schemas" in query


@pytest.mark.parametrize(
    "error", ['schema "s" already exists', 'extension "e" already exists', 'relation "t" does not exist']
)
def test_other_failures_have_no_obstacle(error):
    assert obstacles.query_for(error, "") is None


@pytest.mark.parametrize("way", ["without downgrade", "with it"])
def test_a_text_that_a_dump_spells_differently_is_the_same(tmp_path, database, way) -> None:
    made = "CREATE TABLE m (stage varchar(9) CONSTRAINT known CHECK (stage IN ('a', 'b')))"
    restored = (
        "CREATE TABLE m (stage varchar(9) CONSTRAINT known"
        " CHECK (stage::text = ANY (ARRAY['a'::character varying::text, 'b'::character varying::text])))"
    )
    other = restored.replace("'b'", "'c'")
    back = " --- DROP TABLE m" if way == "with it" else ""
    assert of(verdicts(tmp_path / "same", database, made + back, there=restored)) == [APPLIED]
    database.run("DROP TABLE m")
    assert of(verdicts(tmp_path / "other", database, made + back, there=other)) == [PARTIAL]
