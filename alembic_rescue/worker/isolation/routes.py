"""Which scratch database stands for which that a driver is asked for."""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alembic_rescue.worker.isolation.refusal import refuse

Arguments = Mapping[str, object]
"""Of a connection: ``host`` (or the folder of a Unix socket), ``port``, ``database``, ``user``, ``password``."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MEMORY = (":memory:", "")
"""SQLite's words for a database in memory, or in a temporary file."""


@dataclass(frozen=True)
class Address:
    """Where a database is, however that was spelled."""

    host: str
    """In lower case, all names of the loopback being one; a folder; empty: the driver's default socket."""
    port: str
    database: str
    user: str

    @classmethod
    def of(cls, asked: Arguments) -> Address:
        """The address in a driver's arguments; what is not given is what libpq would take."""
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
    """Maps what a driver is asked for to a scratch database.

    Args:
        default: where an address leads that no look has seen; None: it is refused.
        folder: where SQLite files that no look has seen lead, each to one of its own; None: they are refused.
    """

    def __init__(self, default: Arguments | None = None, folder: Path | None = None) -> None:
        self._default = dict(default) if default else None
        self._folder = folder
        self._known: dict[Address, dict[str, object]] = {}
        self._files: dict[str, str] = {}

    def add(self, asked: Arguments, scratch: Arguments) -> None:
        """What is asked for like this leads there.

        Args:
            asked: a driver's or a URL's words: host, port, database or dbname, user.
            scratch: host, port, database, user, and password if it needs one.
        """
        self._known[Address.of(asked)] = dict(scratch)

    def add_file(self, asked: str, scratch: Path) -> None:
        """That SQLite file is, from now on, this one."""
        self._files[os.path.realpath(asked)] = str(scratch)

    def to(self, asked: Arguments) -> dict[str, object]:
        """Where a driver's arguments lead: the nearest known address of that database, else the default.

        Raises:
            Refused: no look has seen such a database, and there is no default.
        """
        address = Address.of(asked)
        for scratch in self._scratches():
            if Address.of(scratch) == address:
                return scratch  # led there before
        same = [known for known in self._known if known.database == address.database]
        near = [known for known in same if (known.host, known.port) == (address.host, address.port)]
        if not near and len({_database(self._known[known]) for known in same}) > 1:
            same = []  # which of several servers' is not known
        nearest = min(near or same, key=lambda known: known.user != address.user, default=None)
        found = self._known[nearest] if nearest else self._default
        if found is None:
            refuse(f"open the database {address}")
        return found

    def to_file(self, asked: str) -> str:
        """Where a path leads that SQLite is asked to open.

        Raises:
            Refused: no look has seen that file, and there is no folder for such.
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
        """Whether it is one of the scratch databases' own files, or beside one."""
        real = os.path.realpath(path)
        if self._folder is not None and Path(real).parent == Path(os.path.realpath(self._folder)):
            return True
        return _is_one_of(real, (os.path.realpath(one) for one in self._files.values()))

    def is_live_file(self, path: str) -> bool:
        """Whether it is a SQLite file that stands for a project's database, or SQLite's own file beside it."""
        return bool(self._files) and _is_one_of(os.path.realpath(path), self._files)

    def sockets(self) -> frozenset[str] | None:
        """The Unix sockets of all scratch servers; None where one of them is reached by network."""
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
        """Host and port of those scratch servers that are reached by network."""
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
    """Whether it is one of SQLite's files, or its own beside one."""
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
    except (KeyError, OSError):  # a user without a name, as in some containers
        return ""
