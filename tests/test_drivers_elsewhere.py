"""The whole tool on MariaDB's and SQLite's drivers, and what it reports about a database that is out of reach."""

from __future__ import annotations

import contextlib
import importlib
import signal
import socket
import sqlite3
import time

import pytest

from alembic_rescue.compat import takes_async_creator
from tests import answers
from tests.drivers import IN_TIME, MARIADB, SQLITE, TABLE, project_at, proved
from tests.servers import PASSWORD
from tests.watching import until

pytestmark = pytest.mark.compatibility

TABLES = """\
CREATE TABLE customers (id integer {serial} PRIMARY KEY, name varchar(80) NOT NULL);
CREATE TABLE orders (id integer {serial} PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id),
    status varchar(20) NOT NULL);
CREATE INDEX orders_by_status ON orders (status)"""
ROW_CHANGED = "UPDATE alembic_version SET version_num = version_num"
ON_MARIADB = pytest.mark.parametrize("row", MARIADB, ids=MARIADB.values())
ON_SQLITE = pytest.mark.parametrize("row", SQLITE, ids=["sqlite3", "aiosqlite"])


def _stamped_and_undone(shop, versions):
    planned = shop.rescue("--format", "json", "plan", "head")
    assert (planned.status, planned.json["outcome"]) == (0, "ready"), planned.everything
    (revision,) = planned.json["databases"][0]["revisions"]
    assert (revision["verdict"], {o["presence"] for o in revision["objects"]}) == ("applied", {"present"}), revision
    assert shop.rescue_json("stamp", "head", "--yes")["outcome"] == "stamped"
    assert versions() == ["c0de0002"]
    assert "c0de0002" in shop.alembic("current").stdout
    assert shop.rescue_json("undo", "--yes")["outcome"] == "undone"
    assert versions() == ["c0de0001"]
    return proved(revision)


@contextlib.contextmanager
def env_writes(shop):
    env = shop.root / "alembic" / "env.py"
    before = env.read_text()
    first, configure, rest = before.rpartition("context.configure(")
    indentation = first[first.rindex("\n") + 1 :]
    statement = 'connection.exec_driver_sql("CREATE TABLE made_by_env (id int)")'
    env.write_text(f"{first}{statement}\n{indentation}{configure}{rest}")
    yield
    env.write_text(before)


# --- MariaDB -----------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(row, maria, tmp_path):
    """The project with all its objects, and the version table one revision behind; on MariaDB."""
    _installed(row)
    maria.run(*TABLES.format(serial="auto_increment").split(";"))
    maria.stand_at("c0de0001")
    return project_at(row, tmp_path, maria.url_for(MARIADB[row]), maria)


def _installed(row):
    try:
        importlib.import_module({"mysqldb": "MySQLdb"}.get(MARIADB[row], MARIADB[row]))
    except ImportError:
        pytest.skip(f"the driver of the row {row} is not installed")


@contextlib.contextmanager
def somebody_holds_the_row(database):
    with database.session() as other, other.cursor() as cursor:
        cursor.execute(ROW_CHANGED)
        yield other
        other.rollback()


def _sessions(database, state="%"):
    return database.server.run(
        f"SELECT id FROM information_schema.processlist WHERE db = '{database.name}' AND state LIKE '{state}'"
    )


@pytest.mark.compatibility
@ON_MARIADB
def test_the_whole_tool_on_mariadb(row, shop, maria):
    planned = _stamped_and_undone(shop, maria.versions)
    stamped = _in_no_transaction(maria)
    with env_writes(shop):
        looked = shop.rescue_json("diagnose")
    assert looked["error"]["code"] == "env-writes", looked
    assert "Cannot execute statement in a READ ONLY transaction" in looked["error"]["message"]
    assert maria.run("SHOW TABLES LIKE 'made_by_env'") == []
    TABLE.check(row, planned, stamped, "yes", "by the server", _given_up(shop), _second(shop), _ctrl_c(shop))
    until(lambda: not _sessions(maria), "no session is left")


def _in_no_transaction(database):
    """From the server's log, for each session that changed the row."""
    writing = [session for session in database.logged() if any(s.startswith("UPDATE") for s in session)]
    assert len(writing) == 2  # the stamp's, and the undo's
    for session in writing:
        (at,) = (number for number, statement in enumerate(session) if statement.startswith("UPDATE"))
        switches = [s.lower().replace(" ", "") for s in session[:at] if "autocommit" in s.lower()]
        assert switches[-1] == "setautocommit=1"
        assert not any(statement.upper().startswith(("BEGIN", "START")) for statement in session)
    return "yes, in no transaction; read back"


