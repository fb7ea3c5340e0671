"""The tool's own queries, and the driver's cursor."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Dialect


def fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Run a SELECT through the driver's cursor, invisible to SQLAlchemy: for use inside its events."""
    return Cursor(connection.connection, connection.dialect).rows(sql)


def query(connection: Connection, sql: str, **values: object) -> list[dict[str, Any]]:
    """Run a SELECT through SQLAlchemy and return the rows as mappings (with SQLAlchemy 1.4 and 2)."""
    return [dict(row) for row in connection.execute(text(sql), values).mappings()]


class Cursor:
    """The driver's cursor.  Statements have no parameters: drivers differ in how they write them.

    A statement has no percent sign, question mark or lone colon outside quotes.  The dialect runs it, so that a wait
    for the server ends: see :mod:`alembic_rescue.connection.waits`.
    """

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection, self._run = connection, dialect.do_execute_no_params
        driver: Any = getattr(dialect, "loaded_dbapi", dialect.dbapi)
        self.error: type[Exception] = driver.Error
        """The base class of the driver's errors."""

    def run(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        cursor = self._connection.cursor()
        try:
            self._run(cursor, statement)
        finally:
            cursor.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        cursor = self._connection.cursor()
        try:
            self._run(cursor, query)
            return [tuple(row) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def value(self, query: str) -> Any:
        """Return the single value of a query."""
        return self.rows(query)[0][0]
