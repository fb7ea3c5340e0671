"""A transaction in which the server writes every text the same way, through the driver's own cursor."""

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
"""What the text of a definition depends on (as pg_dump sets it), and no compiling of queries that run once."""


@contextmanager
def unshadowed_path(cursor: Cursor) -> Iterator[None]:
    """In somebody else's transaction: nobody's functions and operators run in the place of the server's meanwhile."""
    path = str(cursor.value("SELECT pg_catalog.current_setting('search_path')")).replace("'", "''")
    try:
        cursor.rows(f"SELECT {_local('search_path', SETTINGS['search_path'])}")
        yield
    finally:
        cursor.rows(f"SELECT {_local('search_path', path)}")


@contextmanager
def transaction(connection: Connection, begin: str = "BEGIN READ ONLY", **settings: str) -> Iterator[Cursor]:
    """A transaction with `SETTINGS` and `settings`, rolled back at the end: nothing of the session changes.

    None may be open.  BEGIN is said aloud because the driver may be in autocommit; if it is not, the server warns.
    """
    raw, dialect = connection.connection, connection.dialect
    dialect.do_rollback(raw)
    cursor = Cursor(raw, dialect)
    cursor.run(begin)
    try:
        cursor.rows("SELECT " + ", ".join(_local(*setting) for setting in {**SETTINGS, **settings}.items()))
        yield cursor
    except BaseException:
        with suppress(cursor.error):  # the connection may be lost, which is told by the error under way
            cursor.run("ROLLBACK")
            dialect.do_rollback(raw)
        raise
    cursor.run("ROLLBACK")
    dialect.do_rollback(raw)  # the driver, too, knows then that it has ended


def _local(name: str, value: str) -> str:
    return f"pg_catalog.set_config('{name}', '{value}', true)"


def literal(text: str) -> str:
    """A text as SQL, whatever is in it and whatever the driver makes of percent signs and colons."""
    if text.isascii() and text.replace("_", "a").replace(".", "a").isalnum():
        return f"'{text}'"
    return f"convert_from(decode('{text.encode().hex()}', 'hex'), 'UTF8')"


def texts(values: Iterable[str]) -> str:
    """An array of texts as SQL."""
    return f"ARRAY[{', '.join(map(literal, sorted(values)))}]::text[]"


def oids(values: Iterable[str]) -> str:
    """An array of oids as SQL."""
    return f"'{{{','.join(sorted(values))}}}'::oid[]"
