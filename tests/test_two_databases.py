"""Two databases of Alembic's multidb template, one of which disappears: before, half-way, and during the read-back."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.styles import Stage, Style
from tests.watching import until, waiting_for_a_lock

pytestmark = pytest.mark.compatibility

TABLES = (("shop", "alembic_version"), ("ledger", "alembic_version"))
LOCKED = "SELECT * FROM alembic_version FOR UPDATE"


@pytest.fixture
def stage(server, tmp_path):
    """Both have the tables of c0de0002, and are at c0de0001."""
    with ExitStack() as around:
        yield Stage(Style("", "multidb", tables=TABLES), server, tmp_path, around)


def rows(stage):
    return [rows for ((_, rows),) in (stage.rows(table).items() for table in TABLES)]


def told(stage, name):
    return f"public.alembic_version in {stage.databases[name].name} at 127.0.0.1:"


@contextmanager
def closed(database):
    """Make it accept no new connections."""
    allow = f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS"
    elsewhere = replace(database, name="postgres")
    elsewhere.run(f"{allow} false", role="postgres")
    try:
        yield elsewhere
    finally:
        elsewhere.run(f"{allow} true", role="postgres")


@contextmanager
def stamping(stage, waiting):
    """A stamp that waits for a lock in the database of that name: yields (process, pid of its session, the locker)."""
    database = stage.databases[waiting]
    with database.session() as somebody:
        somebody.cursor().execute(LOCKED)
        stamp = stage.copy.started("stamp", "head", "--yes", "--lock-timeout", "60")
        (session,) = until(lambda: waiting_for_a_lock(database), "the stamp waits for the lock")
        yield stamp, session["pid"]


def end_of(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.rpartition("Nothing has been written yet.")[2]


def undone(stage):
    ran = stage.copy.rescue("undo", "--yes")
    assert ran.status == 0, ran.everything
    return rows(stage)


def states(stage):
    return [part["state"] for part in json.loads(stage.copy.receipts[-1].read_text())["parts"]]


# --- before ------------------------------------------------------------------------------------------------------


def test_if_one_is_out_of_reach_it_is_named_and_nothing_is_stamped(stage):
    with closed(stage.databases["ledger"]):
        for command in (("diagnose",), ("plan", "head"), ("stamp", "head", "--yes")):
            ran = stage.copy.rescue(*command)
            assert ran.status == 4
            assert f"no server answers for {stage.databases['ledger'].name} at 127.0.0.1" in ran.stderr
    assert rows(stage) == [["c0de0001"], ["c0de0001"]]
    assert stage.copy.receipts == []


# --- half-way ----------------------------------------------------------------------------------------------------


def test_a_session_ended_half_way_leaves_one_stamped_and_undo_reverts_that_one(stage):
    with stamping(stage, "ledger") as (stamp, pid):
        stage.databases["ledger"].run(f"SELECT pg_terminate_backend({pid})", role="postgres")
        status, _, err = end_of(stamp)
    assert status == 5
    assert f"the connection to {stage.databases['ledger'].name} at" in err
    assert f"written and verified: {told(stage, 'shop')}" in err
    assert f"not written: {told(stage, 'ledger')}" in err
    assert rows(stage) == [["c0de0002"], ["c0de0001"]]
    assert states(stage) == ["verified", "not-written"]
    assert undone(stage) == [["c0de0001"], ["c0de0001"]]


def test_if_the_first_one_fails_it_is_named_and_nothing_is_written(stage):
    with stamping(stage, "shop") as (stamp, pid):
        stage.databases["shop"].run(f"SELECT pg_terminate_backend({pid})", role="postgres")
        status, _, err = end_of(stamp)
    assert status == 4
    assert f"the connection to {stage.databases['shop'].name} at" in err
    assert stage.databases["ledger"].name not in err
    assert "nothing was written" in err
    assert rows(stage) == [["c0de0001"], ["c0de0001"]]


def test_a_lock_half_way_names_its_holder_and_does_not_claim_that_nothing_was_written(stage):
    ledger = stage.databases["ledger"]
    with ledger.session() as somebody:
        somebody.cursor().execute("SET application_name = 'nightly report'")
        somebody.cursor().execute("LOCK TABLE alembic_version IN SHARE MODE")
        ran = stage.copy.rescue("stamp", "head", "--yes", "--lock-timeout", "0.3")
        found = stage.copy.rescue("--format", "json", "undo", "--only", "engine1", "--yes")
    assert ran.status == 5
    error = ran.stderr.partition("error[half-written]")[2]
    assert f"the lock on the version table alembic_version in {ledger.name} at 127.0.0.1" in error
    assert "nothing was written" not in error
    assert "nightly report" in error
    assert found.json["outcome"] == "undone"
    assert rows(stage) == [["c0de0001"], ["c0de0001"]]


def test_an_unreadable_read_back_is_judged_by_what_the_server_had_answered(stage):
    with stamping(stage, "ledger") as (stamp, pid), closed(stage.databases["ledger"]) as elsewhere:
        elsewhere.run(f"SELECT pg_terminate_backend({pid})", role="postgres")
        status, _, err = end_of(stamp)
    assert status == 5
    assert f"written, not read back: {told(stage, 'shop')}" in err
    assert f"not known: {told(stage, 'ledger')}" in err
    assert rows(stage) == [["c0de0002"], ["c0de0001"]]
    assert undone(stage) == [["c0de0001"], ["c0de0001"]]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_stamp_that_is_ended_half_way_can_be_undone(stage, end):
    with stamping(stage, "ledger") as (stamp, pid):
        stamp.send_signal(end)
        status, _, err = end_of(stamp)
        if end == signal.SIGKILL:  # its statement continues to wait
            stage.databases["ledger"].run(f"SELECT pg_terminate_backend({pid})", role="postgres")
    if end == signal.SIGINT:
        assert status == 5
        assert "interrupted half-way (interrupted)" in err
    assert rows(stage) == [["c0de0002"], ["c0de0001"]]
    assert undone(stage) == [["c0de0001"], ["c0de0001"]]


def test_an_undo_that_stops_half_way_can_be_finished(stage):
    assert stage.copy.rescue("stamp", "head", "--yes").status == 0
    with stage.databases["ledger"].session() as somebody:
        somebody.cursor().execute(LOCKED)
        ran = stage.copy.rescue("undo", "--yes", "--lock-timeout", "0.3")
    assert ran.status == 5
    assert rows(stage) == [["c0de0001"], ["c0de0002"]]
    assert f"written and verified: {told(stage, 'shop')}" in ran.stderr
    assert undone(stage) == [["c0de0001"], ["c0de0001"]]


# --- what is left out --------------------------------------------------------------------------------------------


def test_after_stamping_one_it_says_what_a_redeployment_will_find_in_the_other(stage):
    ran = stage.copy.rescue("stamp", "head", "--only", "engine2", "--yes")
    assert rows(stage) == [["c0de0001"], ["c0de0002"]]
    assert f"Pending revisions in {told(stage, 'shop')} will run" in ran.stdout
    assert "Nothing is pending" not in ran.stdout
