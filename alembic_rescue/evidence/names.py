"""The names of objects, as catalogs write them and as people say them.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alembic_rescue.evidence.observation import CatalogObject, Facts

_PARTS = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_DEFAULT = "default value"
"""PostgreSQL has defaults as objects, called ``for public.orders.id``; people know them as part of the column."""
_KINDS = {
    _DEFAULT: "column",
    "table column": "column",
    "view column": "column",
    "materialized view column": "column",
    "foreign table column": "column",
    "composite type column": "attribute",
    "table constraint": "constraint",
    "domain constraint": "constraint",
    "partitioned table": "table",
    "partitioned index": "index",
}


def parts(name: str) -> list[str]:
    """The parts of a qualified name, without quotes: of ``public."a.b".c`` the three."""
    return [unquoted(part) for part in _PARTS.findall(name.partition(" on ")[0].partition("(")[0])]


def bare(catalog_object: CatalogObject) -> str:
    """Its own name, without schema, parent, arguments and quotes."""
    return next(reversed(parts(catalog_object.name)), catalog_object.name)


def unquoted(name: str) -> str:
    """A name as the server stores it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def column_of(catalog_object: CatalogObject) -> str | None:
    """The full name of the column whose default it is; None if it is none."""
    return catalog_object.name.removeprefix("for ") if catalog_object.kind == _DEFAULT else None


def spoken(catalog_object: CatalogObject, facts: Facts | None = None) -> str:
    """Its kind, as the contract calls it: ``column``, ``materialized-view``, ``enum-label``."""
    if catalog_object.kind == "type" and facts is not None and "labels" in facts:
        return "enum"
    return _KINDS.get(catalog_object.kind, catalog_object.kind).replace(" ", "-")


def by_bare_name(objects: Iterable[CatalogObject]) -> dict[str, list[CatalogObject]]:
    """Objects by their own names."""
    found: dict[str, list[CatalogObject]] = {}
    for one in objects:
        found.setdefault(bare(one), []).append(one)
    return found
