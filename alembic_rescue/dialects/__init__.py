"""Everything that depends on the database: one folder per dialect, behind the protocols of ``base``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from alembic_rescue.evidence.model import Cause, LeftOver
from alembic_rescue.evidence.observation import Catalog, Change, Observation, StatementKind, Unobserved

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from alembic_rescue.dialects.base import (
        CatalogReader,
        Drivers,
        Failures,
        IdentityReader,
        Places,
        Rehearsal,
        Server,
        StatementReader,
    )
    from alembic_rescue.dialects.handover import Scripts
    from alembic_rescue.dialects.scratch import Scratch, Surroundings
    from alembic_rescue.evidence.missing import Remedy


@dataclass(frozen=True)
class Dialect:
    """One kind of database: plain values, and parts that are loaded on first use."""

    name: str
    """SQLAlchemy's name."""
    title: str
    """The name as people write it; SQLAlchemy's name for an unknown dialect."""
    folder: str | None = None
    """The folder with its parts; None: use those of ``other``."""
    aliases: tuple[str, ...] = ()
    """Other names that hosting providers use in URLs."""
    port: int | None = None
    """The default port of its servers."""
    is_file: bool = False
    """A database is a local file: there is no server, host, role or encryption."""
    holds_sessions: bool = True
    """A session can be made read-only and given timeouts."""
    has_rescue_lock: bool = True
    """There is a lock that excludes a second rescue."""
    commits_each_statement: bool = False
    """DDL commits the current transaction."""
    enforces_lengths: bool = True
    """A text longer than its column is rejected."""

    @cached_property
    def reader(self) -> CatalogReader | None:
        """The catalog reader; None: its catalog cannot be read, so every revision is unverifiable."""
        reader: CatalogReader | None = self._part("catalog", "READER")
        return reader

    @cached_property
    def kind_of(self) -> StatementReader:
        """Classify a statement by its text."""
        read: StatementReader = self._part("statements", "kind_of") or _unknown
        return read

    @cached_property
    def surroundings(self) -> Callable[[Connection], Surroundings] | None:
        """Read what a chain takes for granted; None where there is nothing to read."""
        read: Callable[[Connection], Surroundings] | None = self._part("surroundings", "of")
        return read

    @cached_property
    def effects(self) -> Callable[[], Any] | None:
        """The class that asks a scratch database about a step: see :mod:`alembic_rescue.worker.observer.effects`."""
        made: Callable[[], Any] | None = self._part("effects", "Effects")
        return made

    @cached_property
    def obstacle(self) -> Callable[[str, str], str | None]:
        """Return the query for the statements that remove the object in the way of a failed statement.

        Takes the error and the text of the statement.  Returns None if unknown.
        """
        query: Callable[[str, str], str | None] = self._part("obstacles", "query_for") or _none
        return query

    @cached_property
    def remedy(self) -> Remedy:
        """Write SQL for missing objects from their facts: see :func:`alembic_rescue.evidence.judging.judge`."""
        from alembic_rescue.evidence.missing import only_own  # noqa: PLC0415 - the workers do without

        made: Remedy = self._part("remedies", "remedy") or only_own
        return made

    @cached_property
    def split(self) -> Callable[[str], list[str]]:
        """Split a script into statements, without their semicolons."""
        cut: Callable[[str], list[str]] = self._part("statements", "split_script") or _whole
        return cut

    @cached_property
    def taken_back(self) -> Callable[[Sequence[Change]], tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return the statements that revert catalog changes, in order; and the names of what they do not revert."""
        made: Callable[[Sequence[Change]], tuple[tuple[str, ...], tuple[str, ...]]]
        made = self._part("taking_back", "taken_back") or _stays
        return made

    @cached_property
    def left_over(self) -> Callable[[Catalog], Iterable[LeftOver]]:
        """Find the remains of interrupted operations in a reading of a live database."""
        found: Callable[[Catalog], Iterable[LeftOver]] = self._part("leftovers", "left_over") or _nothing_left
        return found

    @cached_property
    def barred(self) -> Callable[[Surroundings, Sequence[Observation | Unobserved]], Iterable[Cause]]:
        """Find what pending revisions create and the live server will not create for this role."""
        found: Any = self._part("extensions", "barred") or _nothing_barred
        return found  # type: ignore[no-any-return]

    @cached_property
    def identity(self) -> IdentityReader:
        """Identifies the database of a connection."""
        made: IdentityReader = self._part_or_default("identity", "Identity")
        return made

    @cached_property
    def server(self) -> Server:
        """Queries and settings for a live server and its sessions."""
        made: Server = self._part_or_default("server", "Server")
        return made

    @cached_property
    def drivers(self) -> Drivers:
        """How its drivers differ."""
        made: Drivers = self._part_or_default("drivers", "Drivers")
        return made

    @cached_property
    def failures(self) -> Failures:
        """The meaning of the server's errors."""
        made: Failures = self._part_or_default("failures", "Failures")
        return made

    @cached_property
    def scratch(self) -> Scratch:
        """Starts servers for scratch databases, and makes copies."""
        made: Scratch = self._part_or_default("scratch", "Scratch")
        made.name = self.name
        return made

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """The questions of a rehearsal."""
        made: Rehearsal = self._part_or_default("rehearsal", "Rehearsal")
        return made

    @cached_property
    def places(self) -> Places:
        """Creates scratch databases on a server."""
        made: Places = self._part_or_default("places", "Places")
        return made

    @cached_property
    def scripts(self) -> Scripts:
        """Writes a stamp as a file for a host without Python."""
        made: Scripts = self._part_or_default("scripts", "Scripts")
        return made

    def is_kin(self, name: str) -> bool:
        """Whether the dialect that SQLAlchemy calls `name` is this one or shares its folder."""
        return name == self.name or (self.folder is not None and of(name).folder == self.folder)

    def _part_or_default(self, module: str, name: str) -> Any:
        made = self._part(module, name) or getattr(import_module(f"{__name__}.other"), name)
        return made()

    def _part(self, module: str, name: str) -> Any:
        if self.folder is None:
            return None
        home = f"{__name__}.{self.folder}.{module}"
        try:
            return getattr(import_module(home), name)
        except ModuleNotFoundError as missing:
            if missing.name != home:
                raise
            return None


_POSTGRESQL = Dialect("postgresql", "PostgreSQL", "postgresql", aliases=("postgres",), port=5432)
_MYSQL = Dialect("mysql", "MySQL", "mysql", port=3306, commits_each_statement=True)
_MARIADB = Dialect("mariadb", "MariaDB", "mysql", port=3306, commits_each_statement=True)
_SQLITE = Dialect("sqlite", "SQLite", "sqlite", is_file=True, has_rescue_lock=False, enforces_lengths=False)
_BY_NAME = {one.name: one for one in (_POSTGRESQL, _MYSQL, _MARIADB, _SQLITE)}


@cache
def of(name: str) -> Dialect:
    """Return the dialect that SQLAlchemy calls `name`."""
    return _BY_NAME.get(name) or Dialect(name, name, holds_sessions=False, has_rescue_lock=False)


def of_server(name: str, version: str) -> Dialect:
    """Return the dialect of a server that reports `version`: SQLAlchemy may use MySQL's dialect for MariaDB."""
    found = of(name)
    return next((one for one in _BY_NAME.values() if one.folder == found.folder and one.title in version), found)


def known() -> tuple[Dialect, ...]:
    """Return one dialect per folder, for input of unknown origin such as a driver's error."""
    return tuple({one.folder: one for one in reversed(_BY_NAME.values())}.values())[::-1]


def proper_name(word: str) -> str:
    """Return SQLAlchemy's name for `word`, a hosting provider's name in a URL."""
    return next((one.name for one in _BY_NAME.values() if word in one.aliases), word)


def _none(_error: str, _sql: str) -> None:
    """Know no obstacle."""


def _nothing_left(_catalog: Catalog) -> tuple[LeftOver, ...]:
    """Find no remains."""
    return ()


def _whole(sql: str) -> list[str]:
    """Return the script as one statement."""
    return [sql]


def _stays(changes: Sequence[Change]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Revert nothing."""
    return (), tuple(change.object.name for change in changes)


def _nothing_barred(_around: Surroundings, _steps: Sequence[Observation | Unobserved]) -> tuple[Cause, ...]:
    """Find nothing that the server refuses to create."""
    return ()


def _unknown(sql: str) -> StatementKind:
    """Classify a statement of an unknown dialect: it may do anything."""
    return StatementKind.DATA if sql.strip() else StatementKind.QUERY
