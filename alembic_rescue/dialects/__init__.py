"""What differs by database: one folder or module for each dialect, behind the protocols of ``base``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from alembic_rescue.evidence.missing import Remedy, nothing
from alembic_rescue.evidence.observation import StatementKind

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from alembic_rescue.dialects.base import CatalogReader, StatementReader
    from alembic_rescue.worker.requests import Surroundings

_FOLDERS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}


@dataclass(frozen=True)
class Dialect:
    """What one kind of database has of its own.  Each part is loaded when it is first used."""

    name: str
    """SQLAlchemy's name for it; ``other`` for all that the tool does not know."""

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
        """Makes what asks a scratch database about a step (:class:`alembic_rescue.worker.effects.Effects`)."""
        made: Callable[[], Any] | None = self._part("effects", "Effects")
        return made

    @cached_property
    def remedy(self) -> Remedy:
        """Makes SQL from the facts of what is missing: see :func:`alembic_rescue.evidence.judging.judge`."""
        made: Remedy = self._part("remedies", "remedy") or nothing
        return made

    def _part(self, module: str, name: str) -> Any:
        folder = _FOLDERS.get(self.name)
        if folder is None:
            return None
        try:
            return getattr(import_module(f"{__name__}.{folder}.{module}"), name)
        except ModuleNotFoundError as missing:
            if missing.name != f"{__name__}.{folder}.{module}":
                raise
            return None


@cache
def of(name: str) -> Dialect:
    """The dialect that SQLAlchemy calls `name`."""
    return Dialect(name if name in _FOLDERS else "other")


def _unknown(sql: str) -> StatementKind:
    """The kind of a statement in a language that nobody here reads: it may do anything."""
    return StatementKind.DATA if sql.strip() else StatementKind.QUERY
