"""A private MariaDB for the tests, from the machine's own package: on a Unix socket in a temporary folder, no network.

The first test that needs it starts it, and all workers of the run share it.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from tests.servers import PASSWORD, ROLE

FOLDER = "ALEMBIC_RESCUE_TEST_MARIADB"
"""The run's folder for the server, passed on to the workers."""
REQUIRED = "ALEMBIC_RESCUE_TEST_NEEDS_MARIADB"
"""If set, a missing server is a failure, as in CI."""
MISSING = "there is no MariaDB server on this machine: apt-get install mariadb-server"
PREFIX = "rescue_test_"
_OPTIONS = (
    "--no-defaults",
    "--skip-networking",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=32M",
    "--max-connections=200",
    "--general-log=1",
    "--log-output=TABLE",
)


def program(*names: str) -> str | None:
    """Find the first of these programs; Debian keeps servers in sbin, which is not on every PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def installed() -> bool:
    """Return whether a server can be started here."""
    return bool(program("mariadbd", "mysqld") and program("mariadb-install-db", "mysql_install_db"))


@dataclass(frozen=True)
class Server:
    """A server of this run: ``root`` without a password, the role ROLE with PASSWORD, both through the socket."""

    folder: Path

    @property
    def socket(self) -> Path:
        """The socket, its only entry."""
        return self.folder / "socket"

    def admin(self, database: str | None = None) -> Any:
        """A connection as root, in autocommit."""
        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL as root and return its rows."""
        with contextlib.closing(self.admin()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


def shared() -> Server:
    """Return the server of this run; the first caller starts it."""
    server = Server(Path(os.environ[FOLDER]))
    with (server.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (server.folder / "pid").exists():
            _start(server)
    return server


def _start(server: Server) -> None:
    data = server.folder / "data"
    user = f"--user={getpass.getuser()}"  # as root, the server requires it
    install, run = program("mariadb-install-db", "mysql_install_db"), program("mariadbd", "mysqld")
    assert install, MISSING
    assert run, MISSING
    subprocess.run(
        [install, "--no-defaults", f"--datadir={data}", user, "--auth-root-authentication-method=normal"],
        check=True,
        capture_output=True,
    )
    log = server.folder / "server.log"
    started = subprocess.Popen(
        [run, *_OPTIONS, user, f"--datadir={data}", f"--socket={server.socket}", f"--log-error={log}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives the worker that started it
    )
    (server.folder / "pid").write_text(str(started.pid))
    deadline = time.monotonic() + 60
    while True:
        try:
            server.admin().close()
            break
        except pymysql.err.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            assert started.poll() is None, log.read_text()
            time.sleep(0.05)
    server.run(f"CREATE USER {ROLE}@localhost IDENTIFIED BY '{PASSWORD}'")
    server.run(f"GRANT ALL PRIVILEGES ON `{PREFIX.replace('_', chr(92) + '_')}%`.* TO {ROLE}@localhost")


def prepare() -> None:
    """Give the run a folder for its server, without starting it."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="rescue-mariadb-")


def remove() -> None:
    """Stop the run's server, if one was started, and delete its data."""
    folder = Path(os.environ.pop(FOLDER))
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = int((folder / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # the child of an ended worker belongs to init by now
            os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class MariaDatabase:
    """A database for one test, in which the tests' role may do everything."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        """As the tests' role, with the password, through the driver that is always installed."""
        return self.url_for("pymysql")

    def url_for(self, driver: str, dialect: str = "mysql") -> str:
        """Return the URL for another driver."""
        password = quote(PASSWORD, safe="")
        return f"{dialect}+{driver}://{ROLE}:{password}@localhost/{self.name}?unix_socket={self.server.socket}"

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """Another client's connection, in a transaction."""
        with contextlib.closing(
            pymysql.connect(unix_socket=str(self.server.socket), user=ROLE, password=PASSWORD, database=self.name)
        ) as connection:
            yield connection

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run each statement in autocommit as root, and return the rows of the last one."""
        with contextlib.closing(self.server.admin(self.name)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def stand_at(self, *rows: str) -> None:
        """Create the version table as Alembic does, with exactly these rows."""
        self.run(
            "CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY)",
            "DELETE FROM alembic_version",
            *(f"INSERT INTO alembic_version VALUES ('{row}')" for row in rows),
        )

    def versions(self) -> list[str]:
        """Return the rows of the version table, sorted; none if it does not exist."""
        if not self.run("SHOW TABLES LIKE 'alembic\\_version'"):
            return []
        return sorted(row[0] for row in self.run("SELECT version_num FROM alembic_version"))

    def logged(self) -> list[list[str]]:
        """Collect each session's statements from the server's log: what the role sent to this database."""
        sessions: dict[int, list[str]] = {}
        entries = self.server.run(
            "SELECT thread_id, command_type, convert(argument USING utf8mb4) FROM mysql.general_log ORDER BY event_time"
        )
        for session, command, argument in entries:
            if command == "Connect" and f" on {self.name} " in argument:
                sessions[session] = []
            elif command == "Init DB" and argument == self.name:
                sessions.setdefault(session, [])
            elif command in {"Query", "Execute"} and session in sessions:
                sessions[session].append(argument)
        return list(sessions.values())


@contextlib.contextmanager
def fresh_database(server: Server) -> Iterator[MariaDatabase]:
    """An empty database, dropped afterwards; sessions that still hold a lock in it are ended first."""
    name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    server.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield MariaDatabase(server, name)
    finally:
        for (session,) in server.run(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
            with contextlib.suppress(pymysql.err.OperationalError):  # it has ended already
                server.run(f"KILL {session}")
        server.run(f"DROP DATABASE {name}")
