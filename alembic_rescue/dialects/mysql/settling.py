"""Decide whether two texts mean the same: load both on the scratch database and compare what its server reads back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alembic_rescue.dialects.definitions import unquoted
from alembic_rescue.dialects.mysql.definitions import in_backticks
from alembic_rescue.evidence.observation import Catalog, CatalogObject

Run = Callable[[str], object]
"""Runs a statement; raises the driver's error."""
Read = Callable[[str, str], Catalog]
"""Reads an object, by its kind and name."""

NAME = "_alembic_rescue_settled"


def same(one: CatalogObject, fact: str, text: str, other: str, run: Run, read: Read) -> bool | None:
    """Compare the texts as the server reads them back; None if a text of that kind cannot be loaded alone.

    Raises:
        Exception: the driver's error, if one of the two cannot be loaded.
    """
    load = _loading(one, fact)
    return None if load is None else load(text, run, read) == load(other, run, read)


def _loading(one: CatalogObject, fact: str) -> Callable[[str, Run, Read], object] | None:
    if one.kind == "view" and fact == "definition":
        return _view
    table = in_backticks(unquoted(one.parent))
    if one.kind == "index" and fact == "definition":
        target = f"ON {table} "
        return lambda text, run, read: _on_table(
            table, text.replace(" * ", f" {NAME} ", 1).replace(target, f"ON {NAME} ", 1), run, read
        )
    if one.kind == "table constraint" and fact == "definition":
        return lambda text, run, read: (
            _on_table(table, f"ALTER TABLE {NAME} ADD CONSTRAINT {NAME} {text}", run, read)
            if re.match(r"CHECK\b", text)
            else text
        )
    if one.kind == "table column" and fact in {"default", "generated"}:
        column = unquoted(one.name.removeprefix(f"{one.parent}."))
        clause = "DEFAULT" if fact == "default" else "GENERATED ALWAYS AS"
        return lambda text, run, read: _column(table, column, f"{clause} {text}", run, read)
    return None


def _view(text: str, run: Run, read: Read) -> object:
    run(f"CREATE VIEW {NAME} AS {text}")
    try:
        return read("view", NAME)
    finally:
        run(f"DROP VIEW {NAME}")


def _on_table(table: str, statement: str, run: Run, read: Read) -> object:
    with _like(table, run):
        run(statement)
        return read("table", NAME)


def _column(table: str, column: str, clause: str, run: Run, read: Read) -> object:
    """Load `clause` with a new column of the same type: the column itself may differ in that table by then."""
    with _like(table, run):
        found = read("table", NAME)
        facts = next(facts for one, facts in found.items() if one.name.endswith(f".{column}"))
        collation = f" COLLATE {facts['collation']}" if "collation" in facts else ""
        run(f"ALTER TABLE {NAME} ADD COLUMN {NAME} {facts['type']}{collation} {clause}")
        return read("table", NAME)


@contextmanager
def _like(table: str, run: Run) -> Iterator[None]:
    """Create a temporary table like `table`, without foreign keys; fails if it is partitioned."""
    run(f"CREATE TEMPORARY TABLE {NAME} LIKE {table}")
    try:
        yield
    finally:
        run(f"DROP TEMPORARY TABLE {NAME}")
