"""Redirect the connections of all drivers to the scratch databases, from the first import on.

A driver is patched when the project imports it; none is imported for this.  The patch is at the lowest Python function
that all of a driver's connections pass through, so it covers SQLAlchemy, its raw connections, pools, and direct use of
the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from alembic_rescue import when_imported
from alembic_rescue.worker.isolation import led_libpq, led_python, led_sqlite
from alembic_rescue.worker.isolation.routes import Routes

Change = Callable[..., None]
"""Patches a module to follow the current `routes`."""

CHANGES: Mapping[str, Change] = {
    "psycopg2._psycopg": led_libpq.psycopg2,
    "psycopg.pq": led_libpq.psycopg_pq,
    "psycopg.generators": led_libpq.psycopg_generators,
    "psycopg.connection": led_libpq.psycopg_connection,
    "psycopg.connection_async": led_libpq.psycopg_connection_async,
    "asyncpg.connect_utils": led_python.asyncpg,
    "pg8000.core": led_python.pg8000,
    "pymysql.connections": led_python.pymysql,
    "MySQLdb.connections": led_python.pymysql,
    "aiomysql.connection": led_python.pymysql,
    "asyncmy.connection": led_python.asyncmy,
    "mysql.connector": led_python.asyncmy,
    "_sqlite3": led_sqlite.sqlite3,
    "sqlite3.dbapi2": led_sqlite.sqlite3,
    "sqlite3": led_sqlite.sqlite3,
}
"""By module name."""

_current: list[Routes] = []


def lead_away(routes: Routes) -> None:
    """Redirect each driver according to `routes` from now on.  May be called again with other routes."""
    _current[:] = [routes]
    when_imported.change({name: partial(change, routes=_routes) for name, change in CHANGES.items()})


def _routes() -> Routes:
    return _current[0]
