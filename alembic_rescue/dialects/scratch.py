"""Scratch servers, the databases on them, and copies of live ones: as values, and what a dialect does for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from alembic_rescue.errors import ScratchMissing
from alembic_rescue.model import Identity

Tell = Callable[[str], object]
"""Takes one line about what is done, or what is other than it might be."""


@dataclass(frozen=True)
class Surroundings:
    """What a chain takes for granted of its database, and an empty one lacks."""

    role: str
    superuser: bool
    roles: tuple[str, ...] = ()
    """Those that own something, or are granted something, in this database; no server's own."""
    other_roles: tuple[str, ...] = ()
    """All others of the server, up to some hundreds: a revision may be the first to name one."""
    schemas: tuple[str, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()
    """Each with its schema; those only that were not made by everybody's template."""
    available: tuple[str, ...] = ()
    """The extensions whose files the server has; empty where that is not known."""
    barred: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Those of them that the role may not create, by the reason."""
    search_path: str = ""
    """Set for the role or the database; empty where it is the server's own."""
    timezone: str = ""
    first_role: str = "postgres"
    """The superuser that the server came with; where it is this role, and no superuser any more, another name."""
    encoding: str = ""
    collate: str = ""
    ctype: str = ""


@dataclass(frozen=True)
class Place:
    """A scratch database that stands for one of the project's."""

    dialect: str
    asked: dict[str, str]
    """What the project's driver is asked for: see :attr:`Visited.asked`."""
    database: str
    """Its name on the scratch server, or the SQLite file."""
    surroundings: Surroundings | None = None
    schemas: tuple[str, ...] = ()
    """Those that must be there before env.py runs: its version tables' and its tenants'."""
    provided: bool = False
    """All schemas and extensions of the live database are made first, because the chain takes them for granted."""
    role: str = ""
    """The one that the chain runs as."""
    password: str = ""
    """Of that role, on a server that is not private."""


@dataclass(frozen=True)
class Guest:
    """As whom a copy is used on a server that is not private."""

    role: str
    """The one that logs in; it is there."""
    acts_as: str
    """The live database's role, whose rights it has in the copy."""
    superuser: bool
    """Whether that one is a superuser there."""
    made: dict[str, None]
    """The roles that were made on the server for this run: what makes more adds them, before it does."""


@dataclass(frozen=True)
class Making:
    """The scratch databases that a run needs."""

    admin_url: str
    """Of the scratch server, as one who may make databases there."""
    places: tuple[Place, ...]
    live_ids: tuple[str, ...]
    """The server ids of the project's databases."""


@dataclass(frozen=True)
class Prepared:
    """What was made for the chain."""

    server_version: str
    roles: tuple[str, ...] = ()
    """Those that were made on the server."""
    provided: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    """What could not be made: extensions that the server does not have."""


@dataclass(frozen=True)
class Alike:
    """What a private server has as the live one has it."""

    encoding: str = "UTF8"
    """Of the databases that are made on it, unless they are told another one."""
    locale: str = "C"
    """Likewise; where the machine does not have it, ``C``."""
    superuser: str = "postgres"
    """The role that it comes with.  The chain's own must not be called so unless it is one."""


@dataclass(frozen=True)
class ScratchServer:
    """A server on which scratch databases may be made, or, named by URL, perhaps one empty database."""

    admin_url: str
    """``postgresql://postgres@/postgres?host=/folder&port=5432``; ``file:///folder`` for SQLite.
    May hold a password."""
    version: str
    """The server's own word, ``16.14``; empty where it was named by URL, and not asked yet."""
    programs: Path | None = None
    """The folder with psql and pg_dump, if there is one."""
    private: bool = True
    """Started for this run; False: named by URL."""
    alone: bool = False
    """It has no network at all."""


@dataclass(frozen=True)
class Lack:
    """Something of the live database that a copy does not have."""

    what: str
    """Its name, or the statement that would have made it."""
    reason: str


@dataclass(frozen=True)
class Unavailable:
    """Why there is no copy."""

    reason: str


@dataclass(frozen=True)
class Copy:
    """A database on the scratch server that has the live one's schema."""

    database: str
    lacks: tuple[Lack, ...] = ()
    """What of the live database is not there, and why: a failure that speaks of it says nothing."""


class Scratch(Protocol):
    """What a dialect does for scratch databases, in the caller's process.  By itself: there are none of its kind."""

    name: str
    """SQLAlchemy's name for the dialect."""

    def missing(self, reason: str, live_version: str = "") -> ScratchMissing:
        """The error where there is no server, with the way to one for a live server of that version."""
        return ScratchMissing(
            reason,
            f"install {self.name}'s server programs here, or pass an empty database, or a server where one "
            "can be created: --scratch URL",
        )

    @contextmanager
    def started(self, live_version: str, tell: Tell, alike: Alike, kept: Path) -> Iterator[ScratchServer]:
        """A private server, for as long as the block lasts: see :func:`alembic_rescue.scratch.server.provided`.

        Args:
            kept: the folder in which freshly made files of servers may be kept for later runs.
        """
        raise self.missing(f"none is available for {self.name}")
        yield

    def programs(self, live_version: str) -> Path | None:
        """The folder with the client's programs for a server of that version, where copies are made by those."""
        return None

    def dump(self, arguments: Mapping[str, Any], programs: Path | None, lock: float, statement: float) -> Any:
        """Read a live database's schema, in a live worker.

        Args:
            arguments: what its driver was given to connect.
            lock: seconds for which a lock is waited for.
            statement: seconds that a query may take.

        Returns:
            What :meth:`copied` takes, or :class:`Unavailable`.
        """
        return Unavailable(f"a {self.name} schema cannot be copied")

    def digest(self, dump: Any) -> str | None:
        """The same for the same schema of the same database only; None where that cannot be said."""
        return None

    def copied(
        self,
        server: ScratchServer,
        live: Identity,
        database: str,
        rows: Sequence[str],
        dumped: Callable[[], Any],
        guest: Guest | None,
    ) -> Copy | Unavailable:
        """Make `database` on the server a copy of the live schema, whose version table has `rows`.

        Args:
            dumped: has a live worker :meth:`dump` it.
            guest: None on a private server, where each role is called as on the live one.
        """
        return Unavailable(f"a {self.name} schema cannot be copied")

    def baseline(self, server: ScratchServer, file: Path, database: str, role: str) -> tuple[Lack, ...] | Unavailable:
        """Load SQL into an empty scratch database, as that role; the statements that failed."""
        return Unavailable("it needs psql, which is not installed")
