"""The names of objects, as the catalog spells them and as people say them.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alembic_rescue.evidence.observation import CatalogObject, Facts

_PARTS = re.compile(r'"(?:[^"]|"")*"|[^."]+')
_DEFAULT = "default value"
"""PostgreSQL treats defaults as objects named ``for public.orders.id``; people see them as part of the column."""
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
    """Return the parts of a qualified name, unquoted: three for ``public."a.b".c``."""
    return [unquoted(part) for part in _PARTS.findall(name.partition(" on ")[0].partition("(")[0])]


def bare(catalog_object: CatalogObject) -> str:
    """Return the object's own name, without schema, parent, arguments and quotes."""
    return next(reversed(parts(catalog_object.name)), catalog_object.name)


def unquoted(name: str) -> str:
    """Return a name as the server stores it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def column_of(catalog_object: CatalogObject) -> str | None:
    """Return the full name of the column that a default belongs to; None for any other object."""
    return catalog_object.name.removeprefix("for ") if catalog_object.kind == _DEFAULT else None


def spoken(catalog_object: CatalogObject, facts: Facts | None = None) -> str:
    """Return the object's kind in the output format's words: ``column``, ``materialized-view``, ``enum-label``."""
    if catalog_object.kind == "type" and facts is not None and "labels" in facts:
        return "enum"
    return _KINDS.get(catalog_object.kind, catalog_object.kind).replace(" ", "-")


def by_bare_name(objects: Iterable[CatalogObject]) -> dict[str, list[CatalogObject]]:
    """Group objects by their bare names."""
    found: dict[str, list[CatalogObject]] = {}
    for one in objects:
        found.setdefault(bare(one), []).append(one)
    return found
