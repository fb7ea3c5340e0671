"""The tables that an interrupted run of Alembic's batch mode leaves behind.  Pure.

Batch mode copies the table, moves the rows, drops the table and renames the copy; SQLite commits each step separately.
"""

from __future__ import annotations

from collections.abc import Iterator

from alembic_rescue.dialects.definitions import quoted, unquoted
from alembic_rescue.dialects.sqlite.statements import LEFT_OVER
from alembic_rescue.evidence.model import LeftOver
from alembic_rescue.evidence.observation import Catalog, CatalogObject


def left_over(catalog: Catalog) -> Iterator[LeftOver]:
    """Yield the copies in a reading of the live database."""
    for one in catalog:
        name = unquoted(one.name)
        if one.kind == "table" and name.startswith(LEFT_OVER):
            table = name.removeprefix(LEFT_OVER)
            yield _told(table, name, holds_the_rows=CatalogObject("table", quoted(table)) not in catalog)


def _told(table: str, copy: str, *, holds_the_rows: bool) -> LeftOver:
    """Drop the copy, or rename it to the table's name, as batch mode would have done."""
    rename, drop = f"ALTER TABLE {_quoted(copy)} RENAME TO {_quoted(table)}", f"DROP TABLE {_quoted(copy)}"
    return LeftOver(table, copy, holds_the_rows, rename if holds_the_rows else drop)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
