"""What PostgreSQL itself reports of a step on a scratch database, beyond the catalog and the observed statements.

Everything goes through the driver's cursor, invisible to SQLAlchemy's events.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.postgresql.statements import parts
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.dialects.statements import strongest
from alembic_rescue.evidence.observation import Change, StatementKind

_LOCAL = unshadowed("SELECT current_setting('search_path'), current_setting('role')")
_NEXT = unshadowed("SELECT greatest(txid_snapshot_xmax(txid_current_snapshot()), txid_current_if_assigned() + 1)")
"""Grows with each transaction that writes, whether ended or this one."""
_OWN = unshadowed("""
    SELECT txid_current_if_assigned() IS NOT NULL,
           EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname <> current_database())
""")
"""Whether this transaction has written, and whether other databases have sessions, which may have written instead."""
_ROWS = unshadowed("""
    SELECT oid, changed FROM (
        SELECT oid, pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
                    + pg_stat_get_xact_tuples_deleted(oid) AS changed
          FROM pg_class WHERE (relkind = 'r' OR relkind = 'm') AND relpersistence <> 't' AND oid >= 16384) AS counted
     WHERE changed > 0
""")
"""This session's counters, including earlier transactions that it has not reported yet."""
_READ_ONLY = unshadowed("""
    SELECT DISTINCT proname FROM pg_proc WHERE proname = ANY (ARRAY[{names}])
    EXCEPT
    SELECT proname FROM pg_proc WHERE provolatile = 'v' OR pronamespace <> 'pg_catalog'::regnamespace
""")
_UNSEEN = "(rows or other persistent state were changed by statements that were not observed)"


class Effects:
    """See :class:`alembic_rescue.worker.observer.effects.Effects`."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._counted: dict[Any, int] = {}
        self._rows = False
        self._wrote = False

    @contextmanager
    def local_settings_kept(self, connection: Connection) -> Iterator[None]:
        """Keep ``SET LOCAL search_path`` and ``role`` in the next transaction."""
        before = _fetch(connection, _LOCAL)[0]
        yield
        after = _fetch(connection, _LOCAL)[0]
        for name, value, now in zip(("search_path", "role"), before, after, strict=True):
            if value != now:
                _run(connection, f"SET LOCAL {name} TO {value if name == 'search_path' else _quoted(value)}")

    def begin(self, connection: Connection) -> None:
        """Record the counters; no transaction is open before or after."""
        self._rows, self._wrote = False, False
        self._next, self._counted = self._number(connection), self._rows_changed(connection)
        connection.connection.rollback()

    def end(self, connection: Connection, sent: Sequence[str]) -> None:
        """Compare the counters, unless the observed statements change rows anyway."""
        if any(part.strongest is StatementKind.DATA for sql in sent for part in parts(sql)):
            return
        self._wrote = self._number(connection) != self._next and self._is_of_this_database(connection)
        if self._wrote and not any(_has_rows(sql) for sql in sent):
            changed = self._rows_changed(connection)
            self._rows = any(number > self._counted.get(table, 0) for table, number in changed.items())

    # Both return nothing if the transaction has failed or the revision has closed the connection.

    @staticmethod
    def _number(connection: Connection) -> int | None:
        with suppress(Exception):
            return int(_fetch(connection, _NEXT)[0][0])
        return None

    @staticmethod
    def _rows_changed(connection: Connection) -> dict[Any, int]:
        with suppress(Exception):
            return {table: int(number) for table, number in _fetch(connection, _ROWS)}
        return {}

    @staticmethod
    def _is_of_this_database(connection: Connection) -> bool:
        """Whether the write was in this database, as far as the server shows it."""
        with suppress(Exception):
            ((own, others),) = _fetch(connection, _OWN)
            return bool(own) or not others
        return True

    def kinds(self, connection: Connection, sent: Sequence[str], changes: Collection[Change]) -> list[StatementKind]:
        """Return the kind of each statement, after the step is committed.

        Built-in functions that only read are distinguished from others, and an expression that changed a column's type
        (which the catalog shows) from one that only changed its values.
        """
        names = {name for sql in sent for part in parts(sql) for name in part.calls}
        reading = _reading_only(connection, names)
        retyped = any(
            change.before is not None
            and change.after is not None
            and change.before.get("type") != change.after.get("type")
            for change in changes
            if change.object.kind == "table column"
        )
        return [
            strongest(
                StatementKind.DATA if part.calls - reading or (part.converts and not retyped) else part.kind
                for part in parts(sql)
            )
            for sql in sent
        ]

    def unseen(self, kinds: Collection[StatementKind]) -> str | None:
        """Return a message if the server counted more than the observed statements explain."""
        if self._rows or (
            self._wrote and not {StatementKind.CATALOG, StatementKind.DATA, StatementKind.SESSION} & {*kinds}
        ):
            return _UNSEEN
        return None


def _has_rows(sql: str) -> bool:
    """Whether the statement creates a table with a query's rows, which the server counts as inserted."""
    words = sql.upper()
    return "SELECT" in words or "TABLE" in words.partition(" AS ")[2]


def _reading_only(connection: Connection, names: Collection[str]) -> frozenset[str]:
    if not names:
        return frozenset()
    listed = ", ".join(_literal(name) for name in sorted(names))
    try:
        return frozenset(str(name) for (name,) in _fetch(connection, _READ_ONLY.format(names=listed)))
    finally:
        connection.connection.rollback()


def _literal(text: str) -> str:
    doubled = text.replace("'", "''").replace("\\", "\\\\")
    return f"E'{doubled}'"


def _quoted(name: str) -> str:
    return "NONE" if name == "none" else '"' + name.replace('"', '""') + '"'


def _fetch(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(query)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def _run(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
