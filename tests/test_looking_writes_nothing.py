"""An inspection writes nothing: not the tool, not env.py, and the server enforces it (promise 1)."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import PROJECTS, ProjectCopy, fresh_database
from tests.terminal import at_a_terminal
from tests.watching import VERSION_TABLE, ServerLog, blocked_by, everything

ADVISORY_LOCK_OF_THE_TOOL = 0x616C656D_62696372


@pytest.fixture(scope="module")
def shops_database(server, tmp_path_factory):
    """One for all inspections, since they write nothing: all objects exist, and the version is behind."""
    folder = tmp_path_factory.mktemp("shop")
    with fresh_database(server) as database:
        shutil.copytree(PROJECTS / "shop_with_data", folder / "shop")
        shop = ProjectCopy(folder / "shop", folder / "state", database)
        shop.set_url(database.url)
        upgraded = shop.alembic("upgrade", "c0ffee000003")
        assert upgraded.status == 0, upgraded.stderr
        database.run("UPDATE alembic_version SET version_num = 'c0ffee000001'")
        yield database


@pytest.fixture
def shop(project, shops_database):
    return project("shop_with_data", shops_database)


LOOKS = {
    "diagnose": ("diagnose",),
    "applied": ("diagnose", "--applied"),
    "locate": ("diagnose", "--locate"),
    "no-scratch": ("--scratch", "none", "diagnose"),
    "plan": ("plan", "c0ffee000003"),
    "plan-out": ("plan", "c0ffee000003", "--out", "plan.json", "--accept", "c0ffee000002", "--accept", "c0ffee000003"),
    "dry-run": ("stamp", "c0ffee000002", "--dry-run"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_an_inspection_leaves_catalog_rows_sequences_and_write_counters_unchanged(shop, look):
    before = everything(shop.database)
    looked = shop.rescue(*LOOKS[look])
    assert looked.status in {0, 3}, looked.everything  # an unproved revision is refused, after the inspection
    assert looked.stdout.startswith("Database ")
    assert everything(shop.database) == before
    assert (shop.root / "plan.json").exists() == (look == "plan-out")


def test_an_inspection_creates_no_version_table(project, database):
    shop = project("shop_with_data", database)
    before = everything(database)
    for look in ("diagnose", "plan", "dry-run"):
        looked = shop.rescue(*LOOKS[look])
        assert looked.status in {0, 3}, looked.everything
    assert database.run("SELECT to_regclass('alembic_version')") == [(None,)]
    assert everything(database) == before


REFUSALS = {
    "unknown-revision": ("stamp", "feedfacecafe", "--yes"),
    "ambiguous-revision": ("stamp", "c0ffee", "--yes"),
    "several-heads": ("stamp", "head", "--yes"),
    "target-above-head": ("stamp", "beside@+9", "--yes"),
    "bad-plan-file": ("stamp", "--plan", "alembic.ini", "--yes"),
    "no-receipt": ("undo", "--yes"),
    "other-database": ("stamp", "c0ffee000002", "--yes"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_changes_nothing(shop, refusal):
    environment = {"DATABASE_URL": "postgresql://x@127.0.0.1/elsewhere"} if refusal == "other-database" else {}
    before = everything(shop.database)
    refused = shop.rescue(*REFUSALS[refusal], **environment)
    assert refused.status in {2, 3}
    assert f"error[{refusal}]" in refused.stderr
    assert everything(shop.database) == before


LATE_REFUSALS = {
    "receipt-not-written": (2, "SELECT 1", "--receipts", "/dev/null/receipts"),
    "rescue-under-way": (3, f"SELECT pg_advisory_lock({ADVISORY_LOCK_OF_THE_TOOL})"),
    "lock-timeout": (4, "LOCK TABLE alembic_version IN SHARE MODE"),
}


@pytest.mark.parametrize("refusal", LATE_REFUSALS)
def test_a_refusal_just_before_the_write_changes_nothing(project, database, refusal):
    status, statement, *options = LATE_REFUSALS[refusal]
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    before = everything(database)
    with blocked_by(database, statement):
        refused = project("linear", database).rescue(*options, "stamp", "aaaa0002", "--yes", "--lock-timeout", "0.2")
        assert refused.status == status
        assert f"error[{refusal}]" in refused.stderr
        assert everything(database, present=1) == before


STATES = {
    "target-behind-current": ("c0ffee000003", "c0ffee000002"),
    "unknown-current": ("feedfacecafe", "c0ffee000003"),
    "overlapping-current": ("c0ffee000001'), ('c0ffee000002", "c0ffee000003"),
}


@pytest.mark.parametrize("refusal", STATES)
def test_a_refusal_because_of_the_databases_position_changes_nothing(project, database, refusal):
    stands_at, target = STATES[refusal]
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('{stands_at}')")
    before = everything(database)
    refused = project("shop_with_data", database).rescue("stamp", target, "--yes")
    assert refused.status == 3
    assert refusal in refused.stderr
    assert everything(database) == before


def test_a_no_and_a_plan_that_cannot_be_saved_change_nothing(project, database):
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    linear, before = project("linear", database), everything(database)
    with at_a_terminal(linear, "stamp", "aaaa0002") as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("n\r")
        assert terminal.end() == 3
        assert "error[not-confirmed]" in terminal.text
    assert "error[no-terminal]" in linear.rescue("stamp", "aaaa0002").stderr
    assert "error[cannot-write-file]" in linear.rescue("plan", "aaaa0002", "--out", "no/such/folder/plan").stderr
    assert everything(database) == before


# --- the server enforces it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [("diagnose",), ("plan", "aaaa0003")], ids=["diagnose", "plan"])
def test_the_server_makes_every_session_read_only_before_env_pys_first_statement(project, database, look):
    env = project("env_with_statements", database)
    log = ServerLog(database)
    looked = env.rescue(*look, ENV_PY_RUNS="SELECT 'env.py was here'")
    assert looked.status == 0, looked.everything
    assert log.sessions, "the log has the sessions of the look"
    for statements in log.sessions.values():
        held = statements.index("SET default_transaction_read_only = on")
        assert "SELECT 'env.py was here'" in statements[held:]
        for earlier in statements[:held]:  # SQLAlchemy's first queries, and the timeouts
            assert earlier.split()[0].upper() in {"BEGIN", "ROLLBACK", "SELECT", "SHOW", "SET"}
        assert not any(later.startswith("SET") for later in statements[held + 1 :]), "and it stays so"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO customers (name) VALUES ('Mallory')", "cannot execute INSERT in a read-only transaction"),
        ("CREATE TABLE made_by_env_py (id int)", "cannot execute CREATE TABLE in a read-only transaction"),
        ("SELECT nextval('invoice_number')", "cannot execute nextval() in a read-only transaction"),
        ("DELETE FROM customers", "cannot execute DELETE in a read-only transaction"),
    ],
    ids=["insert", "create", "nextval", "delete"],
)
def test_an_env_py_that_writes_is_stopped_by_the_server(project, database, statement, said):
    database.run("CREATE TABLE customers (id serial PRIMARY KEY, name text); CREATE SEQUENCE invoice_number")
    database.run("INSERT INTO customers (name) VALUES ('Ada')")
    env = project("env_with_statements", database)
    before, log = everything(database), ServerLog(database)
    stopped = env.rescue_json("diagnose", ENV_PY_RUNS=statement)
    assert stopped["error"]["code"] == "env-writes"
    assert said in stopped["error"]["message"]
    assert "alembic/env.py:" in stopped["error"]["message"]
    assert said in [message.text for message in log.messages if message.level == "ERROR"]
    assert everything(database) == before


def test_a_stamp_writes_the_version_row_and_nothing_else(project, database):
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001'); CREATE TABLE orders (id int)")
    before = everything(database)
    assert project("linear", database).rescue("stamp", "aaaa0002", "--yes").status == 0
    after = everything(database)
    assert {name for name in after if after[name] != before[name]} == {"alembic_version", "counters"}


# --- SQLite ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_shop(project, tmp_path):
    file = tmp_path / "shop.db"
    env = project("env_with_statements", url=f"sqlite:///{file}")
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(VERSION_TABLE)
        connection.execute("INSERT INTO alembic_version VALUES ('aaaa0001')")
    return env, file


def _bytes(file: Path) -> dict[str, str]:
    """Everything next to the file too: a journal would reveal a write."""
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in file.parent.glob(f"{file.name}*")}


@pytest.mark.parametrize(
    "look",
    [("diagnose",), ("plan", "aaaa0003"), ("stamp", "aaaa0002", "--dry-run"), ("stamp", "nowhere", "--yes")],
    ids=["diagnose", "plan", "dry-run", "refused"],
)
def test_an_inspection_leaves_every_byte_of_a_sqlite_file(sqlite_shop, look):
    env, file = sqlite_shop
    before, touched = _bytes(file), file.stat().st_mtime_ns
    env.rescue(*look)
    assert _bytes(file) == before
    assert file.stat().st_mtime_ns == touched


def test_an_env_py_that_writes_to_sqlite_is_stopped(sqlite_shop):
    env, file = sqlite_shop
    before = _bytes(file)
    stopped = env.rescue_json("diagnose", ENV_PY_RUNS="CREATE TABLE made_by_env_py (id int)")
    assert stopped["error"]["code"] == "env-writes"
    assert _bytes(file) == before


def test_inspecting_a_missing_sqlite_file_does_not_create_it(project, tmp_path):
    file = tmp_path / "nowhere.db"
    env = project("env_with_statements", url=f"sqlite:///{file}")
    assert env.rescue("diagnose").status == 4
    assert not file.exists()
