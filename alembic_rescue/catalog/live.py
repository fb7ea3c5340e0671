"""Reading the catalog of a live database, by its dialect."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from alembic_rescue.catalog import other, postgresql
from alembic_rescue.catalog.snapshot import Snapshot


def read(connection: Connection, schemas: frozenset[str] = frozenset()) -> Snapshot:
    """Read the catalog in a constant number of queries.

    Args:
        schemas: those to read besides the ones on the session's search path.
    """
    if connection.dialect.name == "postgresql":
        path, objects = postgresql.read(connection, schemas)
        return Snapshot("postgresql", path, objects, {})
    objects, unread = other.read(connection)
    return Snapshot(connection.dialect.name, (None,), objects, unread)
