"""The questions of a rehearsal on PostgreSQL: about the copy during the run, and about the live rows.

The live database is only read: each question in its own transaction, under the session's timeouts.
"""

# ruff: noqa: S608 - the SQL is made of names and expressions that the server wrote

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from alembic_rescue import dialects
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.demands import Demands
from alembic_rescue.dialects.postgresql.session import literal, transaction
from alembic_rescue.evidence.rehearsal import Answer, Demand, TableSize

_SHOWN_KEYS = 3
_SAMPLED_PAGES = 500
"""Pages to sample if reading a whole table takes too long: 4 MB."""
_CANCELLED, _DOES_NOT_FIT = "57014", "22"
_WHY = {
    "42501": "the role may not read it, or not all rows of it",
    "55P03": "another session has locked it",
    "42P01": "its table does not exist yet",
    "42703": "its column does not exist yet",
}
"""By the server's error code."""


class Rehearsal:
    """See :class:`alembic_rescue.dialects.base.Rehearsal`."""

    asks_rows = True

    def demands(self) -> Demands:
        """Return an object that follows a copy."""
        return Demands()

    def answer(self, connection: Connection, demand: Demand) -> Answer:
        """Query the live rows.  Never raises for an error from the server."""
        if demand.refused:
            return Answer(demand, unknown=demand.refused)
        driver_error = Cursor(connection.connection, connection.dialect).error
        try:
            with transaction(connection, row_security="off") as cursor:  # hidden rows are an error, not left out
                if demand.tried:
                    cursor.rows(demand.trial())
                    return Answer(demand, count=0)
                return Answer(demand, *_counted(cursor, demand))
        except driver_error as error:
            code = dialects.of("postgresql").failures.code_of(error) or ""
            if code == _CANCELLED and not demand.whole and not demand.tried:
                return self._estimated(connection, demand, driver_error)
            if demand.tried and code.startswith(_DOES_NOT_FIT):
                return Answer(demand, fails=True)
            return Answer(demand, unknown=_WHY.get(code, _took_too_long(code)))

    def _estimated(self, connection: Connection, demand: Demand, driver_error: type[Exception]) -> Answer:
        """Estimate from a sample of the table."""
        try:
            with transaction(connection, row_security="off") as cursor:
                table = f"pg_catalog.to_regclass({literal(demand.table.removeprefix('ONLY '))})"
                pages = max(1, int(cursor.value(f"SELECT relpages FROM pg_catalog.pg_class WHERE oid = {table}")))
                share = min(100.0, 100.0 * _SAMPLED_PAGES / pages)
                found, keys = _counted(cursor, demand, f" TABLESAMPLE SYSTEM ({share:.6f})")
        except driver_error:
            return Answer(demand, unknown=_took_too_long(_CANCELLED))
        if not found:
            return Answer(
                demand,
                unknown=f"only a part of the table was read, {share:.0f} %, and every row of it fits",
                estimated=True,
            )
        return Answer(demand, count=round(found * 100 / share), keys=keys, estimated=True)

    def sizes(self, connection: Connection, tables: Sequence[str]) -> dict[str, TableSize]:
        """Return the sizes of these tables; missing tables are left out."""
        found = {}
        with transaction(connection) as cursor:
            for table in tables:
                for size, rows in cursor.rows(
                    "SELECT pg_total_relation_size(oid), greatest(reltuples, 0)::int8 FROM pg_class "
                    f"WHERE oid = to_regclass({literal(table)})"
                ):
                    found[table] = TableSize(int(size), int(rows))
        return found


def _counted(cursor: Cursor, demand: Demand, sample: str = "") -> tuple[int, tuple[str, ...]]:
    """Return how many rows do not fit, and the keys of the first ones."""
    count = int(cursor.value(demand.counted(sample)))
    found = cursor.rows(f"{demand.query(sample)} LIMIT {_SHOWN_KEYS}") if count else []
    return count, tuple(", ".join(map(str, row)) for row in found)


def _took_too_long(code: str) -> str:
    return "reading the whole table took too long" if code == _CANCELLED else f"the server answered with error {code}"
