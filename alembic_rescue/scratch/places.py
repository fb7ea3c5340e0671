"""Making the scratch databases, with what a chain takes for granted; in the scratch worker, before it is led away.

No name is ever taken from a database that holds something.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from alembic_rescue import errors
from alembic_rescue.worker.requests import Place, Prepared, Surroundings

_DRIVERS = (("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("pg8000", "pg8000"))
_MYSQL_DRIVERS = (("pymysql", "pymysql"), ("MySQLdb", "mysqldb"))
_NO_SUCH_EXTENSION = ("0A000", "58P01", "22023")
_FIRST_TABLE = """
    SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LIMIT 1
"""
_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"


def prepare(admin_url: str, places: Sequence[Place], live_ids: Sequence[str]) -> Prepared:
    """Make the databases that are not there yet, and end what an earlier worker left running in them.

    Args:
        admin_url: of the scratch server, as one who may make databases there.
        live_ids: the server ids of the project's databases.

    Raises:
        ScratchIsProjects: it is the project's own server.
        ScratchFailed: it cannot be reached, or does not let them be made.
    """
    if admin_url.startswith("file:"):
        return Prepared("")
    try:
        with _connected(admin_url) as admin:
            if admin.dialect.name == "postgresql":
                return _on_postgresql(admin, admin_url, places, live_ids)
            return _on_mysql(admin, places)
    except DBAPIError as error:
        raise errors.ScratchFailed(_shown(admin_url), " ".join(str(error.orig).split())) from error


def remove(admin_url: str, databases: Sequence[str], roles: Sequence[str]) -> None:
    """Take away what :func:`prepare` made on a server that goes on running."""
    with _connected(admin_url) as admin:
        for name in databases:
            admin.execute(text(_OTHERS), {"name": name})
            admin.execute(text(f"DROP DATABASE IF EXISTS {_quoted(admin, name)}"))
        for name in roles:
            with contextlib.suppress(DBAPIError):  # somebody else has granted it something meanwhile
                admin.execute(text(f"DROP ROLE IF EXISTS {_quoted(admin, name)}"))


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


def _on_postgresql(admin: Connection, admin_url: str, places: Sequence[Place], live_ids: Sequence[str]) -> Prepared:
    _refuse_the_projects(admin, admin_url, live_ids)
    _refuse_a_full_one(admin)
    provided: list[str] = []
    lacking: list[str] = []
    roles: list[str] = []
    for place in places:
        around = place.surroundings
        assert around is not None, "PostgreSQL tells them"
        roles += _roles(admin, place, around)
        there = admin.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": place.database}).first()
        if there:
            admin.execute(text(_OTHERS), {"name": place.database})
            continue
        _database(admin, place, around)
        with _connected(admin_url, place.database) as inside:
            _inside(inside, place, around, provided, lacking)
    version = admin.execute(text("SHOW server_version")).scalar_one()
    return Prepared(str(version), tuple(roles), tuple(dict.fromkeys(provided)), tuple(dict.fromkeys(lacking)))


def _refuse_the_projects(admin: Connection, admin_url: str, live_ids: Sequence[str]) -> None:
    may = admin.execute(text("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')")).scalar_one()
    if may:
        system = admin.execute(text("SELECT system_identifier::text FROM pg_catalog.pg_control_system()")).scalar_one()
        if any(live.partition("/")[0] == system for live in live_ids):
            raise errors.ScratchIsProjects(_shown(admin_url))


def _refuse_a_full_one(admin: Connection) -> None:
    """What is named is thrown away in somebody's mind: it must hold nothing."""
    found = admin.execute(text(_FIRST_TABLE)).first()
    if found:
        name = admin.execute(text("SELECT current_database()")).scalar_one()
        raise errors.ScratchNotEmpty(str(name), f"the table {found[0]}")


def _roles(admin: Connection, place: Place, around: Surroundings) -> list[str]:
    """Make the role that the chain runs as, and those that own something or are granted something."""
    known = {str(row[0]) for row in admin.execute(text("SELECT rolname FROM pg_roles"))}
    made = []
    for name in dict.fromkeys((place.role, *around.roles)):
        if name not in known:
            superuser = " SUPERUSER" if name == place.role and around.superuser else ""
            password = f" PASSWORD {_literal(place.password)}" if name == place.role and place.password else ""
            admin.execute(text(f"CREATE ROLE {_quoted(admin, name)} LOGIN{superuser}{password}"))
            made.append(name)
    if not around.superuser:  # it may SET ROLE as on the live server, where others granted it theirs
        for name in set(made) - {place.role}:
            with contextlib.suppress(DBAPIError):
                admin.execute(text(f"GRANT {_quoted(admin, name)} TO {_quoted(admin, place.role)}"))
    with contextlib.suppress(DBAPIError):  # who is no superuser must be a member of a role to give it a database
        if made and not admin.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar_one():
            admin.execute(text(f"GRANT {_quoted(admin, place.role)} TO CURRENT_USER"))
    return made


