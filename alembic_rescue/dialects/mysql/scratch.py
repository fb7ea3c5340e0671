"""A private MariaDB or MySQL server for scratch databases, from the machine's own programs."""

from __future__ import annotations

import getpass
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from alembic_rescue.dialects import scratch
from alembic_rescue.dialects.scratch import Alike, ScratchServer, Tell
from alembic_rescue.servers import programs
from alembic_rescue.servers.keeper import Wanted
from alembic_rescue.servers.leftovers import RunFolder, run_folder
from alembic_rescue.servers.running import running

_OPTIONS = (
    "--no-defaults",
    "--skip-networking",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=64M",
    "--max-connections=50",
)


@dataclass(frozen=True)
class Found:
    """The programs of one server."""

    server: Path
    install: Path | None
    """The program that creates its files; MySQL's server does that itself."""


class Scratch(scratch.Scratch):
    """The machine's own server, MariaDB or MySQL."""

    @contextmanager
    def started(self, live_version: str, tell: Tell, alike: Alike, kept: Path) -> Iterator[ScratchServer]:
        """Start a server; its files are created again for each run."""
        programs_here = found()
        if programs_here is None:
            raise self.missing(f"{self.name}'s server programs are not installed here")
        server = programs_here.server
        with run_folder() as folder, running(folder, _wanted(programs_here, folder), str(server)) as alone:
            yield ScratchServer(_url(folder), _version(programs_here), server.parent, alone=alone)


def found() -> Found | None:
    """Return the machine's own server programs, if any."""
    server = programs.first_of("mariadbd", "mysqld")
    if server is None:
        return None
    return Found(server, programs.first_of("mariadb-install-db", "mysql_install_db"))


def _version(one: Found) -> str:
    """Return the version that the server reports."""
    told = subprocess.run([one.server, "--no-defaults", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    words = re.search(r"Ver (\S+)", told.stdout)
    return words.group(1) if words else ""


def _url(folder: RunFolder) -> str:
    """Return the URL of its administrator, who has no password: only the folder's owner can reach the socket."""
    return f"mysql://root@localhost/?unix_socket={quote(str(_socket(folder)), safe='/')}"


def _wanted(one: Found, folder: RunFolder) -> Wanted:
    """Describe the server for the keeper."""
    data, user = f"--datadir={folder.data}", f"--user={_user()}"
    if one.install:
        prepare = [str(one.install), "--no-defaults", data, user, "--auth-root-authentication-method=normal"]
    else:
        prepare = [str(one.server), "--no-defaults", "--initialize-insecure", data, user]
    log = str(folder.path / "server.log")
    pid = f"--pid-file={folder.data / 'mysqld.pid'}"
    return Wanted(
        folder=str(folder.path),
        prepare=prepare,
        run=[str(one.server), *_OPTIONS, user, data, pid, f"--socket={_socket(folder)}"],
        ready=[str(_socket(folder))],
        log=log,
        stop=signal.SIGKILL,
        user=programs.unprivileged(),
        connects=False,
    )


def _socket(folder: RunFolder) -> Path:
    return folder.sockets / "mysql"


def _user() -> str:
    return "nobody" if programs.unprivileged() else getpass.getuser()
