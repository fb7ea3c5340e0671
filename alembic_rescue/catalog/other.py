"""The catalog of any other dialect: reflected by SQLAlchemy's Inspector, rendered as DDL, read like a migration."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import MetaData, Table, text
from sqlalchemy import inspect as inspector_of
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateIndex, CreateTable

from alembic_rescue.ddl.reader import Reader
from alembic_rescue.model_evidence import Alter, Create, Facts, Key, Kind, Opaque

_SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('view', 'index') AND sql IS NOT NULL"


def read(connection: Connection) -> tuple[Mapping[Key, Facts], Mapping[Key, str]]:
    """The objects of the default schema, and those that are there but could not be read."""
    inspector = inspector_of(connection)
    objects: dict[Key, Facts] = {}
    unread: dict[Key, str] = {}
    for name in inspector.get_table_names():
        key = Key(Kind.TABLE, None, None, name)
        try:
            ddl = _ddl(connection, name)
        except Exception as error:  # noqa: BLE001 - whatever a dialect cannot reflect or render
            unread[key] = str(error)
            continue
        for statement in ddl:
            _take(statement, key, objects, unread)
    for name in inspector.get_view_names():
        key = Key(Kind.VIEW, None, None, name)
        unread[key] = "the definition of a view is not compared on this database"
    if connection.dialect.name == "sqlite":  # it keeps the statements themselves
        for kind, name, statement in connection.execute(text(_SQLITE)):
            key = Key(Kind.VIEW if kind == "view" else Kind.INDEX, None, None, name)
            unread.pop(key, None)
            _take(statement, key, objects, unread)
    return objects, unread


def _take(statement: str, key: Key, objects: dict[Key, Facts], unread: dict[Key, str]) -> None:
    """Read one statement of the catalog's; `key` is the object that it is of."""
    for effect in Reader().read(statement):
        if isinstance(effect, Create):
            objects[effect.key] = effect.facts
        elif isinstance(effect, Alter) and effect.key in objects:
            objects[effect.key] = {**objects[effect.key], **effect.facts}
        elif isinstance(effect, Opaque):
            unread[key] = effect.reason


def _ddl(connection: Connection, name: str) -> list[str]:
    table = Table(name, MetaData(), autoload_with=connection)
    dialect = connection.dialect
    statements = [str(CreateTable(table).compile(dialect=dialect))]
    if dialect.name == "sqlite":
        return statements
    return statements + [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
