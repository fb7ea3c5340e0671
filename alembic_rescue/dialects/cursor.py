"""Queries of the tool's own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection


def fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Run a SELECT through the driver's cursor, unseen by SQLAlchemy: for use inside its events."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def query(connection: Connection, sql: str, **values: object) -> list[dict[str, Any]]:
    """Run a SELECT through SQLAlchemy, and return the rows as mappings (SQLAlchemy 1.4 and 2 alike)."""
    return [dict(row) for row in connection.execute(text(sql), values).mappings()]
