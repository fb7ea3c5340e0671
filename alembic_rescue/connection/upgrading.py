"""What is done to env.py's connections while migrations run on them for good: as little as keeps others from waiting.

Their isolation, their transactions and the timeouts of their statements stay the project's own.
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
    """Gives them a lock timeout, and sees what fails."""

    def _waits(self, timeouts: Timeouts) -> Waits:
        """None of a statement ends by our clock: a migration may take hours."""
        return Waits(replace(timeouts, statement=math.inf), read_only=True)

    def _make_settings(self, dbapi_connection: Any, dialect: Dialect) -> None:
        cursor = Cursor(dbapi_connection, dialect)
        for statement in dialects.of(dialect.name).server.upgrade_settings(self._project.timeouts.lock):
            try:
                cursor.run(statement)
            except cursor.error:  # a server, or what passes for one, that cannot do it
                with suppress(cursor.error):
                    dialect.do_rollback(dbapi_connection)

    def _hold_pooled(self, connection: Connection) -> None:
        """A setting of the session's would be somebody else's a moment later: each transaction gets its own."""
        server = dialects.of(connection.dialect.name).server
        if setting := server.lock_timeout_of_transaction(self._project.timeouts.lock):
            event.listen(connection, "begin", lambda one: _begin(one, setting))

    def _set_isolation(self, connection: Connection) -> None:
        pass


def _begin(connection: Connection, setting: str) -> None:
    if not getattr(driver_connection(connection.connection), "autocommit", False):
        Cursor(connection.connection, connection.dialect).run(setting)
