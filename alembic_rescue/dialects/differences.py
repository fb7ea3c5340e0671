"""The differences between two readings of a database whose objects are identified only by name.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alembic_rescue.dialects.base import Renames
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Change, Facts


def changes(before: Catalog, after: Catalog) -> tuple[Change, ...]:
    """Return every object that was added, removed or changed, in the order of the readings."""
    return tuple(
        Change(one, before.get(one), after.get(one))
        for one in dict.fromkeys([*before, *after])
        if before.get(one) != after.get(one)
    )


def renames(before: Catalog, after: Catalog) -> Renames:
    """Return the renamed objects, as far as the catalogs show.

    A table was renamed if it is gone and a new one has columns with the same facts in the same order, most of them with
    the same name; a column, if it is gone and a new one in its place has the same facts.  Dropping one and creating an
    identical one has the same effect on the catalog.  The parts of a renamed table are renamed with it.
    """
    tables = dict(_tables(before, after))
    found = dict(tables)
    for one in before:
        if one.kind != "table" or (renamed := tables.get(one, one)) not in after:
            continue
        columns = dict(_columns(_part_of(one, before), _part_of(renamed, after)))
        found.update((old, new) for old, new in columns.items() if old != new)
        if renamed != one:
            found.update(_taken_along(one, renamed, before, after))
    return tuple(found.items())


def _tables(before: Catalog, after: Catalog) -> Iterator[tuple[CatalogObject, CatalogObject]]:
    gone = [one for one in before if one.kind == "table" and one not in after]
    new = [one for one in after if one.kind == "table" and one not in before]
    if not gone or not new:
        return
    old_shapes = {one: _Shape.of(one, before) for one in gone}
    new_shapes = {one: _Shape.of(one, after) for one in new}
    for one, shape in old_shapes.items():
        alike = [other for other, its in new_shapes.items() if shape.is_like(its)]
        if len(alike) == 1 and sum(its.is_like(new_shapes[alike[0]]) for its in old_shapes.values()) == 1:
            yield one, alike[0]


@dataclass(frozen=True)
class _Shape:
    """A table without its name."""

    facts: list[Facts]
    """The table's own facts, then those of its columns."""
    names: list[str]

    @classmethod
    def of(cls, table: CatalogObject, catalog: Catalog) -> _Shape:
        columns = _part_of(table, catalog)
        return cls([catalog[table], *columns.values()], [_own(column, table) for column in columns])

    def is_like(self, other: _Shape) -> bool:
        same = sum(one == another for one, another in zip(self.names, other.names, strict=False))
        return self.facts == other.facts and 2 * same > len(self.names)


def _columns(before: Catalog, after: Catalog) -> Iterator[tuple[CatalogObject, CatalogObject]]:
    """Pair old and new columns, including those that kept their name."""
    if len(before) != len(after):
        kept = {column.name.removeprefix(column.parent): column for column in after}
        for column in before:
            same = kept.get(column.name.removeprefix(column.parent))
            if same is not None:
                yield column, same
        return
    old_names = {column.name.removeprefix(column.parent) for column in before}
    new_names = {column.name.removeprefix(column.parent): column for column in after}
    for (old, its), (new, others) in zip(before.items(), after.items(), strict=True):
        name = old.name.removeprefix(old.parent)
        if name in new_names:
            yield old, new_names[name]
        elif new.name.removeprefix(new.parent) not in old_names and its == others:
            yield old, new


def _taken_along(
    table: CatalogObject, renamed: CatalogObject, before: Catalog, after: Catalog
) -> Iterator[tuple[CatalogObject, CatalogObject]]:
    there = {(one.kind, _own(one, renamed)): one for one in after if one.parent == renamed.name}
    for one in before:
        if one.parent == table.name and one.kind != "table column":
            other = there.get((one.kind, _own(one, table)))
            if other is not None:
                yield one, other


def _part_of(table: CatalogObject, catalog: Catalog) -> Catalog:
    """Return the columns of a table, in order."""
    return {one: facts for one, facts in catalog.items() if one.kind == "table column" and one.parent == table.name}


def _own(one: CatalogObject, table: CatalogObject) -> str:
    """Return the name without the table's name."""
    return one.name.removeprefix(f"{table.name}.").removesuffix(f" on {table.name}")
