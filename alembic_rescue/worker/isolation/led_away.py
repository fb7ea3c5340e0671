"""Leads what the drivers are asked for to the scratch databases, from the first import on.

A driver is changed when the project imports it; none is imported for this.  What is changed is the lowest place in
Python through which all of a driver's ways go, so that SQLAlchemy, its raw connections, pools and the driver by itself
are led alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from alembic_rescue.worker.isolation import led_libpq, led_python, led_sqlite
from alembic_rescue.worker.isolation.routes import Routes

Change = Callable[[ModuleType, Callable[[], Routes]], None]

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
"""By the module's name: what changes it, at once where it is imported already, else right after its own code ran."""

_current: list[Routes] = []


def lead_away(routes: Routes) -> None:
    """Lead each driver, from now on, to what `routes` says.  May be called again, with others."""
    _current[:] = [routes]
    for name, change in CHANGES.items():
        module = sys.modules.get(name)
        if module is not None:
            change(module, _routes)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _routes() -> Routes:
    return _current[0]


class _Finder(MetaPathFinder):
    """Finds the drivers as the others do, and has them changed when they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Changing(spec.loader, CHANGES[fullname])
                return spec
        return None


class _Changing(Loader):
    """Loads a module as `loader` does, changes it, and leaves no trace in it."""

    def __init__(self, loader: Loader, change: Change) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module, _routes)
