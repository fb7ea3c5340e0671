"""A transaction in which the server writes every text in the same way, through the driver's own cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import Cursor

SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "jit": "off",
}
"""The settings that the text of a definition depends on (as in pg_dump), and no JIT for queries that run once."""


@contextmanager
def unshadowed_path(cursor: Cursor) -> Iterator[None]:
    """Prevent shadowing of the server's functions and operators for a while, in somebody else's transaction."""
    path = str(cursor.value("SELECT pg_catalog.current_setting('search_path')")).replace("'", "''")
    try:
        cursor.rows(f"SELECT {_local('search_path', SETTINGS['search_path'])}")
        yield
    finally:
        cursor.rows(f"SELECT {_local('search_path', path)}")


@contextmanager
def transaction(connection: Connection, begin: str = "BEGIN READ ONLY", **settings: str) -> Iterator[Cursor]:
    """Run a transaction with `SETTINGS` and `settings`, rolled back at the end: the session is not changed.

    No transaction may be open.  BEGIN is sent explicitly because the driver may be in autocommit; if it is not, the
    server warns.
    """
    raw, dialect = connection.connection, connection.dialect
    dialect.do_rollback(raw)
    cursor = Cursor(raw, dialect)
    cursor.run(begin)
    try:
        cursor.rows("SELECT " + ", ".join(_local(*setting) for setting in {**SETTINGS, **settings}.items()))
        yield cursor
    except BaseException:
        with suppress(cursor.error):  # the connection may be lost, as the current error then says
            cursor.run("ROLLBACK")
            dialect.do_rollback(raw)
        raise
    cursor.run("ROLLBACK")
    dialect.do_rollback(raw)  # tells the driver, too, that the transaction has ended


def _local(name: str, value: str) -> str:
    return f"pg_catalog.set_config('{name}', '{value}', true)"


def literal(text: str) -> str:
    """Quote any text for SQL, safe from the driver's handling of percent signs and colons."""
    if text.isascii() and text.replace("_", "a").replace(".", "a").isalnum():
        return f"'{text}'"
    return f"convert_from(decode('{text.encode().hex()}', 'hex'), 'UTF8')"


def texts(values: Iterable[str]) -> str:
    """Write an array of texts as SQL."""
    return f"ARRAY[{', '.join(map(literal, sorted(values)))}]::text[]"


def oids(values: Iterable[str]) -> str:
    """Write an array of oids as SQL."""
    return f"'{{{','.join(sorted(values))}}}'::oid[]"
