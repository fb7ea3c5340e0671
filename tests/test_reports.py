"""States that people really got into, reproduced by really failing: what is said about each, and what is not.

The projects are in ``projects/reports``; their env.py takes the database from PGURL.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from tests.conftest import BIN, Database, ProjectCopy, clean_environment, fresh_database
from tests.servers import Server
from tests.watching import blocked_by, until, waiting_for_a_lock

THERE = {"applied", "empty"}
MISSING = {"not-applied", "partial"}
Report = Callable[[str], ProjectCopy]


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(4711); SELECT 1 FROM pg_roles WHERE rolname = 'app'")
        if not cursor.fetchone():
            cursor.execute("CREATE ROLE app")
    with fresh_database(server) as fresh:
        yield fresh


@pytest.fixture
def report(project: Callable[..., ProjectCopy], database: Database) -> Report:
    """The project of that report, with an empty database."""

    def make(name: str) -> ProjectCopy:
        copy = project(f"reports/{name}", database)
        copy.environment["PGURL"] = database.url
        return copy

    return make


def look(copy: ProjectCopy, *options: str) -> tuple[dict[str, Any], dict[str, str], str]:
    """Return the database's part of ``diagnose``, the verdicts, and the recommendation."""
    (part,) = copy.rescue_json("diagnose", *options)["databases"]
    verdicts = {found["revision"]: found["verdict"] for found in part["revisions"]}
    return part, verdicts, part["recommendation"]["action"]


