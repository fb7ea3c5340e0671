"""Everything that differs between supported versions: Python 3.10, Alembic 1.9, SQLAlchemy 1.4, and later.

Each part says with which old version it can be removed.  What differs by driver or dialect is next to its use, and so
is what differs by typer, which only the command line uses.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from itertools import takewhile
from typing import Any

if sys.version_info >= (3, 11):  # remove the other branch, and the dependency on tomli, with Python 3.10
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "alembic_reads_toml",
    "connection_of",
    "default_driver",
    "dialect_of",
    "driver_connection",
    "is_recursive",
    "is_url_none",
    "takes_async_creator",
    "toml_argument",
    "tomllib",
]


def _at_least(package: str, *wanted: int) -> bool:
    parts = version(package).split(".")[: len(wanted)]
    return tuple(int("".join(takewhile(str.isdigit, part)) or 0) for part in parts) >= wanted


def alembic_reads_toml() -> bool:
    """Whether Alembic reads settings from a pyproject.toml.  Remove with Alembic 1.15."""
    return _at_least("alembic", 1, 16)


def toml_argument(toml: str) -> dict[str, Any]:
    """The argument of ``alembic.config.Config`` for a pyproject.toml, if it has one.  Remove with Alembic 1.15."""
    return {"toml_file": toml} if alembic_reads_toml() else {}


def is_recursive(script_directory: Any) -> bool:
    """Whether it searches the subfolders of its folders too.  Remove with Alembic 1.9, which has no such setting."""
    return bool(getattr(script_directory, "recursive_version_locations", False))


def default_driver() -> str:
    """The driver of a plain ``postgresql://``.  Remove with SQLAlchemy 2.0."""
    return "psycopg" if _at_least("sqlalchemy", 2, 1) else "psycopg2"


def takes_async_creator() -> bool:
    """Whether asynchronous drivers take ``async_creator_fn``.  Remove with SQLAlchemy 2.0.15."""
    return _at_least("sqlalchemy", 2, 0, 16)


def driver_connection(dbapi_connection: Any) -> Any:
    """The driver's own connection.  SQLAlchemy wraps it for its pool, and again for an asynchronous driver.

    From SQLAlchemy 1.4.24 on, both wrappers have it as ``driver_connection``: remove the last two lines with 1.4.23.
    """
    if hasattr(dbapi_connection, "driver_connection"):
        return dbapi_connection.driver_connection
    pooled = getattr(dbapi_connection, "connection", dbapi_connection)
    return getattr(pooled, "_connection", pooled)


def dialect_of(record: Any) -> Any:
    """The dialect of the engine whose pool created this connection record; None if there is no engine.

    The pool's ``connect`` event does not pass it.  The two private names are the same from SQLAlchemy 1.4 to 2.1.
    """
    found = getattr(getattr(record, "_ConnectionRecord__pool", None), "_dialect", None)
    return found if hasattr(found, "do_execute_no_params") else None


def connection_of(cursor: Any) -> Any:
    """The driver's own connection for a cursor.  PEP 249 makes the attribute optional.

    SQLAlchemy's cursors for asynchronous drivers have it as ``_connection``.  Pg8000's has ``_c``, and warns when its
    ``connection`` is read.
    """
    ours = next((found for name in ("_connection", "_c") if (found := getattr(cursor, name, None)) is not None), None)
    return getattr(cursor, "connection", None) if ours is None else ours


def is_url_none(said: str) -> bool:
    """Whether this message says that SQLAlchemy was given None for a URL.

    The second half can be removed with SQLAlchemy 1.4.
    """
    return "got None" in said or "'NoneType' object has no attribute '_instantiate_plugins'" in said
