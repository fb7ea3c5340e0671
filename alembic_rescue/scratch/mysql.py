"""A private MariaDB or MySQL for scratch databases, from the machine's own programs."""

from __future__ import annotations

import getpass
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from alembic_rescue.scratch import programs
from alembic_rescue.scratch.keeper import Wanted
from alembic_rescue.scratch.leftovers import RunFolder

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
    """What makes its files; MySQL's own server does it itself."""


def found() -> Found | None:
    """The machine's own, if it has one."""
    server = programs.first_of("mariadbd", "mysqld")
    if server is None:
        return None
    return Found(server, programs.first_of("mariadb-install-db", "mysql_install_db"))


def version(one: Found) -> str:
    """The server's own word."""
    told = subprocess.run([one.server, "--no-defaults", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    words = re.search(r"Ver (\S+)", told.stdout)
    return words.group(1) if words else ""


def url(folder: RunFolder) -> str:
    """As its administrator, who has no password: only the folder's owner gets to the socket."""
    return f"mysql://root@localhost/?unix_socket={quote(str(_socket(folder)), safe='/')}"


def wanted(one: Found, folder: RunFolder) -> Wanted:
    """What the keeper has to do for it."""
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
