"""Behind a connection pooler (PgBouncer, Supavisor, RDS Proxy), the tool does not own its session.

In transaction mode the pooler gives a server session to one client after another: a ``SET`` of
``default_transaction_read_only`` meant for the tool would make the *application's* transactions read-only.  So behind
a pooler no session setting is changed.  Reads are kept read-only transaction by transaction, and this side, not the
server's own timeout, cancels a statement that does not end: see :mod:`alembic_rescue.connection.waits`.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from sqlalchemy.engine import Connection, Dialect

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.dialects.cursor import Cursor

POOLED = "alembic_rescue.pooled"


def is_pooled(connection: Connection) -> bool:
    """Return whether it leads to a pooler; see :func:`leads_to_one`."""
    return leads_to_one(connection.connection, connection.dialect, connection.info)


def leads_to_one(dbapi_connection: Any, dialect: Dialect, info: MutableMapping[Any, Any]) -> bool:
    """Return whether another process answers than the one that the server named when the connection was made.

    PostgreSQL names it in BackendKeyData; a pooler sends one that it made up.  False if the driver does not expose it.
    Checked once for each connection of the driver, and stored in `info`.
    """
    if POOLED not in info:
        ours = dialects.of(dialect.name)
        named = ours.drivers.server_process(driver_connection(dbapi_connection))
        info[POOLED] = named is not None and named != _answering_process(dbapi_connection, dialect)
    return bool(info[POOLED])


def hold_read_only(connection: Connection) -> None:
    """Make each transaction of `connection` read-only."""
    dialects.of(connection.dialect.name).server.hold_read_only(connection)


def _answering_process(dbapi_connection: Any, dialect: Dialect) -> int:
    pid, _ = dialects.of(dialect.name).server.backend(Cursor(dbapi_connection, dialect))
    dialect.do_rollback(dbapi_connection)
    return pid
