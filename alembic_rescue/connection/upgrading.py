"""The settings of env.py's connections during a real upgrade: only what keeps other sessions from waiting.

Isolation, transactions and statement timeouts stay the project's own.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.connection.connections import Hold
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.connection.waits import Waits
from alembic_rescue.dialects.cursor import Cursor


class UpgradeHold(Hold):
    """Sets a lock timeout on env.py's connections, and records failures."""

    def _waits(self, timeouts: Timeouts) -> Waits:
        """Return waits without a statement timeout: a migration may take hours."""
        return Waits(replace(timeouts, statement=math.inf), read_only=True)

    def _make_settings(self, dbapi_connection: Any, dialect: Dialect) -> None:
        cursor = Cursor(dbapi_connection, dialect)
        for statement in dialects.of(dialect.name).server.upgrade_settings(self._project.timeouts.lock):
            try:
                cursor.run(statement)
            except cursor.error:  # the server, or a stand-in for one, does not support it
                with suppress(cursor.error):
                    dialect.do_rollback(dbapi_connection)

    def _hold_pooled(self, connection: Connection) -> None:
        """Set the lock timeout per transaction: a session setting would soon apply to another client of the pooler."""
        server = dialects.of(connection.dialect.name).server
        if setting := server.lock_timeout_of_transaction(self._project.timeouts.lock):
            event.listen(connection, "begin", lambda one: _begin(one, setting))

    def _set_isolation(self, connection: Connection) -> None:
        pass


def _begin(connection: Connection, setting: str) -> None:
    if not getattr(driver_connection(connection.connection), "autocommit", False):
        Cursor(connection.connection, connection.dialect).run(setting)
