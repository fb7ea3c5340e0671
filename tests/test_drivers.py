"""The whole tool on each PostgreSQL driver, and the same words from each when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time

import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from alembic_rescue.connection import urls
from tests import answers, servers
from tests.conftest import fresh_database
from tests.drivers import IDS, IN_TIME, POSTGRESQL, TABLE, proved, url_of, with_everything_there
from tests.styles import Logs, Style
from tests.test_concurrency import RESCUE_LOCK, rescue_locks
from tests.watching import ServerLog, blocked_by, others, until, waiting_for_a_lock

SLOW = ("PostgreSQL, psycopg2", "PostgreSQL, asyncpg")
"""Most projects' drivers: ``make test-slow`` tests these, and ``make test-compatibility`` the others."""


def on(*rows):
    """Parametrize a test with these rows of the table."""
    return pytest.mark.parametrize(
        "row",
        [
            pytest.param(row, marks=pytest.mark.slow if row in SLOW else pytest.mark.compatibility, id=name)
            for row, name in zip(POSTGRESQL, IDS, strict=True)
            if row in rows
        ],
    )


ON_EACH = on(*POSTGRESQL)
ASYNCHRONOUS = on(*(row for row in POSTGRESQL if "async" in row))
ROW_CHANGED = "UPDATE alembic_version SET version_num = version_num"
SQLALCHEMY = ".".join(sqlalchemy.__version__.split(".")[:2])


@pytest.fixture
def shop(row, database, tmp_path):
    """The project with all its objects, and the version table one revision behind."""
    return with_everything_there(row, tmp_path, database)


def before_configure(shop, statement):
    """Have its env.py run a statement on the open connection."""
    env = shop.root / "alembic" / "env.py"
    first, configure, rest = env.read_text().rpartition("context.configure(")
    indentation = first[first.rindex("\n") + 1 :]
    env.write_text(f'{first}connection.exec_driver_sql("{statement}")\n{indentation}{configure}{rest}')


def configured(shop, **settings):
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    ini = shop.root / "alembic.ini"
    ini.write_text(ini.read_text() + f"\n[alembic_rescue]\n{lines}")


# --- the table ---------------------------------------------------------------------------------------------------


@pytest.mark.compatibility
@pytest.mark.parametrize("row", POSTGRESQL, ids=IDS)
def test_the_whole_tool(row, shop, database):
    TABLE.check(
        row, _plan(shop), *_stamp_and_undo(shop), _read_only(shop), _lock_timeout(shop), _second(shop), _ctrl_c(shop)
    )
    until(lambda: not others(database), "no session is left")


def _plan(shop):
    planned = shop.rescue("--format", "json", "plan", "head")
    assert (planned.status, planned.json["outcome"]) == (0, "ready"), planned.everything
    (part,) = planned.json["databases"]
    assert part["blockers"] == [], "its own sessions are no news"
    (revision,) = part["revisions"]
    assert (revision["verdict"], {o["presence"] for o in revision["objects"]}) == ("applied", {"present"}), revision
    return proved(revision)


def _stamp_and_undo(shop):
    database = shop.database
    log = Logs({"shop": ServerLog(database)}, Style("", "stock"))
    stamped = shop.rescue_json("stamp", "head", "--yes")
    assert stamped["outcome"] == "stamped", stamped
    assert database.versions() == ["c0de0002"]
    (_,) = log.changes()  # outside of any transaction block
    assert {json.loads(receipt.read_text())["state"] for receipt in shop.receipts} == {"verified"}
    assert "c0de0002" in shop.alembic("current").stdout

    log = Logs({"shop": ServerLog(database)}, Style("", "stock"))
    assert shop.rescue_json("undo", "--yes")["outcome"] == "undone"
    assert database.versions() == ["c0de0001"]
    (_,) = log.changes()
    return "yes, in no transaction; read back", "yes"


def _read_only(shop):
    env = shop.root / "alembic" / "env.py"
    before = env.read_text()
    before_configure(shop, "CREATE TABLE made_by_env (id int)")
    looked = shop.rescue_json("diagnose")
    assert looked["error"]["code"] == "env-writes", looked
    assert "cannot execute CREATE TABLE in a read-only transaction" in looked["error"]["message"]
    assert shop.database.run("SELECT to_regclass('made_by_env')") == [(None,)]
    env.write_text(before)
    return "by the server"


