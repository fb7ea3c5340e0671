"""Decide whether two texts of a definition mean the same: the server loads both and writes them out again."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.catalog_rows import Extensions
from alembic_rescue.dialects.postgresql.session import literal, transaction
from alembic_rescue.evidence.observation import CatalogObject

_NAME = "alembic_rescue_settled"
_FUNCTION = re.compile(r'^CREATE OR REPLACE (FUNCTION|PROCEDURE) (?:"(?:[^"]|"")*"|[^"(])+\(')
_STARRED = {
    "index": f"SELECT pg_get_indexdef(oid) FROM pg_class WHERE relname = '{_NAME}'",
    "trigger": f"SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = '{_NAME}'",
    "rule": f"SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE rulename = '{_NAME}'",
    "statistics object": f"SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxname = '{_NAME}'",
}
"""How to read back kinds whose definition has an asterisk instead of the name."""
_CONSTRAINT = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '{_NAME}'"
_UNLOADED = frozenset({"partition key", "partition bound", "prqual", "definition", "default", "using", "with check"})
"""Facts with expressions: if there is no way to load one, it is unknown whether two mean the same."""

Texts = Sequence[tuple[CatalogObject, str, str, str]]
Loading = tuple[str, str]
"""The statement that loads a text, and the query that reads it back."""


def settle_texts(connection: Connection, texts: Texts) -> dict[tuple[CatalogObject, str], bool | None]:
    """See `alembic_rescue.dialects.base.CatalogReader.settle`."""
    settled: dict[tuple[CatalogObject, str], bool | None] = {}
    with transaction(connection, "BEGIN", check_function_bodies="off") as cursor:
        extensions = Extensions(cursor)
        for found, fact, *spellings in texts:
            if spellings[0] == spellings[1]:
                settled[found, fact] = True
            elif _is_plain(found, fact, spellings):
                settled[found, fact] = False
            else:
                one, other = (_read_back(cursor, found, fact, extensions.located(text)) for text in spellings)
                settled[found, fact] = None if one is None or other is None else one == other
    return settled


def _is_plain(found: CatalogObject, fact: str, spellings: Sequence[str]) -> bool:
    """Whether the texts contain no expression, so that different spellings have different meanings."""
    if found.kind == "table constraint" and fact == "definition":
        return not all(text.startswith(("CHECK", "EXCLUDE")) for text in spellings)
    return fact not in _UNLOADED


def _read_back(cursor: Cursor, found: CatalogObject, fact: str, text: str) -> str | None:
    """Load the text and return it as the server writes it; None if it cannot be loaded."""
    with _savepoint(cursor), suppress(cursor.error):
        loading = _loading(cursor, found, fact, text)
        if loading is not None:
            statement, query = loading
            cursor.run(f"DO 'BEGIN EXECUTE {literal(statement + ' ').replace(chr(39), chr(39) * 2)}; END'")
            return str(cursor.value(query))
    return None


@contextmanager
def _savepoint(cursor: Cursor) -> Iterator[None]:
    cursor.run(f"SAVEPOINT {_NAME}")
    try:
        yield
    finally:
        cursor.run(f"ROLLBACK TO SAVEPOINT {_NAME}")


def _loading(cursor: Cursor, found: CatalogObject, fact: str, text: str) -> Loading | None:
    kind = found.kind
    if fact == "definition":
        if kind in {"view", "materialized view"}:
            return (
                f"CREATE TEMPORARY VIEW {_NAME} AS {text}",
                f"SELECT pg_get_viewdef(oid) FROM pg_class WHERE relname = '{_NAME}'",
            )
        if kind in _STARRED:
            return text.replace(" * ", f" {_starred(cursor, found)} ", 1), _STARRED[kind]
        if kind in {"table constraint", "domain constraint"}:
            return f"ALTER {kind.split()[0]} {found.parent} ADD CONSTRAINT {_NAME} {text}", _CONSTRAINT
        if kind in {"function", "procedure"}:
            return (
                _FUNCTION.sub(rf"CREATE \1 pg_temp.{_NAME}(", text),
                f"SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = '{_NAME}'",
            )
    if fact == "default":
        if kind == "type":
            query = f"SELECT pg_get_expr(typdefaultbin, 0) FROM pg_type WHERE oid = {literal(found.name)}::regtype"
            return f"ALTER DOMAIN {found.name} SET DEFAULT {text}", query
        return _default(cursor, found, text)
    if kind == "policy":
        query = f"SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polname = '{_NAME}'"
        return f"CREATE POLICY {_NAME} ON {found.parent} USING ({text})", query
    return None


def _starred(cursor: Cursor, found: CatalogObject) -> str:
    if found.kind != "statistics object":
        return _NAME
    return (
        f"{cursor.value(f'SELECT relnamespace::regnamespace FROM pg_class WHERE oid = {_oid(found.parent)}')}.{_NAME}"
    )


def _default(cursor: Cursor, found: CatalogObject, text: str) -> Loading:
    column = found.name.removeprefix(f"for {found.parent}.")
    kind, generated = cursor.rows(
        f"SELECT format_type(atttypid, atttypmod), attgenerated::text FROM pg_attribute"
        f" WHERE attrelid = {_oid(found.parent)} AND quote_ident(attname) = {literal(column)}"
    )[0]
    if generated:
        added = f"ALTER TABLE {found.parent} ADD COLUMN {_NAME} {kind} GENERATED ALWAYS AS ({text}) STORED"
        return added, _default_of(found.parent, _NAME)
    return f"ALTER TABLE {found.parent} ALTER COLUMN {column} SET DEFAULT {text}", _default_of(found.parent, column)


def _default_of(table: str, column: str) -> str:
    return (
        "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d"
        " JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
        f" WHERE d.adrelid = {_oid(table)} AND quote_ident(a.attname) = {literal(column)}"
    )


def _oid(relation: str) -> str:
    return f"{literal(relation)}::regclass"
