"""Leads what the drivers are asked for to the scratch databases, from the first import on.

A driver is changed when the project imports it; none is imported for this.  What is changed is the lowest place in
Python through which all of a driver's ways go, so that SQLAlchemy, its raw connections, pools and the driver by itself
are led alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from alembic_rescue import when_imported
from alembic_rescue.worker.isolation import led_libpq, led_python, led_sqlite
from alembic_rescue.worker.isolation.routes import Routes

Change = Callable[..., None]
"""Of a module, to the `routes` that are current."""

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
"""By the module's name."""

_current: list[Routes] = []


def lead_away(routes: Routes) -> None:
    """Lead each driver, from now on, to what `routes` says.  May be called again, with others."""
    _current[:] = [routes]
    when_imported.change({name: partial(change, routes=_routes) for name, change in CHANGES.items()})


def _routes() -> Routes:
    return _current[0]