def _lock_timeout(shop):
    with blocked_by(shop.database, ROW_CHANGED, application="billing") as other:
        began = time.monotonic()
        given_up = shop.rescue_json("stamp", "head", "--yes", "--lock-timeout", "1")
        assert time.monotonic() - began < IN_TIME
        assert given_up["error"]["code"] == "lock-timeout", given_up
        assert "the lock on a row of the version table" in given_up["error"]["message"], "it was seen while it waited"
        (holder,) = given_up["error"]["blockers"]
        assert (holder["pid"], holder["application"]) == (other.info.backend_pid, "billing")
    assert shop.database.versions() == ["c0de0001"]
    return "yes"


def _second(shop):
    with blocked_by(shop.database, ROW_CHANGED) as other:
        first = shop.started("stamp", "head", "--yes", "--lock-timeout", "30")
        until(lambda: waiting_for_a_lock(shop.database), "the first waits in its write")
        second = shop.rescue_json("stamp", "head", "--yes")
        assert [refusal["code"] for refusal in second["refusals"]] == ["rescue-under-way"], second
        other.rollback()
        assert first.wait(30) == 0, first.communicate()
    assert shop.database.versions() == ["c0de0002"]
    shop.database.stand_at("c0de0001")
    return "yes"


def _ctrl_c(shop):
    with blocked_by(shop.database, ROW_CHANGED) as other:
        running = shop.started("stamp", "head", "--yes", "--lock-timeout", "30")
        until(lambda: waiting_for_a_lock(shop.database), "the stamp waits")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
        assert running.returncode == 130
        assert "error[interrupted]: interrupted: nothing was written" in err
        until(lambda: waiting_for_a_lock(shop.database) == [], "nor does the server go on", 5)
        other.rollback()
    time.sleep(0.2)
    assert shop.database.versions() == ["c0de0001"]
    return "yes"


# --- the lock against a second rescue ----------------------------------------------------------------------------


@ASYNCHRONOUS
def test_of_two_stamps_started_at_once_one_succeeds(shop, database):
    log = ServerLog(database)
    running = [shop.started("--format", "json", "stamp", "head", "--yes") for _ in range(2)]
    ended = [answers.document(process.communicate(timeout=60)[0]) for process in running]
    outcomes = sorted(document["outcome"] for document in ended)
    assert outcomes in (["refused", "stamped"], ["nothing-to-do", "stamped"]), ended
    refused = {refusal["code"] for document in ended for refusal in document["refusals"]}
    assert refused <= {"rescue-under-way", "database-moved"}
    assert len([statement for _, statement in log.statements if statement.startswith("UPDATE")]) == 1
    assert rescue_locks(database) == []


@ASYNCHRONOUS
@pytest.mark.parametrize("end", ["failure", "Ctrl-C", "kill -9"])
def test_the_lock_is_released_however_the_rescue_ends(shop, database, end):
    with blocked_by(database, ROW_CHANGED):
        running = shop.started("--format", "json", "stamp", "head", "--yes", "--lock-timeout", "30")
        (waiting,) = until(lambda: waiting_for_a_lock(database), "the stamp waits")
        assert len(rescue_locks(database)) == 1
        if end == "failure":
            database.run(f"SELECT pg_terminate_backend({waiting['pid']})", role="postgres")
        else:
            running.send_signal(signal.SIGINT if end == "Ctrl-C" else signal.SIGKILL)
        out, _ = running.communicate(timeout=30)
        until(lambda: rescue_locks(database) == [], "the lock is let go")
    if end == "failure":
        assert answers.document(out)["error"]["code"] == "connection-lost"
    until(lambda: others(database) == [], "the server has noticed")
    after = shop.rescue_json("stamp", "head", "--yes")["outcome"]
    assert after == "stamped" or end == "kill -9"  # then the server may have continued alone


