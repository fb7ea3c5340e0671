"""The settings of env.py's connections during a real upgrade: only what keeps other sessions from waiting.

Isolation, transactions and statement timeouts stay the project's own.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.connection import drivers, poolers, sessions
from alembic_rescue.connection.connections import Hold, Terms
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.connection.waits import Waits
from alembic_rescue.dialects.cursor import Cursor


class UpgradeHold(Hold):
    """Sets a lock timeout on env.py's connections, and records failures."""

    def __init__(self, project: Terms, *, read_only: bool) -> None:
        super().__init__(project, read_only=read_only)
        self._listeners = (
            *self._listeners,
            (Engine, "before_cursor_execute", self._before),
            (Engine, "after_cursor_execute", lambda connection, *_: self._after(connection)),
            (Engine, "handle_error", lambda failed: self._after(failed.connection)),
        )
        self._patient: Connection | None = None
        """The connection whose lock timeout is lifted."""

    def _before(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if sessions.is_own(connection.engine) or poolers.is_pooled(connection) or not drivers.commits_each(connection):
            return  # in a transaction it fails, and the settings made afterwards would roll that back
        cursor, server = _cursor_of(connection), dialects.of(connection.dialect.name).server
        if server.wait_patiently(cursor, statement, self._project.timeouts.lock):
            self._patient = connection

    def _after(self, connection: Connection | None) -> None:
        if connection is None or connection is not self._patient:
            return
        self._patient = None
        with suppress(Exception):  # the session is lost
            self._make_settings(connection.connection, connection.dialect)

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
        """Make the settings per transaction: those of a session would soon apply to another client of the pooler."""
        server = dialects.of(connection.dialect.name).server
        if settings := server.settings_of_transaction(self._project.timeouts.lock):
            event.listen(connection, "begin", lambda one: _begin(one, settings))

    def _set_isolation(self, connection: Connection) -> None:
        pass


def _cursor_of(connection: Connection) -> Cursor:
    return Cursor(connection.connection, connection.dialect)


def _begin(connection: Connection, settings: tuple[str, ...]) -> None:
    if not getattr(driver_connection(connection.connection), "autocommit", False):
        for setting in settings:
            _cursor_of(connection).run(setting)
