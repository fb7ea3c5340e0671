"""Map each database that a driver is asked for to a scratch database."""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alembic_rescue.worker.isolation.refusal import refuse

Arguments = Mapping[str, object]
"""Connection arguments: ``host`` (or the folder of a Unix socket), ``port``, ``database``, ``user``, ``password``."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MEMORY = (":memory:", "")
"""SQLite's names for a database in memory or in a temporary file."""


@dataclass(frozen=True)
class Address:
    """Where a database is, normalized."""

    host: str
    """A host in lower case, with one name for the loopback; or a folder; empty for the driver's default socket."""
    port: str
    database: str
    user: str

    @classmethod
    def of(cls, asked: Arguments) -> Address:
        """Return the address in a driver's arguments, with libpq's defaults for those that are missing."""
        user = _text(asked, "user", "username") or os.environ.get("PGUSER", "") or _login()
        socket = _text(asked, "unix_socket")
        host, _, _ = (socket or _text(asked, "host")).partition(",")  # the first of several
        host = host.rstrip("/") if host.startswith("/") else host.lower()
        port, _, _ = _text(asked, "port").partition(",")
        return cls(
            "localhost" if host in _LOOPBACK else host,
            "" if socket else port or "5432",
            _text(asked, "database", "dbname", "db") or user,
            user,
        )

    def __str__(self) -> str:
        return f"{self.database} at {self.host or 'the default socket'}:{self.port}"


class Routes:
    """Maps the arguments of a driver to a scratch database.

    Args:
        default: the target of addresses that no look has seen; None to refuse them.
        folder: where each SQLite file that no look has seen gets its own file; None to refuse them.
    """

    def __init__(self, default: Arguments | None = None, folder: Path | None = None) -> None:
        self._default = dict(default) if default else None
        self._folder = folder
        self._known: dict[Address, dict[str, object]] = {}
        self._files: dict[str, str] = {}

    def add(self, asked: Arguments, scratch: Arguments) -> None:
        """Redirect connections with these arguments to `scratch`.

        Args:
            asked: arguments of a driver or URL: host, port, database or dbname, user.
            scratch: host, port, database, user, and password if needed.
        """
        self._known[Address.of(asked)] = dict(scratch)

    def add_file(self, asked: str, scratch: Path) -> None:
        """Redirect the SQLite file `asked` to `scratch`."""
        self._files[os.path.realpath(asked)] = str(scratch)

    def to(self, asked: Arguments) -> dict[str, object]:
        """Return the target of a driver's arguments: the nearest known address of that database, or else the default.

        Raises:
            Refused: no look has seen such a database, and there is no default.
        """
        address = Address.of(asked)
        for scratch in self._scratches():
            if Address.of(scratch) == address:
                return scratch  # already redirected
        same = [known for known in self._known if known.database == address.database]
        near = [known for known in same if (known.host, known.port) == (address.host, address.port)]
        if not near and len({_database(self._known[known]) for known in same}) > 1:
            same = []  # ambiguous: several servers have it
        nearest = min(near or same, key=lambda known: known.user != address.user, default=None)
        found = self._known[nearest] if nearest else self._default
        if found is None:
            refuse(f"open the database {address}")
        return found

    def to_file(self, asked: str) -> str:
        """Return the target of a path that SQLite is asked to open.

        Raises:
            Refused: no look has seen that file, and there is no folder for such files.
        """
        if asked in _MEMORY:
            return asked
        real = os.path.realpath(asked)
        if real in self._files:
            return self._files[real]
        if self.is_scratch_file(real):
            return asked
        if self._folder is None:
            refuse(f"open the SQLite file {asked}")
        name = f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:12]}-{Path(real).name}"
        return self._files.setdefault(real, str(self._folder / name))

    def refuse_file(self, path: str) -> None:
        """Refuse to let SQLite open that file.

        Raises:
            Refused: always.
        """
        refuse(f"open the SQLite file {path}")

    def is_scratch_file(self, path: str) -> bool:
        """Whether it is a file of a scratch database, or SQLite's own file next to one."""
        real = os.path.realpath(path)
        if self._folder is not None and Path(real).parent == Path(os.path.realpath(self._folder)):
            return True
        return _is_one_of(real, (os.path.realpath(one) for one in self._files.values()))

    def is_live_file(self, path: str) -> bool:
        """Whether it is a SQLite database of the project's, or SQLite's own file next to one."""
        return bool(self._files) and _is_one_of(os.path.realpath(path), self._files)

    def sockets(self) -> frozenset[str] | None:
        """Return the Unix sockets of all scratch servers; None if one of them is reached over the network."""
        found: set[str] = set()
        for scratch in self._scratches():
            host, port = str(scratch.get("host") or ""), str(scratch.get("port") or "5432")
            if unix := scratch.get("unix_socket"):
                found.add(str(unix))
            elif host.startswith("/"):
                found.add(f"{host}/.s.PGSQL.{port}")
            else:
                return None
        return frozenset(found)

    def network(self) -> frozenset[tuple[str, int]]:
        """Return host and port of the scratch servers that are reached over the network."""
        return frozenset(
            (str(one.get("host")), int(str(one.get("port") or 5432)))
            for one in self._scratches()
            if not one.get("unix_socket") and not str(one.get("host") or "").startswith("/")
        )

    def _scratches(self) -> list[dict[str, object]]:
        return [*self._known.values(), *([self._default] if self._default else [])]


def _database(scratch: Arguments) -> tuple[str, str, str]:
    address = Address.of(scratch)
    return address.host, address.port, address.database


def _is_one_of(path: str, files: Iterable[str]) -> bool:
    """Whether `path` is one of these database files, or SQLite's own file next to one."""
    return any(path == one or path in {f"{one}-wal", f"{one}-shm", f"{one}-journal"} for one in files)


def _text(asked: Arguments, *names: str) -> str:
    for name in names:
        value = asked.get(name)
        if value is not None and value != "":
            return value.decode() if isinstance(value, bytes) else str(value)
    return ""


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has no name, as in some containers
        return ""