@ON_EACH
def test_a_lost_or_held_lock_ends_the_call_in_time(shop, database):
    with blocked_by(database, f"SELECT pg_advisory_lock({RESCUE_LOCK})"):
        began = time.monotonic()
        refused = shop.rescue_json("stamp", "head", "--yes")
        assert time.monotonic() - began < IN_TIME
        assert [refusal["code"] for refusal in refused["refusals"]] == ["rescue-under-way"]

    with blocked_by(database, ROW_CHANGED) as other:
        running = shop.started("--format", "json", "stamp", "head", "--yes", "--lock-timeout", "30")
        until(lambda: waiting_for_a_lock(database), "the stamp waits")
        ((pid,),) = rescue_locks(database)
        database.run(f"SELECT pg_terminate_backend({pid})", role="postgres")
        other.rollback()
        out, err = running.communicate(timeout=30)
    assert answers.document(out)["outcome"] == "stamped"
    assert "Traceback" not in err
    assert "never retrieved" not in err


class OneDoorTooFew:
    """Between the tool and the server: lets some connections through, and gives the next ones no answer."""

    def __init__(self, port: int, let_through: int) -> None:
        self._port, self._left = port, let_through
        self._kept: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._kept.append(client)
            self._left -= 1
            if self._left >= 0:
                server = socket.create_connection(("127.0.0.1", self._port))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        one.close()


@ON_EACH
def test_waiting_for_an_answer_to_the_lock_is_given_up(row, shop, database):
    configured(shop, connect_timeout=1)
    to_plan = 2 if "async" in row else 1  # asynchronous drivers connect once more
    door = OneDoorTooFew(database.server.port, let_through=to_plan + 1)  # and to look again
    shop.set_url(url_of(database, POSTGRESQL[row], port=door.port))
    began = time.monotonic()
    given_up = shop.rescue_json("stamp", "head", "--yes")
    assert time.monotonic() - began < IN_TIME
    assert given_up["error"]["code"] == "connect-timeout", given_up
    assert "nothing was written" in given_up["error"]["message"]
    assert database.versions() == ["c0de0001"]


# --- the same words from each ------------------------------------------------------------------------------------

OUT_OF_REACH = {
    "no server": ({"port": 1}, "connection-refused", "no server answers for {name} at 127.0.0.1:1: Connection refused"),
    "no such host": (
        {"host": "db.invalid"},
        "unknown-host",
        "cannot resolve the host of {name} at db.invalid:{port}: *Name or service not known",
    ),
    "wrong password": (
        {"password": "forgotten"},
        "login-refused",
        '{name} at 127.0.0.1:{port} rejected the login: password authentication failed for user "rescue_app"',
    ),
    "no such role": (
        {"role": "nobody"},
        "login-refused",
        '{name} at 127.0.0.1:{port} rejected the login: password authentication failed for user "nobody"',
    ),
    "database does not exist": (
        {"name": "sohp"},
        "database-missing",
        'database sohp at 127.0.0.1:{port} does not exist: database "sohp" does not exist',
    ),
    "not encrypted": (
        {"query": "?{encrypted}"},
        "encryption-failed",
        "no TLS connection to {name} at 127.0.0.1:{port}: *SSL",
    ),
}
ENCRYPTED = {"pg8000": "", "asyncpg": "ssl=require"}


@ON_EACH
@pytest.mark.parametrize("reason", OUT_OF_REACH)
def test_a_database_out_of_reach(row, shop, database, reason):
    parts, code, says = OUT_OF_REACH[reason]
    encrypted = ENCRYPTED.get(POSTGRESQL[row].partition("+")[2], "sslmode=require")
    if encrypted:
        parts = {part: str(value).format(encrypted=encrypted) for part, value in parts.items()}
        shop.set_url(url_of(database, POSTGRESQL[row], **parts))
    else:  # with pg8000 a URL cannot set it, but --url can
        parts = {part: str(value).format(encrypted="sslmode=require") for part, value in parts.items()}
        shop.environment["ALEMBIC_RESCUE_URL"] = url_of(database, "postgresql", **parts)
    told = shop.rescue("--format", "json", "plan", "head")
    assert (told.status, told.json["error"]["code"]) == (4, code), told.everything
    begins, _, ends = says.format(name=database.name, port=database.server.port).partition("*")
    assert told.json["error"]["message"].startswith(begins)
    assert ends in told.json["error"]["message"]
    assert servers.PASSWORD not in told.everything
    assert "marker-pa55" not in shop.rescue("--debug", "plan", "head").everything