def revision(part: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [found for found in part["revisions"] if found["revision"] == name]
    return found


def statements_told(part: dict[str, Any], name: str) -> str:
    """Return what is said about a revision that no catalog accounts for."""
    return json.dumps([o for o in revision(part, name)["objects"] if o["presence"] == "unverifiable"])


def refused(copy: ProjectCopy, target: str) -> bool:
    return copy.rescue("stamp", target, "--yes").status == 3


def failed(copy: ProjectCopy, words: str, **environment: str) -> None:
    ran = copy.alembic("upgrade", "head", **environment)
    assert ran.status != 0
    assert words in ran.everything


def test_backfill_loops(report, database):
    """Batches until no row is left, killed by a timeout; then all of it ran."""
    metrics = report("backfill-loops")
    assert metrics.alembic("upgrade", "y250000000y1").status == 0
    database.run("INSERT INTO metric (value, name) SELECT g, 'm' || g FROM generate_series(1, 2500) g")
    failed(metrics, "timeout", PGOPTIONS="-c statement_timeout=1")
    part, verdicts, action = look(metrics)
    assert verdicts["y250000000y2"] == "not-applied"
    assert verdicts["y250000000y3"] not in THERE
    assert action == "rerun"
    assert "UPDATE metric" in statements_told(part, "y250000000y2")
    assert "INSERT INTO metric" in statements_told(part, "y250000000y3")
    assert refused(metrics, "y250000000y2")

    assert metrics.alembic("upgrade", "head").status == 0
    for option in ("--applied", "--locate"):
        _, verdicts, action = look(metrics, option)
        assert not set(verdicts.values()) & MISSING, verdicts
        assert action in {"nothing", "stop"}
    database.run("UPDATE alembic_version SET version_num = 'y250000000y1'")
    part, verdicts, action = look(metrics)
    assert not set(verdicts.values()) & MISSING, verdicts
    assert action in {"stamp", "stop"}
    assert not part["causes"] or action == "stop"


def test_changes_in_place(report, database):
    """Of three pending revisions the last fails, and all is rolled back; the first two change existing objects."""
    shop = report("changes-in-place")
    assert shop.alembic("upgrade", "ad300000000a").status == 0
    failed(shop, "division by zero")
    part, verdicts, action = look(shop)
    assert (verdicts["ad300000000b"], verdicts["ad300000000c"]) == ("not-applied", "not-applied")
    assert verdicts["ad300000000d"] not in THERE
    assert action == "rerun"
    (cause,) = part["causes"]
    assert (cause["revision"], cause["line"]) == ("ad300000000d", 12)
    assert "division by zero" in cause["error"]
    assert refused(shop, "ad300000000b")
    assert refused(shop, "ad300000000c")

    assert shop.alembic("upgrade", "ad300000000c").status == 0
    database.run("UPDATE alembic_version SET version_num = 'ad300000000a'")
    _, verdicts, _ = look(shop)
    assert (verdicts["ad300000000b"], verdicts["ad300000000c"]) == ("applied", "applied")


def test_constraint_under_another_name(report, database):
    """drop_constraint with the name that the server chooses; here the same key has another."""
    orders = report("constraint-under-another-name")
    assert orders.alembic("upgrade", "z260000000z1").status == 0
    database.run("ALTER TABLE orders RENAME CONSTRAINT orders_account_kid_fkey TO fk_orders_account_kid_accounts")
    failed(orders, "does not exist")
    part, verdicts, action = look(orders)
    assert verdicts["z260000000z2"] not in THERE
    assert verdicts["z260000000z3"] == "not-applied"
    assert action in {"rerun", "stop"}
    assert "fk_orders_account_kid_accounts" in json.dumps([part["causes"], part["revisions"]])
    assert refused(orders, "z260000000z2")
    _, verdicts, _ = look(orders, "--applied")
    assert verdicts == {"z260000000z1": "applied"}
    assert database.run("SELECT conname FROM pg_constraint WHERE contype = 'f'") == [
        ("fk_orders_account_kid_accounts",)
    ]


def test_an_unreported_data_statement(report, database):
    """Columns, and a statement that fills one of them; half of it created by hand, then stamped without having run."""
    table = report("data-statement-not-told")
    assert table.alembic("upgrade", "jb00000000j1").status == 0
    database.run("INSERT INTO t (a) VALUES ('X'); ALTER TABLE t ADD COLUMN b text")
    part, verdicts, action = look(table)
    assert verdicts["jb00000000j2"] == "partial"
    assert "UPDATE t SET b" in statements_told(part, "jb00000000j2")

    database.run("ALTER TABLE t ADD COLUMN c text")
    part, verdicts, action = look(table)
    assert (verdicts["jb00000000j2"], action) == ("unverifiable", "stop")
    assert "UPDATE t SET b" in statements_told(part, "jb00000000j2")
    assert refused(table, "head")

    database.run("ALTER TABLE t DROP COLUMN b, DROP COLUMN c; UPDATE alembic_version SET version_num = 'jb00000000j2'")
    part, verdicts, _ = look(table, "--applied")
    assert verdicts["jb00000000j2"] == "not-applied"
    assert "UPDATE t SET b" in statements_told(part, "jb00000000j2")
    assert "UPDATE t SET b" in table.rescue("diagnose", "--applied").stdout


def test_env_never_commits(report, database):
    """env.py begins its own transaction before Alembic does: the upgrade succeeds, and nothing stays."""
    env = report("env-never-commits")
    assert env.alembic("upgrade", "head").status == 0
    assert database.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    part, verdicts, _ = look(env)
    assert verdicts == dict.fromkeys(("e500000000e1", "e500000000e2"), "not-applied")
    said = json.dumps([part["findings"], part["recommendation"], part["causes"]])
    assert "commit" in said
    assert "env.py" in said

    database.run(
        "CREATE TABLE automations (id uuid PRIMARY KEY, name text NOT NULL); "
        "CREATE TABLE uploads (id uuid PRIMARY KEY, size bigint)"
    )
    _, verdicts, action = look(env)
    assert (set(verdicts.values()), action) == ({"applied"}, "stamp")
    stamped = env.rescue("stamp", "head", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["e500000000e2"]


@pytest.mark.parametrize("form", ["plain", "guard", "ine"])
def test_invalid_index(report, database, form):
    """CREATE UNIQUE INDEX CONCURRENTLY failed on duplicate rows and left an invalid index; the rows are gone by now."""
    index = report("invalid-index")
    versions = index.root / "alembic" / "versions"
    (old,) = versions.glob("c3b0000000c2*.py")
    header = old.read_text().partition("def upgrade")[0]
    old.write_text(header + (index.root / f"{form}.py").read_text())
    assert index.alembic("upgrade", "c3b0000000c1").status == 0
    database.run("INSERT INTO t (a) VALUES ('x'), ('x')")
    failed(index, "could not create unique index")
    database.run("DELETE FROM t WHERE id = 2")
    part, verdicts, action = look(index)
    assert verdicts["c3b0000000c2"] in MISSING
    assert action in {"rerun", "complete", "stop"}
    said = json.dumps([part["revisions"], part["causes"], part["findings"], part["recommendation"]])
    assert "invalid" in said or "invalid" in said
    assert "DROP INDEX" in said or "REINDEX" in said
    assert part["causes"] or action != "rerun"  # run again, it fails, or skips the index and leaves it as it is
    assert refused(index, "head")

    drop, upgrade = part["recommendation"]["steps"]
    assert (drop, upgrade) == ("DROP INDEX CONCURRENTLY public.ix_t_a;", "alembic upgrade head")
    database.run(drop)
    assert look(index)[0]["causes"] == []
    assert index.alembic("upgrade", "head").status == 0
    assert database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_t_a'::regclass") == [(True,)]
    assert set(look(index, "--applied")[1].values()) == {"applied"}


def test_a_rename_with_both_tables_present(report, database):
    """The new release started before its migrations: create_all created the new table, the old one has the rows."""
    renamed = report("rename-with-both-there")
    assert renamed.alembic("upgrade", "t190000000t1").status == 0
    database.run("INSERT INTO user_file (path) VALUES ('/a'), ('/b'); INSERT INTO person (name) VALUES ('Ann')")
    database.run("CREATE TABLE document (id serial PRIMARY KEY, path text); ALTER TABLE person ADD COLUMN title text")
    failed(renamed, "already exists")
    part, verdicts, action = look(renamed)
    assert not {verdicts["t190000000t2"], verdicts["t190000000t3"]} & THERE
    assert verdicts["t190000000t4"] == "not-applied"
    assert action in {"rerun", "stop"}
    assert "user_file" in json.dumps([part["revisions"], part["causes"]])
    assert "DROP" not in json.dumps([o["sql"] for found in part["revisions"] for o in found["objects"]])
    for target in ("t190000000t2", "t190000000t3"):
        assert refused(renamed, target)
    located, _, _ = look(renamed, "--locate")
    assert located["located"]["revisions"] == ["t190000000t1"]

    *by_hand, last = part["recommendation"]["steps"]
    assert [step.partition(";")[0] for step in by_hand] == [
        "SELECT count(*) FROM public.document",
        "DROP TABLE public.document",
        "SELECT count(*) FROM public.person WHERE title IS NOT NULL",
        "ALTER TABLE public.person DROP COLUMN title",
    ]
    for step in by_hand:
        assert database.run(step) in ([], [(0,)])
    assert last == "alembic upgrade head"
    assert renamed.alembic("upgrade", "head").status == 0
    assert database.run("SELECT path FROM document ORDER BY id") == [("/a",), ("/b",)]
    assert database.run("SELECT title FROM person") == [("Ann",)]
    assert look(renamed)[2] == "nothing"


def test_swallowed_batch(report):
    """Batches, each in a try that prints; one drops what this database never had, and the transaction is lost."""
    flow = report("swallowed-batch")
    assert flow.alembic("upgrade", "a100000000a1").status == 0
    failed(flow, "InFailedSqlTransaction")
    part, verdicts, action = look(flow)
    assert verdicts["a100000000a2"] in {"not-applied", "unverifiable"}
    assert verdicts["a100000000a3"] == "not-applied"
    assert action == "rerun"
    swallowed = [c for c in part["causes"] if c["revision"] == "a100000000a2" and c["swallowed"]]
    lines = (flow.root / "alembic/versions/a100000000a2_folders_and_update_times.py").read_text().splitlines()
    assert '"component"' in lines[swallowed[0]["line"] - 1]  # a batch is carried out where its block ends
    assert "except Exception" in lines[swallowed[0]["handler_line"] - 1]
    assert refused(flow, "a100000000a2")


def test_a_running_migration_does_not_stop_an_inspection(report, database):
    """ALTER TABLE waits for an idle session's lock: the report says what cannot be read, and who holds it."""
    slices = report("root-blocker")
    assert slices.alembic("upgrade", "p160000000p1").status == 0
    with blocked_by(database, "SELECT * FROM slices", application="shell"):
        waiting = subprocess.Popen(
            [str(BIN / "alembic"), "upgrade", "head"],
            cwd=slices.root,
            env=clean_environment(slices.home, PGURL=database.url),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: waiting_for_a_lock(database), "the upgrade waits")
        _, verdicts, _ = look(slices)
        assert verdicts["p160000000p2"] not in THERE
    assert waiting.wait(30) == 0
    database.run("UPDATE alembic_version SET version_num = 'p160000000p1'")
    assert look(slices)[1] == {"p160000000p2": "applied"}


def test_overlapping_rows_are_located(report, database):
    """Two rows, one the ancestor of the other: the catalog says which one is right."""
    records = report("overlapping-rows")
    assert records.alembic("upgrade", "i900000000i2").status == 0
    database.run("INSERT INTO alembic_version VALUES ('i900000000i1')")
    part, verdicts, _ = look(records, "--locate")
    assert list(verdicts.values()) == ["applied", "applied", "not-applied"]
    assert part["located"]["revisions"] == ["i900000000i2"]


def test_a_squashed_history_is_located(report, database):
    """The version table has an id that is gone; the schema is at the new root."""
    squashed = report("squashed-history")
    database.run(
        "CREATE TYPE item_kind AS ENUM ('a', 'b'); "
        "CREATE TABLE item (id serial PRIMARY KEY, kind item_kind, judge_model json); "
        "CREATE INDEX ix_item_kind ON item (kind)"
    )
    database.stand_at("b7c9d0e1f2a4")
    part, verdicts, _ = look(squashed, "--locate")
    assert verdicts == {"x240000000x9": "applied", "x240000000y1": "not-applied"}
    assert part["located"]["revisions"] == ["x240000000x9"]


def test_a_revision_id_that_is_too_long(report, database):
    """Everything is rolled back if the id does not fit into its column."""
    paper = report("revision-id-too-long")
    assert paper.alembic("upgrade", "g7_init").status == 0
    failed(paper, "value too long")
    part, verdicts, action = look(paper)
    assert set(verdicts.values()) == {"not-applied"}
    assert action in {"rerun", "stop"}
    (cause,) = part["causes"]
    assert "has 36 characters, but public.alembic_version.version_num holds only 32" in cause["error"]
    widen = "ALTER TABLE public.alembic_version ALTER COLUMN version_num TYPE VARCHAR(128)"
    assert cause["fix"].endswith(f": `{widen}`")
    assert widen in part["recommendation"]["reason"]

    database.run("CREATE TABLE paper_meta (id SERIAL PRIMARY KEY, kind VARCHAR(30))")
    part, verdicts, action = look(paper)
    assert (verdicts["pc20260424_paperless_metadata_tables"], action) == ("applied", "stop")
    assert widen in part["recommendation"]["reason"]
    planned = paper.rescue("plan", "pc20260424_paperless_metadata_tables")
    assert planned.status == 3
    assert f"widen it first:\n    {widen}\n" in planned.everything

    database.run(widen)
    part, _, action = look(paper)
    assert action == "stamp"
    assert paper.rescue("stamp", part["recommendation"]["revision"], "--yes").status == 0
    assert paper.alembic("upgrade", "head").status == 0
    assert set(look(paper, "--applied")[1].values()) == {"applied"}


# --- SQLite ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tokens(project, tmp_path):
    """The project, and how to run SQL on its file."""
    file = tmp_path / "t.db"
    copy = project("reports/sqlite-left-over-table")
    copy.environment["PGURL"] = f"sqlite:///{file}"

    def run(sql: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(sql).fetchall()

    assert copy.alembic("upgrade", "m130000000m1").status == 0
    run("INSERT INTO api_tokens (user, team, name) VALUES ('u', NULL, 'n')")
    return copy, run


def test_sqlite_left_over_table(tokens):
    """A batch failed half-way: _alembic_tmp_api_tokens stays, and every run fails on it."""
    copy, run = tokens
    failed(copy, "NOT NULL")
    run("UPDATE api_tokens SET team = 't'")
    failed(copy, "already exists")
    part, verdicts, action = look(copy)
    assert verdicts["m130000000m2"] in MISSING
    assert verdicts["m130000000m3"] == "not-applied"
    assert action == "stop"
    assert part["causes"] == []  # the migration is not to blame
    mended = fixed(part, "_alembic_tmp_api_tokens is left over", 'DROP TABLE "_alembic_tmp_api_tokens"')
    assert part["recommendation"]["steps"] == [f"{mended};", "alembic-rescue diagnose"]
    rehearsed = copy.rescue("rehearse")
    assert rehearsed.status == 3
    assert "is left over" in rehearsed.stdout
    assert "fix m130000000m2" not in rehearsed.stdout  # nor does it exist
    again = copy.rescue_json("rehearse")["databases"][0]
    assert (again["recommendation"], again["causes"]) == (part["recommendation"], [])
    assert (again["rehearsal"]["causes"], again["rehearsal"]["fix"]) == ([], "")
    assert fixed(again, "_alembic_tmp_api_tokens is left over", mended)
    run(mended)
    assert copy.alembic("upgrade", "head").status == 0
    assert set(look(copy, "--applied")[1].values()) == {"applied"}


def test_sqlite_died_between_drop_and_rename(tokens):
    """The rows are in _alembic_tmp_api_tokens, which must be renamed back; the guard finds no table and returns."""
    copy, run = tokens
    run("ALTER TABLE api_tokens RENAME TO _alembic_tmp_api_tokens")
    assert copy.alembic("upgrade", "head").status == 0  # nothing of m130000000m2 happened
    run("DROP TABLE scopes")
    run("UPDATE alembic_version SET version_num = 'm130000000m1'")
    part, verdicts, action = look(copy)
    assert verdicts["m130000000m2"] not in THERE
    assert action == "stop"
    assert not [o["sql"] for o in revision(part, "m130000000m2")["objects"] if o["sql"]]
    assert refused(copy, "m130000000m3")
    rename = 'ALTER TABLE "_alembic_tmp_api_tokens" RENAME TO "api_tokens"'
    run(fixed(part, "its rows are in _alembic_tmp_api_tokens", rename))
    _, verdicts, action = look(copy)
    assert (verdicts["m130000000m2"], action) == ("not-applied", "rerun")


def fixed(part: dict[str, Any], message: str, sql: str) -> str:
    """The statement that is printed for the interrupted batch."""
    (found,) = [found for found in part["findings"] if found["code"] == "batch-broke-off"]
    assert message in found["message"]
    assert f": `{sql}`. Then check again" in found["help"]
    return sql
