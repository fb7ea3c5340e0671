"""The tool never hangs, reports who blocks, and never ends a session (promise 6)."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time

import psycopg2
import pytest

from tests import servers
from tests.conftest import ProjectCopy
from tests.drivers import IDS, POSTGRESQL, project_for
from tests.watching import VERSION_TABLE, ServerLog, blocked_by, everything, until, waiting_for_a_lock

pytestmark = pytest.mark.slow

_ASKS_FOR_USERS = r'\1connection.exec_driver_sql("SELECT * FROM users")\n\1\2'
SECRET = "hunter2-of-billing"
ROW_CHANGED = f"UPDATE alembic_version SET version_num = version_num /* password '{SECRET}' */"


@pytest.fixture
def linear(project, database) -> ProjectCopy:
    """The chain of five revisions, at the first."""
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    return project("linear", database)


BLOCKERS = {
    "uncommitted change": ((ROW_CHANGED,), "idle in transaction", "RowExclusiveLock"),
    "row locked": (("SELECT * FROM alembic_version FOR UPDATE",), "idle in transaction", "RowShareLock"),
    "aborted": (
        (ROW_CHANGED, "SAVEPOINT before_the_error", "SELECT 1/0"),
        "idle in transaction (aborted)",
        "RowExclusiveLock",
    ),
    "share lock": (("LOCK TABLE alembic_version IN SHARE MODE",), "idle in transaction", "ShareLock"),
}


@pytest.mark.parametrize("blocker", BLOCKERS)
def test_the_blocker_is_shown_and_a_stamp_gives_up_in_time(linear, blocker):
    statements, state, lock = BLOCKERS[blocker]
    with blocked_by(linear.database, *statements, application="billing") as other:
        pid = other.info.backend_pid
        diagnosed = linear.rescue("diagnose")
        began = time.monotonic()
        stamped = linear.rescue_json("stamp", "aaaa0003", "--yes", "--lock-timeout", "1")
        took = time.monotonic() - began

        assert diagnosed.status == 0
        for words in (f"pid {pid}", state, "billing", "role rescue_app", "127.0.0.1", f"holds: {lock}"):
            assert words in diagnosed.stdout
        assert f"SELECT pg_terminate_backend({pid});" in diagnosed.stdout
        assert SECRET not in diagnosed.everything

        assert took < 6
        assert stamped["error"]["code"] == "lock-timeout"
        for told in (stamped["error"]["blockers"], stamped["databases"][0]["blockers"]):
            (one,) = told
            assert (one["pid"], one["application"], one["role"]) == (pid, "billing", "rescue_app")
            assert (one["client"], one["state"]) == ("127.0.0.1", state)
            assert lock in one["locks"]
            assert 0 < one["age_seconds"] < 60
            assert one["query"] == " ".join(statements[-1].split()).replace(f"'{SECRET}'", "'***'")
            assert one["blocks"] == ["public.alembic_version"] or one["blocks"] == ["alembic_version"]
            assert one["end_command"] == f"SELECT pg_terminate_backend({pid});"
        assert SECRET not in json.dumps(stamped)

        assert linear.database.versions() == ["aaaa0001"]
        (receipt,) = linear.receipts
        assert json.loads(receipt.read_text())["state"] == "not-written"
        assert_lives(other)


def assert_lives(other) -> None:
    """Check that nobody ended its session."""
    other.rollback()
    with other.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_the_text_of_a_stamp_that_gave_up_shows_the_blocker_and_exits_with_4(linear):
    with blocked_by(linear.database, ROW_CHANGED, application="billing") as other:
        stamped = linear.rescue("stamp", "aaaa0003", "--yes", "--lock-timeout", "0.5")
        assert stamped.status == 4
        error = stamped.stderr[stamped.stderr.index("error[lock-timeout]") :]
        assert "gave up after 0.5 s; nothing was written" in error
        assert f"pid {other.info.backend_pid}  idle in transaction" in error
        assert "alembic-rescue" not in re.sub(r"alembic-rescue (diagnose|plan)", "", error), "its own lock is no news"
        assert_lives(other)


def test_a_reader_or_a_vacuum_is_not_reported_as_a_blocker(linear):
    with (
        blocked_by(linear.database, "SELECT * FROM alembic_version", application="reader"),
        blocked_by(linear.database, "LOCK TABLE alembic_version IN SHARE UPDATE EXCLUSIVE MODE", application="vacuum"),
    ):
        (found,) = linear.rescue_json("diagnose")["databases"]
        assert {one["application"]: one["blocks"] for one in found["blockers"]} == {"reader": [], "vacuum": []}
        assert not [finding for finding in found["findings"] if finding["code"] == "blocked"]
        assert linear.rescue("stamp", "aaaa0003", "--yes").status == 0


def test_access_exclusive_keeps_even_an_inspection_waiting_and_is_shown(linear):
    with blocked_by(linear.database, "LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE", application="ddl") as other:
        for command in (["diagnose"], ["plan", "aaaa0003"]):
            looked = linear.rescue(*command, "--lock-timeout", "0.5")
            assert looked.status == 4
            assert "error[lock-timeout]" in looked.stderr
            assert f"pid {other.info.backend_pid}  idle in transaction" in looked.stderr
            assert "holds: AccessExclusiveLock" in looked.stderr
        assert_lives(other)


def test_a_session_that_waits_for_the_blocker_is_shown_with_it(project, any_database):
    database = any_database
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    linear = project("linear", database)
    with blocked_by(database, ROW_CHANGED, application="billing") as other, database.session() as deployment:
        stuck = threading.Thread(target=_runs, args=(deployment, "UPDATE alembic_version SET version_num = 'aaaa0002'"))
        stuck.start()
        waiting = until(lambda: waiting_for_a_lock(database), "the deployment waits")
        (found,) = linear.rescue_json("diagnose")["databases"]
        shown = linear.rescue("diagnose").stdout
        holder = other.info.backend_pid
        other.rollback()
        stuck.join()
    by_pid = {one["pid"]: one for one in found["blockers"]}
    assert by_pid[holder]["awaits"] == []
    assert by_pid[waiting[0]["pid"]]["awaits"] == [f"a row (after pid {holder})"]
    assert f"awaits: a row (after pid {holder})" in shown


def _runs(connection, statement: str) -> None:
    with connection.cursor() as cursor, contextlib.suppress(psycopg2.Error):
        cursor.execute(statement)


def test_details_of_a_blocker_that_the_role_may_not_see_are_reported_as_hidden(linear):
    database = linear.database
    with contextlib.closing(psycopg2.connect(database.dsn)) as superuser, superuser.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = version_num")
        diagnosed = linear.rescue("diagnose")
        assert diagnosed.status == 0
        assert f"pid {superuser.info.backend_pid}  hidden from this role" in diagnosed.stdout
        assert "role postgres" in diagnosed.stdout
        (one,) = linear.rescue_json("plan", "aaaa0002")["databases"][0]["blockers"]
        assert (one["age_seconds"], one["query"], one["locks"]) == (None, "", ["RowExclusiveLock"])


def test_a_long_query_is_shortened(linear):
    with blocked_by(linear.database, f"UPDATE alembic_version SET version_num = version_num -- {'x' * 500}"):
        (one,) = linear.rescue_json("diagnose")["databases"][0]["blockers"]
        assert one["query"].startswith("UPDATE alembic_version SET")
        assert one["query"].endswith("xxx...")
        assert len(one["query"]) == 120


def test_the_root_blocker_is_reported_and_not_the_waiting_migration(linear):
    database = linear.database
    database.run("CREATE TABLE users (id int)")
    with (
        blocked_by(database, "ALTER TABLE users ADD name text", application="billing") as root,
        blocked_by(database, ROW_CHANGED, application="deployment") as deployment,
    ):
        stuck = threading.Thread(target=_runs, args=(deployment, "DROP TABLE users"))
        stuck.start()
        until(lambda: waiting_for_a_lock(database), "the deployment waits")
        pid, stuck_pid = root.info.backend_pid, deployment.info.backend_pid
        (seen,) = linear.rescue_json("diagnose")["databases"]
        stamped = linear.rescue_json("stamp", "aaaa0003", "--yes", "--lock-timeout", "1")
        assert_lives(root)
        stuck.join()
    (finding,) = [one for one in seen["findings"] if one["code"] == "blocked"]
    assert finding["message"].startswith(
        f"session {pid} (idle in transaction, billing) holds up public.alembic_version"
    )
    assert f"SELECT pg_terminate_backend({pid});" in finding["help"]
    assert stamped["error"]["message"].startswith("another session holds the lock on a row of the version table in ")
    first, second = stamped["error"]["blockers"]
    assert (first["pid"], first["locks"], first["waiting"]) == (pid, ["AccessExclusiveLock on users"], 1)
    assert (second["pid"], second["end_command"]) == (stuck_pid, "")


def test_an_uncommitted_alter_of_another_table_does_not_stop_an_inspection(linear):
    linear.database.run("CREATE TABLE users (id int)")
    with blocked_by(linear.database, "ALTER TABLE users ADD name text"):
        for command in (["diagnose"], ["diagnose", "--applied"], ["plan", "aaaa0002"]):
            assert linear.rescue(*command, "--lock-timeout", "0.5").status in {0, 3}


def test_what_a_lock_hides_must_be_waited_for_and_not_accepted(project, database):
    """The most common stuck deployment: its ALTER TABLE is not committed, and nothing shows whether it ever will be."""
    orders = project("orders", database)
    assert orders.alembic("upgrade", "head").status == 0
    database.stand_at("0bb20002")
    with blocked_by(database, "ALTER TABLE invoices ADD paid text", application="billing") as other:
        pid = other.info.backend_pid
        (seen,) = orders.rescue_json("diagnose")["databases"]
        refused = orders.rescue_json("stamp", "head", "--yes")
        assert_lives(other)
    (holder,) = seen["blockers"]
    assert (holder["pid"], holder["blocks"]) == (pid, ["public.invoices"])
    (finding,) = [one for one in seen["findings"] if one["code"] == "blocked"]
    assert finding["message"].startswith(f"session {pid} (idle in transaction, billing) holds up public.invoices")
    assert f"SELECT pg_terminate_backend({pid});" in finding["help"]
    advice = seen["recommendation"]
    assert advice["action"] == "stop"
    assert advice["reason"].endswith("Wait until that session ends, or end it, then check again")
    (told,) = [one for one in refused["refusals"] if one["code"] == "revision-unverifiable"]
    assert "wait for the session that holds public.invoices" in told["help"]
    assert "--accept" not in told["help"]


def test_a_prepared_transaction_is_reported_and_the_offered_command_frees_the_stamp(linear):
    database = linear.database
    with blocked_by(database, ROW_CHANGED, "PREPARE TRANSACTION 'billing''s'"):
        stamped = linear.rescue_json("stamp", "aaaa0003", "--yes", "--lock-timeout", "1")
    (root,) = stamped["error"]["blockers"]
    database.run(root["end_command"])
    assert root["end_command"] == "ROLLBACK PREPARED 'billing''s';"
    assert linear.rescue("stamp", "aaaa0003", "--yes").status == 0


# --- what env.py waits for ---------------------------------------------------------------------------------------


def test_if_env_py_waits_for_an_advisory_lock_it_times_out_and_the_holder_is_shown(project, database):
    env = project("env_with_statements", database)
    with blocked_by(database, "SELECT pg_advisory_lock(4711)", application="another deployment") as other:
        looked = env.rescue("diagnose", "--lock-timeout", "0.5", ENV_PY_RUNS="SELECT pg_advisory_lock(4711)")
        assert looked.status == 4
        assert "error[lock-timeout]" in looked.stderr
        assert f"pid {other.info.backend_pid}" in looked.stderr
        assert "another deployment" in looked.stderr
        assert "holds: advisory lock" in looked.stderr
        assert_lives(other)


@pytest.mark.parametrize("row", POSTGRESQL, ids=IDS)
def test_if_env_py_waits_for_another_table_that_table_is_named(row, database, tmp_path):
    database.run("CREATE TABLE users (id int)")
    env = project_for(row, tmp_path, database)
    file = env.root / "alembic" / "env.py"
    file.write_text(re.sub(r"( +)(context.configure\(\s*connection=)", _ASKS_FOR_USERS, file.read_text()))
    with blocked_by(database, "ALTER TABLE users ADD name text", application="billing") as other:
        looked = env.rescue("diagnose", "--lock-timeout", "1")
        assert looked.status == 4
        error = looked.stderr[looked.stderr.index("error[lock-timeout]") :]
        assert "the lock on users in " in error
        assert "version table" not in error
        assert "SQLite" not in error
        assert f"to end it:\n    SELECT pg_terminate_backend({other.info.backend_pid});\n" in error
        assert_lives(other)


def test_an_env_py_with_its_own_advisory_lock_does_not_block_itself(project, database):
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    env = project("env_with_statements", database)
    stamped = env.rescue_json("stamp", "aaaa0002", "--yes", ENV_PY_RUNS="SELECT pg_advisory_lock(4711)")
    assert stamped["outcome"] == "stamped"
    assert stamped["databases"][0]["blockers"] == []


def test_an_endless_statement_is_ended_by_the_statement_timeout(project, database):
    env = _configured(project("env_with_statements", database), statement_timeout="1", lock_timeout="0.5")
    began = time.monotonic()
    looked = env.rescue("diagnose", ENV_PY_RUNS="SELECT pg_sleep(60)")
    assert time.monotonic() - began < 8
    assert looked.status == 4
    assert "error[statement-timeout]" in looked.stderr


def _configured(project: ProjectCopy, **settings: str) -> ProjectCopy:
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    ini = project.root / "alembic.ini"
    ini.write_text(ini.read_text() + f"\n[alembic_rescue]\n{lines}")
    return project


@pytest.mark.parametrize("lock_timeout", ["7", "40"])
def test_every_connection_has_its_timeouts(project, database, lock_timeout):
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    env = project("env_with_statements", database)
    log = ServerLog(database)
    assert env.rescue("stamp", "aaaa0002", "--yes", "--lock-timeout", lock_timeout).status == 0
    milliseconds = {"7": ("7000", "30000"), "40": ("40000", "41000")}[lock_timeout]
    assert len(log.sessions) >= 5, "plan, last look, the rescue's own lock, stamp, verification"
    copied = [statements for statements in log.sessions.values() if "SET DATESTYLE = ISO" in statements]
    for statements in copied:  # pg_dump's, which has the same word for both
        waits = [s.lower() for s in statements if "timeout" in s.lower()]
        assert f"set statement_timeout = {milliseconds[0]}" in [s.replace("'", "") for s in waits], waits
    for statements in (one for one in log.sessions.values() if one not in copied):
        assert any(s.endswith(f"lock_timeout = {milliseconds[0]}") for s in statements), statements
        assert any(s.endswith(f"statement_timeout = {milliseconds[1]}") for s in statements), statements


# --- connecting --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listener_that_says_nothing():
    """Accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("command", [("diagnose",), ("stamp", "aaaa0002", "--yes")], ids=["diagnose", "stamp"])
def test_the_connect_timeout_ends_waiting_for_a_server_that_accepts_and_stays_silent(project, command):
    with listener_that_says_nothing() as port:
        url = f"postgresql+psycopg2://{servers.ROLE}@127.0.0.1:{port}/shop"
        env = _configured(project("linear", url=url), connect_timeout="1")
        began = time.monotonic()
        given_up = env.rescue(*command)
        assert time.monotonic() - began < 6
        assert given_up.status == 4
        assert "error[connect-timeout]" in given_up.stderr
        assert f"shop at 127.0.0.1:{port}" in given_up.stderr


def test_nothing_is_left_on_the_server_after_giving_up(linear):
    before = everything(linear.database)
    with blocked_by(linear.database, ROW_CHANGED) as other:
        assert linear.rescue("stamp", "aaaa0003", "--yes", "--lock-timeout", "0.3").status == 4
        other.rollback()
        after = everything(linear.database, present=1)
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"alembic_version", "counters"}, "what the other session tried leaves its mark on the row"
    assert linear.database.versions() == ["aaaa0001"]