@ON_EACH
def test_a_server_that_does_not_answer(row, shop, database):
    configured(shop, connect_timeout=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shop.set_url(url_of(database, POSTGRESQL[row], port=silent.getsockname()[1]))
        began = time.monotonic()
        told = shop.rescue_json("plan", "head")
        assert time.monotonic() - began < IN_TIME
    assert told["error"]["code"] == "connect-timeout", told
    assert "expired" in told["error"]["message"] or "timed out" in told["error"]["message"]


@ON_EACH
def test_a_missing_permission(shop, database):
    database.run(f"REVOKE SELECT ON alembic_version FROM {servers.ROLE}", role="postgres")
    told = shop.rescue_json("plan", "head")["error"]
    assert told["code"] == "permission-denied"
    expected = f"role {servers.ROLE} lacks permission: permission denied for table alembic_version"
    assert told["message"].startswith(expected)


@ON_EACH
def test_a_read_only_server(shop, database):
    """The write detects it, or the inspection does."""
    _before_update(database, "SET LOCAL transaction_read_only = on; CREATE TABLE never (id int); RETURN NEW;")
    told = shop.rescue_json("stamp", "head", "--yes")["error"]
    assert told["code"] == "read-only-server", told
    assert "cannot execute CREATE TABLE in a read-only transaction" in told["message"]
    assert database.versions() == ["c0de0001"]
    database.run(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on", role="postgres")
    told = shop.rescue_json("stamp", "head", "--yes")["error"]
    assert (told["code"], "default_transaction_read_only is on" in told["message"]) == ("read-only-server", True)


def _before_update(database, body):
    database.run(
        f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$", role="postgres"
    )
    database.run("CREATE TRIGGER meddle BEFORE UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION meddle()")


@ON_EACH
def test_a_write_that_the_server_refuses_in_its_own_words(shop, database):
    _before_update(
        database, "RAISE EXCEPTION 'not on Fridays' USING DETAIL = 'nor on Sundays', HINT = 'wait'; RETURN NEW;"
    )
    told = shop.rescue_json("stamp", "head", "--yes")["error"]
    assert told["code"] == "write-refused"
    assert told["message"] == (
        "the database refused to change alembic_version: not on Fridays DETAIL: nor on Sundays HINT: wait "
        "CONTEXT: PL/pgSQL function meddle() line 1 at RAISE; nothing was written"
    )


@ON_EACH
def test_a_connection_that_is_ended_in_the_middle_of_a_stamp(shop, database):
    with blocked_by(database, ROW_CHANGED):
        running = shop.started("--format", "json", "stamp", "head", "--yes", "--lock-timeout", "30")
        (waiting,) = until(lambda: waiting_for_a_lock(database), "the stamp waits")
        database.run(f"SELECT pg_terminate_backend({waiting['pid']})", role="postgres")
        out, err = running.communicate(timeout=30)
    told = answers.document(out)["error"]
    assert told["code"] == "connection-lost", told
    assert told["message"].startswith(f"the connection to {database.name} at 127.0.0.1:")
    assert told["message"].endswith("; nothing was written")
    assert "Traceback" not in err
    assert database.versions() == ["c0de0001"]


@ON_EACH
def test_the_lock_timeout_may_exceed_the_connect_timeout(shop, database):
    """pg8000 would apply the connect timeout to each answer."""
    configured(shop, connect_timeout=1)
    with blocked_by(database, ROW_CHANGED) as other:
        running = shop.started("--format", "json", "stamp", "head", "--yes", "--lock-timeout", "30")
        until(lambda: waiting_for_a_lock(database), "the stamp waits")
        time.sleep(2)
        other.rollback()
        out, _ = running.communicate(timeout=30)
    assert answers.document(out)["outcome"] == "stamped"


@ON_EACH
def test_an_endless_statement_is_ended_by_the_statement_timeout(shop):
    configured(shop, statement_timeout=1, lock_timeout=0.5)
    before_configure(shop, "SELECT pg_sleep(60)")
    told = shop.rescue_json("diagnose")["error"]
    assert told["code"] == "statement-timeout"
    assert "canceling statement due to statement timeout" in told["message"]


@on("PostgreSQL, psycopg2", "PostgreSQL, pg8000", "PostgreSQL, asyncpg")
def test_an_endless_migration_is_ended_and_the_inspection_continues(shop, database):
    script = shop.root / "alembic" / "versions" / "c0de0002_orders.py"
    script.write_text(
        script.read_text().replace(
            "def upgrade():", 'def upgrade():\n    op.get_bind().exec_driver_sql("SELECT pg_sleep(50)")'
        )
    )
    planned = shop.rescue_json("--revision-timeout", "3", "plan", "head")
    (revision,) = planned["databases"][0]["revisions"]
    assert revision["verdict"] == "unverifiable"
    assert "it did not end within 3 s (--revision-timeout)" in json.dumps(revision)
    assert others(database) == []


@ON_EACH
def test_the_servers_notices_are_not_printed(shop):
    before_configure(shop, "DO 'BEGIN RAISE NOTICE ''by the way''; RAISE WARNING ''mind you''; END'")
    diagnosed = shop.rescue("diagnose")
    assert diagnosed.status == 0
    assert "by the way" not in diagnosed.everything
    assert "mind you" not in diagnosed.everything


# --- addresses ---------------------------------------------------------------------------------------------------


@ON_EACH
def test_any_kind_of_url_overrides_env_pys_own(row, shop, database, server):
    """As hosting services give them, through a socket, and with another driver's name and parameters."""
    with fresh_database(server) as elsewhere:
        elsewhere.stand_at("c0de0001")
        shop.set_url(url_of(elsewhere, POSTGRESQL[row]))
        socket_query = f"?host={server.pgdata}&port={server.port}"
        for url in (
            url_of(database, "postgres"),
            url_of(database, "postgresql", query="?sslmode=prefer&application_name=shop&connect_timeout=3"),
            url_of(database, "postgresql", query="?sslmode=disable&channel_binding=disable"),
            url_of(database, "postgresql+asyncpg", query="?ssl=prefer"),
            f"postgresql://postgres@/{database.name}{socket_query}",
        ):
            looked = shop.rescue("--format", "json", "--url", url, "diagnose")
            assert looked.status == 0, looked.everything
            (part,) = looked.json["databases"]
            shown = make_url(part["url"])
            assert (shown.database, part["role"]) == (database.name, "postgres" if "pgdata" in url else part["role"])
            assert shown.drivername == POSTGRESQL[row].replace("psycopg_async", shown.drivername.partition("+")[2])
            assert servers.PASSWORD not in looked.everything
        stamped = shop.rescue("--url", url, "stamp", "head", "--yes")
        assert stamped.status == 0, stamped.everything
        assert (database.versions(), elsewhere.versions()) == (["c0de0002"], ["c0de0001"])


@ON_EACH
def test_env_pys_own_socket_is_shown(row, shop, database):
    folder, port = database.server.pgdata, database.server.port
    own = f"unix_sock={folder}/.s.PGSQL.{port}" if "pg8000" in row else f"host={folder}&port={port}"
    shop.set_url(f"{POSTGRESQL[row]}://postgres@/{database.name}?{own}")
    (part,) = shop.rescue_json("plan", "head")["databases"]
    assert part["url"].endswith(f"//postgres@/{database.name}?host={folder}&port={port}")
    assert part["role"] == "postgres"
    stamped = shop.rescue("stamp", "head", "--yes")
    assert stamped.status == 0, stamped.everything
    assert "at a local socket" in stamped.stdout


# --- a missing driver --------------------------------------------------------------------------------------------

HIDING = """
from importlib.machinery import PathFinder

HIDDEN = {hidden!r}
find = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in HIDDEN else find(name, path, target)


PathFinder.find_spec = find_spec
"""
PLAIN, OTHER = ("psycopg", "psycopg2") if tuple(map(int, SQLALCHEMY.split("."))) >= (2, 1) else ("psycopg2", "psycopg")


@pytest.fixture
def without_the_default(shop, database, tmp_path):
    """Python without the driver that a plain postgresql:// means to this SQLAlchemy; env.py has such a URL."""
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(HIDING.format(hidden=[PLAIN]))
    shop.environment["PYTHONPATH"] = os.pathsep.join([str(hiding), *filter(None, [os.environ.get("PYTHONPATH")])])
    shop.set_url(url_of(database, "postgresql"))
    return shop


@pytest.mark.parametrize("row", ["PostgreSQL, psycopg2"])
def test_a_plain_url_without_its_driver_is_reported_with_the_drivers_name_and_a_remedy(without_the_default):
    told = without_the_default.rescue("plan", "head")
    assert told.status == 2
    assert f"error[driver-missing]: the Python package {PLAIN} is not installed, but env.py needs it" in told.stderr
    assert f"SQLAlchemy {SQLALCHEMY} uses {PLAIN} for a plain " in told.stderr
    assert f"Write postgresql+{OTHER}:// (here: --url), or install {PLAIN}" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("row", ["PostgreSQL, psycopg2"])
@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_with_url_the_tool_uses_an_installed_driver(without_the_default, database, scheme):
    looked = without_the_default.rescue_json("--url", url_of(database, scheme), "plan", "head")
    assert looked["outcome"] == "ready", looked
    assert looked["databases"][0]["url"].startswith(f"postgresql+{OTHER}://")


@pytest.mark.parametrize(
    ("given", "configured", "taken"),
    [
        ("postgresql", None, None),
        ("postgresql", "postgresql+asyncpg", "postgresql+asyncpg"),
        ("postgresql", "postgresql+pg8000", "postgresql+pg8000"),
        ("postgresql", "sqlite", None),
        ("postgresql+asyncpg", "postgresql+psycopg2", "postgresql+psycopg2"),
        ("postgresql+psycopg2", "postgresql+asyncpg", "postgresql+asyncpg"),
        ("postgresql+pg8000", "postgresql+psycopg2", "postgresql+pg8000"),
        ("postgresql+pg8000", "driver", "postgresql+pg8000"),
        ("postgresql+pg8000", "postgresql+nonsense", "postgresql+pg8000"),
    ],
)
def test_the_driver_that_env_py_is_written_for_stays(given, configured, taken):
    """Async or sync: the other kind would end in SQLAlchemy's MissingGreenlet."""
    url = urls.with_installed_driver(urls.parse(f"{given}://u@h/d"), configured and f"{configured}://x@y/z")
    assert url.drivername == (taken or "postgresql")


# --- behind a pooler ---------------------------------------------------------------------------------------------


class NamesItsOwnProcess:
    """Between the tool and the server: passes everything on, except the process id that the server sends first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=_carry, args=(client, server), daemon=True).start()
            threading.Thread(target=self._greet, args=(client, server), daemon=True).start()

    def _greet(self, client: socket.socket, server: socket.socket) -> None:
        kind = b""
        while kind != b"K":
            kind = server.recv(1)
            if kind == b"N":  # the answer to an SSLRequest is only that
                client.sendall(kind)
                continue
            (length,) = struct.unpack("!i", head := server.recv(4, socket.MSG_WAITALL))
            body = server.recv(length - 4, socket.MSG_WAITALL)
            client.sendall(kind + head + (struct.pack("!i", 1) + body[4:] if kind == b"K" else body))
        _carry(server, client)


@ON_EACH
def test_a_pooler_is_recognised_by_the_process_that_answers(row, shop, database):
    """Then no setting of the session is touched, because the session may be the application's next."""
    pooler = NamesItsOwnProcess(database.server.port)
    shop.set_url(url_of(database, POSTGRESQL[row], port=pooler.port))
    log = ServerLog(database)
    behind = shop.rescue_json("diagnose")
    assert "behind-a-pooler" in [finding["code"] for finding in behind["databases"][0]["findings"]], behind
    held = {sql for _, sql in log.statements if "READ ONLY" in sql.upper().replace("_", " ") and "SET " in sql}
    assert held == {"SET TRANSACTION READ ONLY"}
    shop.set_url(url_of(database, POSTGRESQL[row]))
    direct = shop.rescue_json("diagnose")
    assert "behind-a-pooler" not in [finding["code"] for finding in direct["databases"][0]["findings"]]
