"""What Alembic's batch mode leaves over where it does not come to its end.  Pure.

It makes a copy of the table, moves the rows, drops the table and gives the copy its name, each by itself on SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alembic_rescue.dialects.definitions import quoted, unquoted
from alembic_rescue.dialects.sqlite.statements import LEFT_OVER
from alembic_rescue.evidence.observation import Catalog, CatalogObject


@dataclass(frozen=True)
class LeftOver:
    """A copy that still bears the name that it had on the way.  Batch mode fails on it when it is run again."""

    table: str
    """The table that it is the copy of."""
    copy: str
    holds_the_rows: bool
    """The table itself is dropped already: all rows are in the copy."""

    @property
    def sql(self) -> str:
        """What mends it: the copy goes, or takes the table's place as batch mode would have it."""
        copy, table = _quoted(self.copy), _quoted(self.table)
        return f"ALTER TABLE {copy} RENAME TO {table}" if self.holds_the_rows else f"DROP TABLE {copy}"


def left_over(catalog: Catalog) -> Iterator[LeftOver]:
    """The copies in a reading of the live database."""
    for one in catalog:
        name = unquoted(one.name)
        if one.kind == "table" and name.startswith(LEFT_OVER):
            table = name.removeprefix(LEFT_OVER)
            yield LeftOver(table, name, CatalogObject("table", quoted(table)) not in catalog)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
