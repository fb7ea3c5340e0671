"""Read objects with their facts, and find what belongs to an extension."""

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
"""The catalog of an object, and its oid there (with the number of a column: ``16400.2``)."""


@dataclass(frozen=True)
class Row:
    """An object and its facts."""

    object: CatalogObject
    facts: dict[str, str]
    delivered: bool
    """It belongs to the server or to an extension."""
    unit: Address
    """What is read together with it: only itself, a column's table, a label's type, or the whole of a small catalog."""


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
    """The objects of a database's extensions.  They are named ``extension.name``, regardless of the schema."""

    def __init__(self, cursor: Cursor) -> None:
        self._members = {(catalog, oid): extension for catalog, oid, extension in cursor.rows(_MEMBERS)}
        installed = set(self._members.values()) - {"plpgsql"}  # whose names are not qualified
        self._names: dict[str, str] = dict(cursor.rows(_NAMES)) if installed else {}

    def has(self, address: Address) -> bool:
        """Whether the object at `address` is a member of an extension."""
        return address in self._members

    def neutral(self, text: str) -> str:
        """Return `text` with the names of extension objects independent of their schema."""
        if not self._names:
            return text
        return _QUALIFIED.sub(self._rewritten, text)

    def located(self, text: str) -> str:
        """Reverse `neutral`: return `text` with the names that this database uses."""
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
    """Read the selected objects, with what belongs to them by the catalog's own key; or all objects.

    Built-in objects are read if they are selected, and marked as delivered.
    """
    extensions = Extensions(cursor)
    rows: dict[Address, Row] = {}
    units = {source.known_as: source for source in queries.sources if source.whole or source.selected_by}
    for catalog, key, kind, name, parent_catalog, parent_oid, parent, own, words in _all(
        cursor, queries.objects(selection)
    ):
        if kind is None or name is None:  # dropped in the meantime
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
    """Return the selected objects without reading their facts."""
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
