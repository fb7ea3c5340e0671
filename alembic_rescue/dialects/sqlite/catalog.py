"""The catalog of SQLite: one query for all objects, and one for each setting of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import fetch
from alembic_rescue.dialects.definitions import quoted, roots
from alembic_rescue.dialects.sqlite import settling
from alembic_rescue.dialects.sqlite.definitions import objects
from alembic_rescue.dialects.sqlite.statements import LEFT_OVER
from alembic_rescue.dialects.whole import Watch
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts, Reading, Unread

DATABASE = CatalogObject("database", "current")

_ROWS = r"""
    SELECT type, name, tbl_name, sql FROM main.sqlite_master
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
"""
"""Excludes the indexes of constraints, which have no text, and SQLite's internal tables."""
_SETTINGS = ("user_version", "application_id", "auto_vacuum", "encoding", "page_size", "journal_mode")


class _Row(NamedTuple):
    kind: str
    name: str
    table: str
    sql: str


class Reader:
    """Reads the catalog of the connection's ``main`` database."""

    def everything(self, connection: Connection) -> Catalog:
        """Read every object of the file, and its settings."""
        try:
            return {DATABASE: _settings(connection), **_catalog(_rows(connection))}
        finally:
            connection.connection.rollback()

    def named(self, connection: Connection, objects: Collection[CatalogObject]) -> Reading:
        """Read those objects, everything in their tables, and the tables that an interrupted batch mode left behind.

        A file that another process is writing cannot be read at all, and SQLite does not show which process that is.
        """
        try:
            rows = _rows(connection)
            settings = {DATABASE: _settings(connection)} if DATABASE in objects else {}
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            reason = f"another program is writing to the file: {error}"
            return Reading({}, tuple(Unread(one, reason) for one in objects))
        names = roots(objects)
        names |= {quoted(LEFT_OVER + name) for name in names}
        return Reading({**settings, **_catalog(row for row in rows if {quoted(row.name), quoted(row.table)} & names)})

    def watch(self, connection: Connection) -> Watch:
        """Begin to follow a scratch database."""
        return Watch(self, connection)

    def settle(
        self,
        connection: Connection,  # noqa: ARG002 - SQLite keeps texts as they are: there is nothing to ask it
        texts: Sequence[tuple[CatalogObject, str, str, str]],
    ) -> dict[tuple[CatalogObject, str], bool | None]:
        """Decide by the text alone."""
        return {(one, fact): settling.same(one, fact, text, other) for one, fact, text, other in texts}


READER = Reader()


def _catalog(rows: Iterable[_Row]) -> Catalog:
    found: dict[CatalogObject, Facts] = {}
    for row in rows:
        found.update(objects(*row))
    return found


def _rows(connection: Connection) -> list[_Row]:
    return [_Row(*row) for row in fetch(connection, _ROWS)]


def _settings(connection: Connection) -> Facts:
    return {name: str(fetch(connection, f"PRAGMA main.{name}")[0][0]) for name in _SETTINGS}
