"""What a replayed migration sees when it looks before it leaps.

Many migrations are guarded: ``if not inspector.has_table("x"): op.create_table("x", ...)``.  Replayed on a database
where x is there, such a migration does nothing, and would prove nothing.  So it is replayed again in worlds where its
guards find nothing, and what it does there is what it left behind here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.engine.reflection import Inspector

from alembic_rescue.ddl import MYSQL

_CATALOG = re.compile(
    r"\bpg_\w+|information_schema|\bto_reg\w+|sqlite_(?:master|schema)|^\s*(?:PRAGMA|DESC|DESCRIBE)\b"
    r"|^\s*SHOW\s+(?:FULL\s+|EXTENDED\s+)*(?:TABLES?|COLUMNS|FIELDS|INDEX|INDEXES|KEYS|CREATE)\b",
    re.IGNORECASE,
)
_LISTS_OF_TABLE = (
    "get_columns",
    "get_indexes",
    "get_unique_constraints",
    "get_foreign_keys",
    "get_check_constraints",
)
_LISTS = ("get_table_names", "get_view_names", "get_enums", "get_sequence_names", "get_materialized_view_names")


class World(Enum):
    """What guards find."""

    LIVE = "as it is"
    SHALLOW = "the tables, but nothing on them"
    EMPTY = "nothing"


def looks_at_catalog(sql: str) -> bool:
    """The query asks what exists, not what the data are."""
    return bool(_CATALOG.search(sql))


def no_row(dialect: str) -> str:
    """A query that finds no row."""
    return "SELECT NULL FROM DUAL WHERE 1 = 0" if dialect in MYSQL else "SELECT NULL WHERE 1 = 0"


def finding_nothing(sql: str, dialect: str) -> str:
    """The query, such that it finds no row."""
    if dialect != "postgresql":
        return no_row(dialect)
    return f"SELECT * FROM ({sql.strip().rstrip(';')}) AS q WHERE false"  # noqa: S608 - the migration's own query


@contextmanager
def inhabited(connection: Connection, world: World) -> Iterator[None]:
    """Let ``sqlalchemy.inspect(connection)`` see `world`, through the dialect's own hook for it."""
    if world is World.LIVE:
        yield
        return
    dialect: Any = connection.dialect
    before = dialect.__dict__.get("inspector")
    dialect.inspector = _blinded(getattr(dialect, "inspector", Inspector), world)
    try:
        yield
    finally:
        if before is None:
            del dialect.inspector
        else:
            dialect.inspector = before


def _blinded(base: type[Any], world: World) -> type[Any]:
    empty_key: dict[str, Any] = {"constrained_columns": [], "name": None}
    methods: dict[str, Callable[..., Any]] = {name: lambda *_, **__: [] for name in _LISTS_OF_TABLE}
    methods["get_pk_constraint"] = lambda *_, **__: dict(empty_key)
    methods["get_table_comment"] = lambda *_, **__: {"text": None}
    methods["has_index"] = lambda *_, **__: False
    methods["get_enums"] = lambda *_, **__: []
    if world is World.EMPTY:
        methods.update({name: lambda *_, **__: [] for name in _LISTS})
        methods.update({name: lambda *_, **__: False for name in ("has_table", "has_sequence", "has_schema")})
        methods["get_schema_names"] = lambda *_, **__: ["public"]
    return type("BlindInspector", (base,), methods)