def _database(admin: Connection, place: Place, around: Surroundings) -> None:
    quoted, owner = _quoted(admin, place.database), _quoted(admin, place.role)
    made = f"CREATE DATABASE {quoted} OWNER {owner} TEMPLATE template0"
    alike = f" ENCODING '{around.encoding}' LC_COLLATE '{around.collate}' LC_CTYPE '{around.ctype}'"
    try:
        admin.execute(text(made + alike))
    except DBAPIError:  # the machine does not have that locale
        try:
            admin.execute(text(f"{made} ENCODING '{around.encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"))
        except DBAPIError:
            admin.execute(text(made))
    if around.timezone:
        admin.execute(text(f"ALTER DATABASE {quoted} SET TimeZone = {_literal(around.timezone)}"))
    if around.search_path:
        admin.execute(text(f"ALTER ROLE {owner} IN DATABASE {quoted} SET search_path = {around.search_path}"))


def _inside(inside: Connection, place: Place, around: Surroundings, provided: list[str], lacking: list[str]) -> None:
    owner = _quoted(inside, place.role)
    wanted = {*place.schemas, *(around.schemas if place.provided else ())} - {"public"}
    for schema in sorted(wanted):
        inside.execute(text(f"CREATE SCHEMA IF NOT EXISTS {_quoted(inside, schema)} AUTHORIZATION {owner}"))
        provided.append(f"schema {schema}")
    if "public" not in around.schemas:
        inside.execute(text("DROP SCHEMA IF EXISTS public"))
    else:
        inside.execute(text(f"GRANT ALL ON SCHEMA public TO {owner}"))
    for extension, schema in around.extensions if place.provided else ():
        try:
            where = f"SCHEMA {_quoted(inside, schema)} CASCADE"
            inside.execute(text(f"CREATE EXTENSION IF NOT EXISTS {_quoted(inside, extension)} {where}"))
            provided.append(f"extension {extension}")
        except DBAPIError:
            lacking.append(f"extension {extension}")


# --- MySQL and MariaDB ---------------------------------------------------------------------------------------------


def _on_mysql(admin: Connection, places: Sequence[Place]) -> Prepared:
    for place in places:
        around = place.surroundings
        alike = f" CHARACTER SET {around.encoding} COLLATE {around.collate}" if around and around.encoding else ""
        admin.execute(text(f"CREATE DATABASE IF NOT EXISTS {_quoted(admin, place.database)}{alike}"))
    version = admin.execute(text("SELECT VERSION()")).scalar_one()
    return Prepared(str(version))


# --- connecting ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(scratch: Mapping[str, Any]) -> Iterator[Connection]:
    """Connect to a PostgreSQL scratch database as the chain does."""
    query = {"host": str(scratch["host"]), "port": str(scratch["port"])}
    url = URL.create("postgresql", scratch["user"], scratch.get("password"), database=scratch["database"], query=query)
    engine = create_engine(_with_driver(url, None), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextlib.contextmanager
def _connected(admin_url: str, database: str | None = None) -> Iterator[Connection]:
    engine = create_engine(_with_driver(make_url(admin_url), database), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    finally:
        engine.dispose()


def _with_driver(url: URL, database: str | None) -> URL:
    backend = url.get_backend_name()
    candidates = _DRIVERS if backend == "postgresql" else _MYSQL_DRIVERS
    driver = next((name for module, name in candidates if find_spec(module)), None)
    if driver is None:
        raise errors.ScratchFailed(_shown(str(url)), f"no driver for {backend} that works without an event loop")
    if driver == "pg8000" and "host" in url.query:
        socket = f"{url.query['host']}/.s.PGSQL.{url.query.get('port', '5432')}"
        url = url.set(query={"unix_sock": socket})
    url = url.set(drivername=f"{backend}+{driver}")
    return url if database is None else url.set(database=database)


def _quoted(connection: Connection, name: str) -> str:
    quoted: Any = connection.dialect.identifier_preparer.quote_identifier(name)
    return str(quoted)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _shown(admin_url: str) -> str:
    parts = urlsplit(admin_url)
    return f"{parts.hostname or 'the private scratch server'}"
