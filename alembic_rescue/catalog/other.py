"""The catalog of any other dialect: reflected by SQLAlchemy's Inspector, rendered as DDL, read like a migration."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import MetaData, Table
from sqlalchemy import inspect as inspector_of
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateIndex, CreateTable

from alembic_rescue.ddl.reader import Reader
from alembic_rescue.model_evidence import Alter, Create, Facts, Key, Kind, Opaque


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
            for effect in Reader().read(statement):
                if isinstance(effect, Create):
                    objects[effect.key] = effect.facts
                elif isinstance(effect, Alter) and effect.key in objects:
                    objects[effect.key] = {**objects[effect.key], **effect.facts}
                elif isinstance(effect, Opaque):
                    unread[key] = effect.reason
    for name in inspector.get_view_names():
        objects[Key(Kind.VIEW, None, None, name)] = {}
    return objects, unread


def _ddl(connection: Connection, name: str) -> list[str]:
    table = Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
    dialect = connection.dialect
    statements = [str(CreateTable(table).compile(dialect=dialect))]
    return statements + [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
