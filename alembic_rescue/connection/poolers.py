"""Behind a connection pooler (PgBouncer, Supavisor, RDS Proxy) a session is not the tool's own.

In transaction mode the pooler hands a server session to one client after another: a ``SET`` of
``default_transaction_read_only`` meant for the tool would make the *application's* transactions read-only.  So
behind a pooler no setting of the session is touched.  Looking is held read-only transaction by transaction, and a
statement that does not end is cancelled from here instead of by the server's own timeout: see
:mod:`alembic_rescue.connection.waits`.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.dialects import Dialect

_POOLED = "alembic_rescue.pooled"


def is_pooled(connection: Connection) -> bool:
    """Whether another process answers than the one that the server named when the connection was made.

    PostgreSQL names it in BackendKeyData; a pooler sends one of its own making.  False where the driver does not
    hand it on.  Asked once for each connection of the driver.
    """
    if _POOLED not in connection.info:
        dialect = dialects.of(connection.dialect.name)
        named = dialect.drivers.server_process(driver_connection(connection.connection))
        connection.info[_POOLED] = named is not None and named != _answering_process(connection, dialect)
    return bool(connection.info[_POOLED])


def hold_read_only(connection: Connection) -> None:
    """Make each transaction of `connection` a read-only one."""
    dialects.of(connection.dialect.name).server.hold_read_only(connection)


def _answering_process(connection: Connection, dialect: Dialect) -> int:
    pid, _ = dialect.server.backend(connection)
    connection.dialect.do_rollback(connection.connection)
    return pid