def _given_up(shop):
    maria = shop.database
    with somebody_holds_the_row(maria) as other:
        began = time.monotonic()
        given_up = shop.rescue_json("stamp", "head", "--yes", "--lock-timeout", "1")
        assert time.monotonic() - began < IN_TIME
        assert given_up["error"]["code"] == "lock-timeout", given_up
        assert given_up["error"]["blockers"] == []
        assert "only to a role with the PROCESS privilege" in given_up["error"]["help"]
        role = maria.name.replace("rescue_test", "may_see")
        maria.server.run(f"CREATE USER {role}@localhost IDENTIFIED BY '{PASSWORD}'")
        maria.server.run(f"GRANT PROCESS ON *.* TO {role}@localhost")
        maria.server.run(f"GRANT ALL ON {maria.name}.* TO {role}@localhost")
        with_it = maria.url.replace("rescue_app", role)
        seen = shop.rescue_json("--url", with_it, "stamp", "head", "--yes", "--lock-timeout", "1")
        (holder,) = seen["error"]["blockers"]
        assert (holder["pid"], holder["role"]) == (other.thread_id(), "rescue_app")
        maria.server.run(f"DROP USER {role}@localhost")
    assert maria.versions() == ["c0de0001"]
    return "yes; named to a role with `PROCESS`"


def _second(shop):
    maria = shop.database
    with somebody_holds_the_row(maria) as other:
        first = shop.started("stamp", "head", "--yes", "--lock-timeout", "30")
        until(lambda: _sessions(maria, "Updating"), "the first waits in its write")
        second = shop.rescue_json("stamp", "head", "--yes")
        assert [refusal["code"] for refusal in second["refusals"]] == ["rescue-under-way"], second
        other.rollback()
        assert first.wait(30) == 0, first.communicate()
    assert maria.versions() == ["c0de0002"]
    maria.stand_at("c0de0001")
    return "yes"


def _ctrl_c(shop):
    maria = shop.database
    with somebody_holds_the_row(maria) as other:
        running = shop.started("stamp", "head", "--yes", "--lock-timeout", "30")
        until(lambda: _sessions(maria, "Updating"), "the stamp waits")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
        assert running.returncode == 130
        assert "error[interrupted]: interrupted: nothing was written" in err
        until(lambda: not _sessions(maria, "Updating"), "nor does the server go on", 3)
        other.rollback()
    time.sleep(0.2)
    assert maria.versions() == ["c0de0001"]
    return "yes"


OUT_OF_REACH = {
    "wrong password": ((PASSWORD[:6], "wrong-"), "login-refused", "rejected the login: Access denied for user"),
    "database does not exist": (("rescue_test_", "rescue_test_no"), "database-missing", "Unknown database"),
    "no such socket": (("/socket", "/nothing"), "connection-refused", "Can't connect to"),
    "no server": (("localhost", "127.0.0.1:1"), "connection-refused", "Can't connect to"),
    "no such host": (("localhost", "db.invalid"), "unknown-host", "cannot be found"),
}


@ON_MARIADB
@pytest.mark.parametrize("reason", OUT_OF_REACH)
def test_mariadb_out_of_reach(row, shop, maria, reason):
    (part, other), code, says = OUT_OF_REACH[reason]
    url = maria.url_for(MARIADB[row])
    if part == "localhost":
        url = url.partition("?")[0]
    shop.set_url(url.replace(part, other))
    told = shop.rescue("--format", "json", "plan", "head")
    assert (told.status, told.json["error"]["code"]) == (4, code), told.everything
    assert says in told.json["error"]["message"]
    assert "marker" not in told.everything


@ON_MARIADB
def test_a_server_that_does_not_answer(row, shop, maria):
    if "asynchronous" in row and not takes_async_creator():
        pytest.skip("before SQLAlchemy 2.0.16 nothing bounds the wait of an asynchronous driver")
    ini = shop.root / "alembic.ini"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = maria.url_for(MARIADB[row]).partition("?")[0]
        shop.set_url(url.replace("localhost", f"127.0.0.1:{silent.getsockname()[1]}"))
        ini.write_text(ini.read_text() + "\n[alembic_rescue]\nconnect_timeout = 1\n")
        began = time.monotonic()
        told = shop.rescue_json("plan", "head")
        assert time.monotonic() - began < IN_TIME
    assert told["error"]["code"] == "connect-timeout", told


@ON_MARIADB
def test_a_url_overrides_env_pys_own(row, shop, maria, mariadb_server):
    shop.set_url(maria.url_for(MARIADB[row]).replace(maria.name, "rescue_test_elsewhere"))
    (part,) = shop.rescue_json("--url", maria.url_for("pymysql"), "plan", "head")["databases"]
    query = f"unix_socket={mariadb_server.socket}"
    assert part["url"].replace("localhost", "").endswith(f"://rescue_app:***@/{maria.name}?{query}")
    assert part["role"] == "rescue_app@localhost"


