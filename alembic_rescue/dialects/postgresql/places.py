"""Create PostgreSQL's scratch databases, with what a chain takes for granted.

A database that contains something is never replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError

from alembic_rescue import errors
from alembic_rescue.dialects import base
from alembic_rescue.dialects.admin import connected, literal, quoted, shown
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.dialects.scratch import Making, Place, Prepared, Surroundings

_FIRST_TABLE = unshadowed("""
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LIMIT 1
""")
_IS_THERE = unshadowed("SELECT 1 FROM pg_database WHERE datname = :name AND oid >= 16384")
"""Excludes the built-in ``postgres``: many a project's database has that name."""
_OTHERS = unshadowed(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
)
_MAY_ASK_ID = unshadowed("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')")
_SYSTEM_ID = unshadowed("SELECT system_identifier::text FROM pg_control_system()")
_IS_SUPERUSER = unshadowed("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")


class Places(base.Places):
    """Databases and roles, with schemas and extensions in them."""

    drivers = (("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("pg8000", "pg8000"))

    def with_driver(self, url: URL, driver: str) -> URL:
        """Return `url` for that driver; pg8000 has its own argument for a socket."""
        if driver == "pg8000" and "host" in url.query:
            url = url.set(query={"unix_sock": f"{url.query['host']}/.s.PGSQL.{url.query.get('port', '5432')}"})
        return super().with_driver(url, driver)

    def url(self, scratch: Mapping[str, Any]) -> URL | None:
        """Return the URL for the chain's role."""
        query = {"host": str(scratch["host"]), "port": str(scratch["port"])}
        return URL.create(
            "postgresql", scratch["user"], scratch.get("password"), database=scratch["database"], query=query
        )

    def prepare(self, admin: Connection, making: Making) -> Prepared:
        """Create the roles, then the databases that they own.

        Raises:
            ScratchIsProjects: it is the project's own server.
            ScratchNotEmpty: the named database is not empty.
        """
        _refuse_the_projects(admin, making)
        _refuse_a_full_one(admin)
        provided: list[str] = []
        lacking: list[str] = []
        roles: list[str] = []
        for place in making.places:
            around = place.surroundings
            assert around is not None, "PostgreSQL tells them"
            roles += _roles(admin, place, around)
            if admin.execute(text(_IS_THERE), {"name": place.database}).first():
                admin.execute(text(_OTHERS), {"name": place.database})
                continue
            _database(admin, place, around)
            with connected(making.admin_url, place.database) as inside:
                _inside(inside, place, around, provided, lacking)
        version = admin.execute(text("SHOW server_version")).scalar_one()
        return Prepared(str(version), tuple(roles), tuple(dict.fromkeys(provided)), tuple(dict.fromkeys(lacking)))

    def remove(self, admin: Connection, databases: Sequence[str], roles: Sequence[str]) -> None:
        """Drop the databases and roles, ending sessions in the databases."""
        for name in databases:
            admin.execute(text(_OTHERS), {"name": name})
            admin.execute(text(f"DROP DATABASE IF EXISTS {quoted(admin, name)}"))
        for name in roles:
            with contextlib.suppress(DBAPIError):  # somebody else has granted it something in the meantime
                admin.execute(text(f"DROP ROLE IF EXISTS {quoted(admin, name)}"))


def _refuse_the_projects(admin: Connection, making: Making) -> None:
    may = admin.execute(text(_MAY_ASK_ID)).scalar_one()
    if may:
        system = admin.execute(text(_SYSTEM_ID)).scalar_one()
        if any(live.partition("/")[0] == system for live in making.live_ids):
            raise errors.ScratchIsProjects(shown(making.admin_url))


def _refuse_a_full_one(admin: Connection) -> None:
    """Refuse a database that is not empty: a scratch database is expected to be disposable."""
    found = admin.execute(text(_FIRST_TABLE)).first()
    if found:
        name = admin.execute(text("SELECT pg_catalog.current_database()")).scalar_one()
        raise errors.ScratchNotEmpty(str(name), f"the table {found[0]}")


def _roles(admin: Connection, place: Place, around: Surroundings) -> list[str]:
    """Create the role that the chain runs as, and those that own something or are granted something."""
    known = {str(row[0]) for row in admin.execute(text("SELECT rolname FROM pg_catalog.pg_roles"))}
    made = []
    others = () if place.password else around.other_roles  # do not fill the user's own server with them
    for name in dict.fromkeys((place.role, *around.roles, *others)):
        if name not in known:
            superuser = " SUPERUSER" if name == place.role and around.superuser else ""
            password = f" PASSWORD {literal(place.password)}" if name == place.role and place.password else ""
            admin.execute(text(f"CREATE ROLE {quoted(admin, name)} LOGIN{superuser}{password}"))
            made.append(name)
    if not around.superuser:  # it may SET ROLE as on the live server, where it is a member of other roles
        for name in set(made) & set(around.roles) - {place.role}:
            with contextlib.suppress(DBAPIError):
                admin.execute(text(f"GRANT {quoted(admin, name)} TO {quoted(admin, place.role)}"))
    with contextlib.suppress(DBAPIError):  # only a member or a superuser can give a role a database
        if made and not admin.execute(text(_IS_SUPERUSER)).scalar_one():
            admin.execute(text(f"GRANT {quoted(admin, place.role)} TO CURRENT_USER"))
    return made


def _database(admin: Connection, place: Place, around: Surroundings) -> None:
    name, owner = quoted(admin, place.database), quoted(admin, place.role)
    admin.execute(text(f"DROP DATABASE IF EXISTS {name}"))
    made = f"CREATE DATABASE {name} OWNER {owner} TEMPLATE template0"
    alike = f" ENCODING '{around.encoding}' LC_COLLATE '{around.collate}' LC_CTYPE '{around.ctype}'"
    try:
        admin.execute(text(made + alike))
    except DBAPIError:  # the machine does not have that locale
        try:
            admin.execute(text(f"{made} ENCODING '{around.encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"))
        except DBAPIError:
            admin.execute(text(made))
    if around.timezone:
        admin.execute(text(f"ALTER DATABASE {name} SET TimeZone = {literal(around.timezone)}"))
    if around.search_path:
        admin.execute(text(f"ALTER ROLE {owner} IN DATABASE {name} SET search_path = {around.search_path}"))


def _inside(inside: Connection, place: Place, around: Surroundings, provided: list[str], lacking: list[str]) -> None:
    owner = quoted(inside, place.role)
    wanted = {*place.schemas, *(around.schemas if place.provided else ())} - {"public"}
    for schema in sorted(wanted):
        inside.execute(text(f"CREATE SCHEMA IF NOT EXISTS {quoted(inside, schema)} AUTHORIZATION {owner}"))
        provided.append(f"schema {schema}")
    if "public" not in around.schemas:
        inside.execute(text("DROP SCHEMA IF EXISTS public"))
    else:
        inside.execute(text(f"GRANT ALL ON SCHEMA public TO {owner}"))
    for extension, schema in around.extensions if place.provided else ():
        try:
            where = f"SCHEMA {quoted(inside, schema)} CASCADE"
            inside.execute(text(f"CREATE EXTENSION IF NOT EXISTS {quoted(inside, extension)} {where}"))
            provided.append(f"extension {extension}")
        except DBAPIError:
            lacking.append(f"extension {extension}")
