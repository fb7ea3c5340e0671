"""What differs by database: one folder or module for each dialect, behind the protocols of ``base``."""

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
    """What one kind of database has of its own: plain values, and parts that are loaded when they are first used."""

    name: str
    """SQLAlchemy's name for it."""
    title: str
    """As people write it; SQLAlchemy's name where the tool does not know it."""
    folder: str | None = None
    """Where its parts are; None: those of ``other`` stand in."""
    aliases: tuple[str, ...] = ()
    """What hosts write in its place in URLs."""
    port: int | None = None
    """Where its servers listen unless told otherwise."""
    is_file: bool = False
    """A database is a file of this machine: there is no server, host, role or encryption."""
    holds_sessions: bool = True
    """A session can be held read-only, and to timeouts."""
    has_rescue_lock: bool = True
    """There is a lock that keeps a second rescue out."""
    commits_each_statement: bool = False
    """DDL ends the transaction that it runs in."""
    enforces_lengths: bool = True
    """A text that is longer than its column is refused."""

    @cached_property
    def reader(self) -> CatalogReader | None:
        """None where no catalog of it can be read: every revision is unverifiable."""
        reader: CatalogReader | None = self._part("catalog", "READER")
        return reader

    @cached_property
    def kind_of(self) -> StatementReader:
        """Tells what a statement does by its own text."""
        read: StatementReader = self._part("statements", "kind_of") or _unknown
        return read

    @cached_property
    def surroundings(self) -> Callable[[Connection], Surroundings] | None:
        """Reads what a chain takes for granted; None where that is nothing."""
        read: Callable[[Connection], Surroundings] | None = self._part("surroundings", "of")
        return read

    @cached_property
    def effects(self) -> Callable[[], Any] | None:
        """Makes what asks a scratch database about a step (:class:`alembic_rescue.worker.observer.effects.Effects`)."""
        made: Callable[[], Any] | None = self._part("effects", "Effects")
        return made

    @cached_property
    def obstacle(self) -> Callable[[str, str], str | None]:
        """The query for what takes away what a statement failed to make, by its error and its text; None: not known."""
        query: Callable[[str, str], str | None] = self._part("obstacles", "query_for") or _none
        return query

    @cached_property
    def remedy(self) -> Remedy:
        """Makes SQL from the facts of what is missing: see :func:`alembic_rescue.evidence.judging.judge`."""
        from alembic_rescue.evidence.missing import only_own  # noqa: PLC0415 - the workers do without

        made: Remedy = self._part("remedies", "remedy") or only_own
        return made

    @cached_property
    def split(self) -> Callable[[str], list[str]]:
        """The statements of a script, without their semicolons."""
        cut: Callable[[str], list[str]] = self._part("statements", "split_script") or _whole
        return cut

    @cached_property
    def taken_back(self) -> Callable[[Sequence[Change]], tuple[tuple[str, ...], tuple[str, ...]]]:
        """The statements that take back changes of a catalog, in their order; and what none of them takes back."""
        made: Callable[[Sequence[Change]], tuple[tuple[str, ...], tuple[str, ...]]]
        made = self._part("taking_back", "taken_back") or _stays
        return made

    @cached_property
    def left_over(self) -> Callable[[Catalog], Iterable[LeftOver]]:
        """Finds in a reading of a live database what broke off there."""
        found: Callable[[Catalog], Iterable[LeftOver]] = self._part("leftovers", "left_over") or _nothing_left
        return found

    @cached_property
    def barred(self) -> Callable[[Surroundings, Sequence[Observation | Unobserved]], Iterable[Cause]]:
        """Finds what pending revisions make, and the live server will not make for this role."""
        found: Any = self._part("extensions", "barred") or _nothing_barred
        return found  # type: ignore[no-any-return]

    @cached_property
    def identity(self) -> IdentityReader:
        """Tells which database a connection leads to."""
        made: IdentityReader = self._part_or_default("identity", "Identity")
        return made

    @cached_property
    def server(self) -> Server:
        """What is asked of a live server, and of its sessions."""
        made: Server = self._part_or_default("server", "Server")
        return made

    @cached_property
    def drivers(self) -> Drivers:
        """What its drivers leave to others."""
        made: Drivers = self._part_or_default("drivers", "Drivers")
        return made

    @cached_property
    def failures(self) -> Failures:
        """What the server's errors mean."""
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
        """What a rehearsal asks."""
        made: Rehearsal = self._part_or_default("rehearsal", "Rehearsal")
        return made

    @cached_property
    def places(self) -> Places:
        """Makes scratch databases on a server."""
        made: Places = self._part_or_default("places", "Places")
        return made

    @cached_property
    def scripts(self) -> Scripts:
        """Makes a stamp into a file for a host without Python."""
        made: Scripts = self._part_or_default("scripts", "Scripts")
        return made

    def is_kin(self, name: str) -> bool:
        """Whether the dialect that SQLAlchemy calls `name` is this one, or of the same folder."""
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
    """The dialect that SQLAlchemy calls `name`."""
    return _BY_NAME.get(name) or Dialect(name, name, holds_sessions=False, has_rescue_lock=False)


def of_server(name: str, version: str) -> Dialect:
    """The dialect of a server that calls itself `version`: that of SQLAlchemy for MariaDB may be MySQL's."""
    found = of(name)
    return next((one for one in _BY_NAME.values() if one.folder == found.folder and one.title in version), found)


def known() -> tuple[Dialect, ...]:
    """One for each folder: for what comes without saying whose it is, such as an error of a driver's."""
    return tuple({one.folder: one for one in reversed(_BY_NAME.values())}.values())[::-1]


def proper_name(word: str) -> str:
    """SQLAlchemy's name for what a host calls `word` in a URL."""
    return next((one.name for one in _BY_NAME.values() if word in one.aliases), word)


def _none(_error: str, _sql: str) -> None:
    """No obstacle is known."""


def _nothing_left(_catalog: Catalog) -> tuple[LeftOver, ...]:
    """Nothing is known to break off."""
    return ()


def _whole(sql: str) -> list[str]:
    """As it is."""
    return [sql]


def _stays(changes: Sequence[Change]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """No statement is known that takes anything back."""
    return (), tuple(change.object.name for change in changes)


def _nothing_barred(_around: Surroundings, _steps: Sequence[Observation | Unobserved]) -> tuple[Cause, ...]:
    """All is made that is asked for."""
    return ()


def _unknown(sql: str) -> StatementKind:
    """The kind of a statement in a language that nobody here reads: it may do anything."""
    return StatementKind.DATA if sql.strip() else StatementKind.QUERY
