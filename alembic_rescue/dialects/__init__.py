"""What differs by database: one folder or module for each dialect, behind the protocols of ``base``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module

from alembic_rescue.dialects.base import CatalogReader, StatementReader
from alembic_rescue.evidence.observation import StatementKind


@dataclass(frozen=True)
class Dialect:
    """What one kind of database has of its own."""

    name: str
    """SQLAlchemy's name for it; ``other`` for all that the tool does not know."""
    reader: CatalogReader | None
    """None where no catalog of it can be read: every revision is unverifiable."""
    kind_of: StatementReader


_MODULES = {
    "postgresql": ("postgresql.catalog", "postgresql.statements"),
    "mysql": ("mysql.catalog", "mysql.statements"),
    "mariadb": ("mysql.catalog", "mysql.statements"),
    "sqlite": ("sqlite.catalog", "sqlite.statements"),
}


@cache
def of(name: str) -> Dialect:
    """The dialect that SQLAlchemy calls `name`.  Its modules are loaded by the first call."""
    if name not in _MODULES:
        return Dialect("other", None, _unknown)
    catalog, statements = (import_module(f"{__name__}.{module}") for module in _MODULES[name])
    return Dialect(name, catalog.READER, statements.kind_of)


def _unknown(sql: str) -> StatementKind:
    """The kind of a statement in a language that nobody here reads: it may do anything."""
    return StatementKind.DATA if sql.strip() else StatementKind.QUERY
