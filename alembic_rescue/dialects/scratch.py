"""Scratch servers, their databases, and copies of live ones: the values, and the protocol of a dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from alembic_rescue.errors import ScratchMissing
from alembic_rescue.model import Identity

Tell = Callable[[str], object]
"""Takes one line of progress, or a warning."""


@dataclass(frozen=True)
class Surroundings:
    """What a chain takes for granted in its database and an empty database lacks."""

    role: str
    superuser: bool
    roles: tuple[str, ...] = ()
    """Roles that own something or are granted something in this database, without the server's built-in ones."""
    other_roles: tuple[str, ...] = ()
    """All other roles of the server, up to a few hundred: a revision may be the first to name one."""
    schemas: tuple[str, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()
    """Each with its schema; only those that the default template does not create."""
    available: tuple[str, ...] = ()
    """The extensions whose files the server has; empty if unknown."""
    barred: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The available extensions that the role may not create, by reason."""
    search_path: str = ""
    """Set for the role or the database; empty if it is the server's default."""
    timezone: str = ""
    first_role: str = "postgres"
    """The superuser that the server was created with; another name if that is this role, no longer a superuser."""
    encoding: str = ""
    collate: str = ""
    ctype: str = ""


@dataclass(frozen=True)
class Place:
    """A scratch database that replaces one of the project's."""

    dialect: str
    asked: dict[str, str]
    """What the project asks its driver for: see :attr:`Visited.asked`."""
    database: str
    """The name on the scratch server, or the SQLite file."""
    surroundings: Surroundings | None = None
    schemas: tuple[str, ...] = ()
    """Schemas that must exist before env.py runs: those of its version tables and tenants."""
    provided: bool = False
    """All schemas and extensions of the live database are created first: the chain takes them for granted."""
    role: str = ""
    """The role that the chain runs as."""
    password: str = ""
    """The password of that role, on a server that is not private."""


@dataclass(frozen=True)
class Guest:
    """The role that uses a copy on a server that is not private."""

    role: str
    """The login role, which exists."""
    acts_as: str
    """The live database's role; the login role has its rights in the copy."""
    superuser: bool
    """Whether the live role is a superuser on the live server."""
    made: dict[str, None]
    """The roles created on the server for this run.  Code that creates more adds them here first."""


@dataclass(frozen=True)
class Making:
    """The scratch databases to create for a run."""

    admin_url: str
    """The URL of the scratch server, for a role that may create databases."""
    places: tuple[Place, ...]
    live_ids: tuple[str, ...]
    """The server ids of the project's databases."""


@dataclass(frozen=True)
class Prepared:
    """What was created for the chain."""

    server_version: str
    roles: tuple[str, ...] = ()
    """The roles created on the server."""
    provided: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    """What could not be created: extensions that the server does not have."""


@dataclass(frozen=True)
class Alike:
    """What a private server has in common with the live one."""

    encoding: str = "UTF8"
    """The default encoding of its databases."""
    locale: str = "C"
    """The default locale of its databases; ``C`` if the machine does not have that locale."""
    superuser: str = "postgres"
    """The initial superuser.  The chain's role must have another name unless it is a superuser itself."""


@dataclass(frozen=True)
class ScratchServer:
    """A server on which scratch databases may be created, or, if named by URL, possibly one empty database."""

    admin_url: str
    """``postgresql://postgres@/postgres?host=/folder&port=5432``; ``file:///folder`` for SQLite.
    May contain a password."""
    version: str
    """As the server reports it, ``16.14``; empty if it was named by URL and not asked yet."""
    programs: Path | None = None
    """The folder with psql and pg_dump, if any."""
    private: bool = True
    """True: started for this run; False: named by URL."""
    alone: bool = False
    """It has no network access."""


@dataclass(frozen=True)
class Lack:
    """Something in the live database that a copy lacks."""

    what: str
    """Its name, or the statement that would have created it."""
    reason: str


@dataclass(frozen=True)
class Unavailable:
    """Why there is no copy."""

    reason: str


@dataclass(frozen=True)
class Copy:
    """A database on the scratch server with the live one's schema."""

    database: str
    lacks: tuple[Lack, ...] = ()
    """What the copy lacks, and why: a failure that mentions it proves nothing."""


class Scratch(Protocol):
    """Scratch databases of a dialect, in the caller's process.  Default: there are none."""

    name: str
    """SQLAlchemy's name for the dialect."""

    def missing(self, reason: str, live_version: str = "") -> ScratchMissing:
        """Return the error for a missing server; it explains how to get one for a live server of that version."""
        return ScratchMissing(
            reason,
            f"install {self.name}'s server programs here, or pass an empty database, or a server where one "
            "can be created, with `--scratch URL`",
        )

    @contextmanager
    def started(self, live_version: str, tell: Tell, alike: Alike, kept: Path) -> Iterator[ScratchServer]:
        """Run a private server until the block ends: see :func:`alembic_rescue.scratch.server.provided`.

        Args:
            kept: the folder in which freshly created server files may be kept for later runs.
        """
        raise self.missing(f"none is available for {self.name}")
        yield

    def of_nothing(self, server: ScratchServer, role: str) -> Surroundings | None:
        """Return the surroundings of the empty database on which ``--from-empty`` runs; None if the dialect has none.

        Args:
            role: the role with which env.py connects; empty if it names none.
        """
        return None

    def programs(self, live_version: str) -> Path | None:
        """Return the folder with the client programs for a server of that version, if they are used for copies."""
        return None

    def dump(self, arguments: Mapping[str, Any], programs: Path | None, lock: float, statement: float) -> Any:
        """Read a live database's schema, in a live worker.

        Args:
            arguments: the connect arguments of its driver.
            lock: lock timeout in seconds.
            statement: statement timeout in seconds.

        Returns:
            The dump for :meth:`copied`, or :class:`Unavailable`.
        """
        return Unavailable(f"a {self.name} schema cannot be copied")

    def digest(self, dump: Any) -> str | None:
        """Return a digest that is equal only for the same schema of the same database; None if there is none."""
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
        """Create `database` on the server as a copy of the live schema, with `rows` in its version table.

        Args:
            dumped: has a live worker :meth:`dump` the schema.
            guest: None on a private server, where each role has its name from the live server.
        """
        return Unavailable(f"a {self.name} schema cannot be copied")

    def baseline(self, server: ScratchServer, file: Path, database: str, role: str) -> tuple[Lack, ...] | Unavailable:
        """Load SQL into an empty scratch database as that role; return the statements that failed."""
        return Unavailable("it needs psql, which is not installed")
