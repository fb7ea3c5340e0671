"""The tool's own connections to a scratch server, with a synchronous driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.pool import NullPool

from alembic_rescue import dialects
from alembic_rescue.errors import ScratchFailed


@contextmanager
def connected(url: str | URL, database: str | None = None) -> Iterator[Connection]:
    """Connect to `url`, or to `database` on its server.

    Raises:
        ScratchFailed: no suitable driver is installed.
    """
    engine = create_engine(_with_driver(make_url(url), database), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    finally:
        engine.dispose()


def _with_driver(url: URL, database: str | None) -> URL:
    places = dialects.of(url.get_backend_name()).places
    driver = next((name for module, name in places.drivers if find_spec(module)), None)
    if driver is None:
        reason = f"no driver for {url.get_backend_name()} that works without an event loop"
        raise ScratchFailed(shown(str(url)), reason)
    url = places.with_driver(url, driver)
    return url if database is None else url.set(database=database)


def drivers() -> tuple[str, ...]:
    """Return the modules of the installed drivers."""
    modules = (module for one in dialects.known() for module, _ in one.places.drivers)
    return tuple(module for module in modules if find_spec(module))


def quoted(connection: Connection, name: str) -> str:
    """Quote a name for SQL."""
    written: Any = connection.dialect.identifier_preparer.quote_identifier(name)
    return str(written)


def literal(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def shown(url: str) -> str:
    """Describe a scratch server for people."""
    return f"{urlsplit(url).hostname or 'the private scratch server'}"
