"""Reading objects with their facts, and telling what is an extension's."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.catalog_query import Queries, Selection
from alembic_rescue.dialects.postgresql.catalog_shape import WHOLE
from alembic_rescue.evidence.observation import CatalogObject

Address = tuple[str, str]
"""The catalog that an object is in, and its oid there (with a column's number: ``16400.2``)."""


@dataclass(frozen=True)
class Row:
    """An object as it was read."""

    object: CatalogObject
    facts: dict[str, str]
    delivered: bool
    """It came with the server or with an extension."""
    unit: Address
    """What it is read with: itself, a column's table, a label's type, the whole of a small catalog."""


_MEMBERS = """
SELECT d.classid::regclass::text, d.objid::text, quote_ident(e.extname)
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
"""
_NAMES = " UNION ALL ".join(
    f"SELECT quote_ident(n.nspname) || '.' || {'' if name == 'oprname' else 'quote_ident'}({name}),"
    " quote_ident(e.extname)"
    f" FROM {catalog} x JOIN pg_namespace n ON n.oid = x.{schema}"
    f" JOIN pg_depend d ON d.classid = '{catalog}'::regclass AND d.objid = x.oid AND d.deptype = 'e'"
    " JOIN pg_extension e ON e.oid = d.refobjid WHERE n.nspname <> 'pg_catalog'"
    for catalog, name, schema in (
        ("pg_class", "relname", "relnamespace"),
        ("pg_type", "typname", "typnamespace"),
        ("pg_proc", "proname", "pronamespace"),
        ("pg_operator", "oprname", "oprnamespace"),
        ("pg_opclass", "opcname", "opcnamespace"),
        ("pg_opfamily", "opfname", "opfnamespace"),
        ("pg_collation", "collname", "collnamespace"),
        ("pg_ts_config", "cfgname", "cfgnamespace"),
        ("pg_ts_dict", "dictname", "dictnamespace"),
    )
)
_IDENTIFIER = r'"(?:[^"]|"")*"|[^\W\d][\w$]*'
_QUALIFIED = re.compile(rf'(?<![\w$".])({_IDENTIFIER})\.({_IDENTIFIER}|[-+*/<>=~!@#%^&|`?]+)')


class Extensions:
    """What belongs to the extensions of a database.  Their objects go by ``extension.name``, whatever the schema."""

    def __init__(self, cursor: Cursor) -> None:
        self._members = {(catalog, oid): extension for catalog, oid, extension in cursor.rows(_MEMBERS)}
        installed = set(self._members.values()) - {"plpgsql"}  # whose names are not qualified
        self._names: dict[str, str] = dict(cursor.rows(_NAMES)) if installed else {}

    def has(self, address: Address) -> bool:
        """Whether the object at `address` is a member of one."""
        return address in self._members

    def neutral(self, text: str) -> str:
        """`text` with the names of what extensions made written independently of their schema."""
        if not self._names:
            return text
        return _QUALIFIED.sub(self._rewritten, text)

    def located(self, text: str) -> str:
        """The reverse of `neutral`: `text` as this database understands it."""
        if not self._names:
            return text
        places = {f"{extension}.{_last(name)}": name for name, extension in self._names.items()}
        return _QUALIFIED.sub(lambda found: places.get(found[0], found[0]), text)

    def _rewritten(self, found: re.Match[str]) -> str:
        extension = self._names.get(found[0])
        return f"{extension}.{found[2]}" if extension else found[0]


def _last(name: str) -> str:
    found = _QUALIFIED.match(name)
    return found[2] if found else name


def read(cursor: Cursor, queries: Queries, selection: Selection | None = None) -> dict[Address, Row]:
    """Read the objects selected, with what belongs to them by the catalog's own key; or all.

    Objects that came with the server are read where they are selected, and told apart.
    """
    extensions = Extensions(cursor)
    rows: dict[Address, Row] = {}
    units = {source.known_as: source for source in queries.sources if source.whole or source.selected_by}
    for catalog, key, kind, name, parent_catalog, parent_oid, parent, own, words in _all(
        cursor, queries.objects(selection)
    ):
        if kind is None or name is None:  # gone in the meantime
            continue
        member = extensions.has((catalog, key)) or extensions.has((parent_catalog, parent_oid))
        found = CatalogObject(kind, extensions.neutral(name), extensions.neutral(parent or ""))
        unit = (catalog, key)
        if source := units.get(catalog):
            unit = (source.read_with, WHOLE if source.whole else parent_oid)
        facts = dict(_expanded(json.loads(words), extensions))
        rows[catalog, key] = Row(found, facts, not own or member, unit)
    for catalog, key, words in _all(cursor, queries.facts_of_parts(selection) if rows else ""):
        if row := rows.get((catalog, key)):
            row.facts.update(_expanded(json.loads(words), extensions))
    return rows


def identified(cursor: Cursor, queries: Queries, selection: Selection) -> set[CatalogObject]:
    """What the objects selected are called, their facts left unread."""
    extensions = Extensions(cursor)
    return {
        CatalogObject(kind, extensions.neutral(name), extensions.neutral(parent or ""))
        for _, _, kind, name, _, _, parent, *_ in _all(cursor, queries.identities(selection))
        if name is not None
    }


def _all(cursor: Cursor, query: str) -> list[tuple[Any, ...]]:
    return cursor.rows(query) if query else []


def _expanded(facts: Mapping[str, str | Mapping[str, str]], extensions: Extensions) -> Iterable[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, str):
            yield name, extensions.neutral(value)
        else:
            for more, words in value.items():
                yield name + more, words