@pytest.mark.parametrize("row", ["MariaDB, PyMySQL"])
def test_a_read_only_server_is_reported_before_the_question(shop, maria):
    maria.server.run("SET GLOBAL read_only = ON")
    try:
        told = shop.rescue_json("stamp", "head", "--yes")["error"]
    finally:
        maria.server.run("SET GLOBAL read_only = OFF")
    assert (told["code"], "read_only is on, as on a replica" in told["message"]) == ("read-only-server", True)


# --- SQLite ------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    """The path of a SQLite database with everything in it, and the version table one revision behind."""
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES.format(serial="NOT NULL"))
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('c0de0001')")
    return path


@pytest.fixture
def beside(row, file, tmp_path):
    """Create the project for that file."""
    return project_at(row, tmp_path, f"{SQLITE[row]}:///{file}", None)


def _rows(file):
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return [version for (version,) in connection.execute("SELECT version_num FROM alembic_version")]


def _writes(file):
    """Return how often the file was written to, as SQLite counts it in the file's header."""
    return int.from_bytes(file.read_bytes()[24:28], "big")


@contextlib.contextmanager
def somebody_writes(file):
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.mark.compatibility
@ON_SQLITE
def test_the_whole_tool_on_sqlite(row, beside, file):
    before = _writes(file)
    planned = _stamped_and_undone(beside, lambda: _rows(file))
    assert _writes(file) == before + 2  # the stamp, and the undo
    with env_writes(beside):
        looked = beside.rescue_json("diagnose")
    assert looked["error"]["code"] == "env-writes", looked
    TABLE.check(
        row,
        planned,
        "yes, one write; read back",
        "yes",
        "by SQLite itself",
        _sqlite_given_up(beside, file),
        _sqlite_second(beside, file),
        _sqlite_ctrl_c(beside, file),
    )


def _sqlite_given_up(shop, file):
    with somebody_writes(file):
        began = time.monotonic()
        given_up = shop.rescue_json("stamp", "head", "--yes", "--lock-timeout", "1")
        assert time.monotonic() - began < IN_TIME
    assert given_up["error"]["code"] == "lock-timeout", given_up
    assert "SQLite does not show" in given_up["error"]["help"]
    assert _rows(file) == ["c0de0001"]
    return "yes; SQLite names nobody"


def _sqlite_second(shop, file):
    known = len(shop.receipts)
    with somebody_writes(file) as other:
        running = [shop.started("--format", "json", "stamp", "head", "--yes", "--lock-timeout", "20") for _ in "12"]
        until(lambda: len(shop.receipts) == known + 2, "both have a receipt, and wait in their write", 20)
        other.execute("ROLLBACK")
        ended = [answers.document(process.communicate(timeout=60)[0]) for process in running]
    (other,) = (document for document in ended if document["outcome"] != "stamped")
    codes = {told["code"] for told in (*other["refusals"], other["error"]) if told}
    assert codes <= {"database-moved", "write-without-effect", "lock-timeout"}, other
    assert _rows(file) == ["c0de0002"]
    assert shop.rescue_json("undo", "--yes")["outcome"] == "undone"
    return "when it writes: it has no lock, the row decides"


def _sqlite_ctrl_c(shop, file):
    known = len(shop.receipts)
    with somebody_writes(file):
        running = shop.started("stamp", "head", "--yes", "--lock-timeout", "12")
        until(lambda: len(shop.receipts) > known, "the stamp waits")
        time.sleep(0.5)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
        took = time.monotonic() - began
    assert running.returncode == 130, err
    assert "error[interrupted]" in err
    assert "never awaited" not in err
    assert _rows(file) == ["c0de0001"]
    return "yes" if took < 6 else "once the lock is given up"


@pytest.mark.parametrize("row", ["SQLite"])
def test_an_env_py_that_locks_the_whole_file_causes_no_deadlock(beside, file):
    env = beside.root / "alembic" / "env.py"
    first, configure, rest = env.read_text().rpartition("context.configure(")
    indentation = first[first.rindex("\n") + 1 :]
    env.write_text(
        f'{first}if not connection.in_transaction():\n{indentation}    connection.exec_driver_sql("BEGIN EXCLUSIVE")\n'
        f"{indentation}{configure}{rest}"
    )
    began = time.monotonic()
    ran = beside.rescue("stamp", "head", "--yes")
    assert time.monotonic() - began < IN_TIME
    assert ran.status in {0, 2, 4}, ran.everything
    assert _rows(file) == (["c0de0002"] if ran.status == 0 else ["c0de0001"]), ran.everything
