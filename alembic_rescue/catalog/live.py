"""Reading the catalog of a live database, by its dialect."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from alembic_rescue.catalog import mysql, other, postgresql
from alembic_rescue.catalog.snapshot import Snapshot
from alembic_rescue.ddl import MYSQL


def read(connection: Connection, schemas: frozenset[str] = frozenset()) -> Snapshot:
    """Read the catalog: PostgreSQL's in a constant number of queries, others with one or more for each table.

    Args:
        schemas: those to read besides the ones on the session's search path.
    """
    if connection.dialect.name == "postgresql":
        path, objects = postgresql.read(connection, schemas)
        return Snapshot("postgresql", path, objects, {})
    if connection.dialect.name in MYSQL:
        home, found, unreadable = mysql.read(connection, schemas)
        return Snapshot(connection.dialect.name, (home,), found, unreadable)
    objects, unread = other.read(connection)
    return Snapshot(connection.dialect.name, (None,), objects, unread)
