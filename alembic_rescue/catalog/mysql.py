"""The catalog of MySQL and MariaDB: what ``SHOW CREATE TABLE`` tells, read by the same reader as the migrations."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from alembic_rescue.ddl.mysql import MySQLReader
from alembic_rescue.model_evidence import Create, Facts, Key, Kind, Opaque

_HOME = "SELECT DATABASE() AS name"
_TABLES = """
    SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = :schema AND table_type NOT IN ('VIEW', 'SYSTEM VIEW', 'SEQUENCE')
"""
_VIEWS = """
    SELECT table_name AS name, view_definition AS definition FROM information_schema.views WHERE table_schema = :schema
"""


def read(connection: Connection, schemas: frozenset[str]) -> tuple[str | None, dict[Key, Facts], dict[Key, str]]:
    """The database in which the session works, its objects and those of `schemas`, and what could not be read."""
    home = connection.execute(text(_HOME)).scalar()
    objects: dict[Key, Facts] = {}
    unread: dict[Key, str] = {}
    quote = connection.dialect.identifier_preparer.quote_identifier
    for schema in sorted({*schemas, *([home] if home else [])}):
        objects[Key(Kind.SCHEMA, None, None, schema)] = {}
        for name in _names(connection, schema):
            key = Key(Kind.TABLE, schema, None, name)
            try:
                shown = connection.exec_driver_sql(
                    f"SHOW CREATE TABLE {quote(schema)}.{quote(name)}".replace("%", "%%")
                )
                found = _read(str(shown.one()[1]), key)
            except (DBAPIError, ValueError) as error:
                unread[key] = str(error.orig if isinstance(error, DBAPIError) else error)
                objects[key] = {}
            else:
                objects.update(found)
        for name, definition in connection.execute(text(_VIEWS), {"schema": schema}):
            (view,) = MySQLReader().read(f"CREATE VIEW v AS {definition}")
            facts = view.facts if isinstance(view, Create) else {}
            objects[Key(Kind.VIEW, schema, None, name)] = facts
    return home, objects, unread


def _names(connection: Connection, schema: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(text(_TABLES), {"schema": schema})]


def _read(ddl: str, table: Key) -> Mapping[Key, Facts]:
    """The objects of one table.

    Raises:
        ValueError: its definition has something that the reader does not know.
    """
    found: dict[Key, Facts] = {}
    for effect in MySQLReader(table.schema).read(ddl):
        if isinstance(effect, Opaque) and not found:
            raise ValueError(effect.reason)
        if isinstance(effect, Create):
            schema = table.schema
            facts = _written_out(effect.facts, schema)
            found[Key(effect.key.kind, schema, effect.key.parent, effect.key.name)] = facts
    return found


def _written_out(facts: Facts, schema: str | None) -> Facts:
    """A key's table with its database, as everything in a snapshot has it."""
    if "references" not in facts:
        return facts
    named, table = facts["references"]
    return {**facts, "references": (named or schema, table)}
