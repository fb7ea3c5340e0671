"""Behind a connection pooler (PgBouncer, Supavisor, RDS Proxy) a session is not the tool's own.

In transaction mode the pooler hands a server session to one client after another: a ``SET`` of
``default_transaction_read_only`` meant for the tool would make the *application's* transactions read-only.  So
behind a pooler no setting of the session is touched.  Looking is held read-only transaction by transaction, and a
statement that does not end is cancelled from here instead of by the server's own timeout: see
:mod:`alembic_rescue.connection.waits`.
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
    """Whether it leads to one; see :func:`leads_to_one`."""
    return leads_to_one(connection.connection, connection.dialect, connection.info)


def leads_to_one(dbapi_connection: Any, dialect: Dialect, info: MutableMapping[Any, Any]) -> bool:
    """Whether another process answers than the one that the server named when the connection was made.

    PostgreSQL names it in BackendKeyData; a pooler sends one of its own making.  False where the driver does not
    hand it on.  Asked once for each connection of the driver, and noted in `info`.
    """
    if POOLED not in info:
        ours = dialects.of(dialect.name)
        named = ours.drivers.server_process(driver_connection(dbapi_connection))
        info[POOLED] = named is not None and named != _answering_process(dbapi_connection, dialect)
    return bool(info[POOLED])


def hold_read_only(connection: Connection) -> None:
    """Make each transaction of `connection` a read-only one."""
    dialects.of(connection.dialect.name).server.hold_read_only(connection)


def _answering_process(dbapi_connection: Any, dialect: Dialect) -> int:
    pid, _ = dialects.of(dialect.name).server.backend(Cursor(dbapi_connection, dialect))
    dialect.do_rollback(dbapi_connection)
    return pid
