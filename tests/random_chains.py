"""Random chains of random DDL, with a model of what exists after each revision and what can be damaged."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

TYPES = ("integer", "bigint", "varchar(20)", "date")
Draw = Callable[[st.SearchStrategy], object]


@dataclass
class Column:
    type: str
    default: int | None = None
    nullable: bool = True


@dataclass
class Table:
    columns: dict[str, Column]
    indexes: dict[str, str] = field(default_factory=dict)
    """The column, by the index's name."""


@dataclass
class Schema:
    """The schema at a position."""

    tables: dict[str, Table] = field(default_factory=dict)
    views: dict[str, int] = field(default_factory=dict)
    enums: dict[str, list[str]] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)

    def damages(self) -> list[tuple[str, str]]:
        """SQL that removes or changes one object, and a part of the name that must be reported."""
        found = []
        for name, table in self.tables.items():
            found.append((f"DROP TABLE {name} CASCADE", name))
            for column, kept in table.columns.items():
                found += [
                    (f"ALTER TABLE {name} DROP COLUMN {column}", column),
                    (f"ALTER TABLE {name} RENAME COLUMN {column} TO damaged", column),
                    (f"ALTER TABLE {name} ALTER {column} DROP DEFAULT, ALTER {column} TYPE text", column),
                ]
                if kept.default is not None:
                    found.append((f"ALTER TABLE {name} ALTER {column} SET DEFAULT 999", column))
                if not kept.nullable:
                    found.append((f"ALTER TABLE {name} ALTER {column} DROP NOT NULL", column))
            for index, column in table.indexes.items():
                found += [
                    (f"DROP INDEX {index}", index),
                    (f"DROP INDEX {index}; CREATE UNIQUE INDEX {index} ON {name} ({column})", index),
                ]
        for name, number in self.views.items():
            found += [(f"DROP VIEW {name}", name), (f"CREATE OR REPLACE VIEW {name} AS SELECT {number} + 7 AS n", name)]
        for name, labels in self.enums.items():
            found += [
                (f"DROP TYPE {name}", name),
                (f"ALTER TYPE {name} RENAME VALUE '{labels[0]}' TO 'damaged'", labels[0]),
            ]
        for name in self.functions:
            found += [
                (f"DROP FUNCTION {name}()", name),
                (f"CREATE OR REPLACE FUNCTION {name}() RETURNS int LANGUAGE sql AS 'SELECT 999'", name),
            ]
        return found


@dataclass(frozen=True)
class RandomChain:
    bodies: tuple[str, ...]
    """The bodies of ``upgrade()``, for r1, r2, ..."""
    states: tuple[Schema, ...]
    """The schema after none of them, the first, ..."""


class _Author:
    """Writes migrations: each method is one kind of change, and returns None if there is nothing to change."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self.schema = Schema()
        self._names = 0

    def _new(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _one(self, of: list) -> object:
        return self._draw(st.sampled_from(of))

    def _table(self) -> str | None:
        return self._one(sorted(self.schema.tables)) if self.schema.tables else None

    def _column(self) -> tuple[str, str] | None:
        all_ = [(t, c) for t, table in sorted(self.schema.tables.items()) for c in table.columns]
        return self._one(all_) if all_ else None

    def _create(self, name: str) -> str:
        columns = {self._new("c"): Column(self._one(list(TYPES))) for _ in range(self._draw(st.integers(1, 3)))}
        self.schema.tables[name] = Table(columns)
        words = ", ".join(f"{column} {kept.type}" for column, kept in columns.items())
        return f'op.execute("CREATE TABLE {name} ({words})")'

    def create_table(self) -> str:
        return self._create(self._new("t"))

    def create_table_behind_a_guard(self) -> str:
        name = self._new("t")
        return f'if not inspect(op.get_bind()).has_table("{name}"):\n    {self._create(name)}'

    def drop_table(self) -> str | None:
        if name := self._table():
            del self.schema.tables[name]
            return f'op.drop_table("{name}")'
        return None

    def drop_table_behind_a_guard(self) -> str | None:
        if body := self.drop_table():
            name = body.split('"')[1]
            return f'if inspect(op.get_bind()).has_table("{name}"):\n    {body}'
        return None

    def recreate_table(self) -> str | None:
        if name := self._table():
            return f'op.drop_table("{name}")\n{self._create(name)}'
        return None

    def rename_table(self) -> str | None:
        if name := self._table():
            new = self._new("t")
            self.schema.tables[new] = self.schema.tables.pop(name)
            return f'op.rename_table("{name}", "{new}")'
        return None

    def swap_tables(self) -> str | None:
        if len(self.schema.tables) < 2:
            return None
        one, other = sorted(self.schema.tables)[:2]
        tables = self.schema.tables
        tables[one], tables[other] = tables[other], tables[one]
        return (
            f'op.rename_table("{one}", "swapping")\nop.rename_table("{other}", "{one}")\n'
            f'op.rename_table("swapping", "{other}")'
        )

    def add_column(self) -> str | None:
        if name := self._table():
            column, type_ = self._new("c"), self._one(list(TYPES))
            self.schema.tables[name].columns[column] = Column(type_)
            return f'op.execute("ALTER TABLE {name} ADD COLUMN {column} {type_}")'
        return None

    def add_column_behind_a_guard(self) -> str | None:
        if body := self.add_column():
            _, _, name, _, _, column = body.split()[:6]
            return (
                f'if "{column}" not in [c["name"] for c in inspect(op.get_bind()).get_columns("{name}")]:\n    {body}'
            )
        return None

    def drop_column(self) -> str | None:
        if found := self._column():
            name, column = found
            table = self.schema.tables[name]
            del table.columns[column]
            table.indexes = {index: of for index, of in table.indexes.items() if of != column}
            return f'op.drop_column("{name}", "{column}")'
        return None

    def rename_column(self) -> str | None:
        if found := self._column():
            name, column = found
            table, new = self.schema.tables[name], self._new("c")
            table.columns = {new if c == column else c: kept for c, kept in table.columns.items()}
            table.indexes = {index: new if of == column else of for index, of in table.indexes.items()}
            return f'op.alter_column("{name}", "{column}", new_column_name="{new}")'
        return None

    def widen(self) -> str | None:
        if found := self._column():
            name, column = found
            kept = self.schema.tables[name].columns[column]
            new = {"integer": "bigint", "varchar(20)": "varchar(40)", "date": "timestamp"}.get(kept.type)
            if new:
                kept.type = new
                return f'op.execute("ALTER TABLE {name} ALTER COLUMN {column} TYPE {new}")'
        return None

    def default(self) -> str | None:
        if found := self._column():
            name, column = found
            kept = self.schema.tables[name].columns[column]
            if kept.type not in {"integer", "bigint"}:
                return None
            kept.default = self._draw(st.integers(1, 3))
            return f'op.alter_column("{name}", "{column}", server_default="{kept.default}")'
        return None

    def not_null(self) -> str | None:
        if found := self._column():
            name, column = found
            self.schema.tables[name].columns[column].nullable = False
            return f'op.alter_column("{name}", "{column}", nullable=False)'
        return None

    def index(self) -> str | None:
        if found := self._column():
            name, column = found
            index = self._new("i")
            self.schema.tables[name].indexes[index] = column
            return f'op.create_index("{index}", "{name}", ["{column}"])'
        return None

    def drop_indexes_by_query(self) -> str | None:
        if name := self._table():
            self.schema.tables[name].indexes.clear()
            found = f'inspect(op.get_bind()).get_indexes("{name}")'
            return f'for index in {found}:\n    op.drop_index(index["name"], "{name}")'
        return None

    def view(self) -> str:
        name, number = self._draw(st.sampled_from(["v1", "v2"])), self._draw(st.integers(1, 3))
        self.schema.views[name] = number
        return f'op.execute("CREATE OR REPLACE VIEW {name} AS SELECT {number} AS n")'

    def drop_view(self) -> str | None:
        if not self.schema.views:
            return None
        name = self._one(sorted(self.schema.views))
        del self.schema.views[name]
        return f'op.execute("DROP VIEW IF EXISTS {name}")'

    def enum(self) -> str:
        name, labels = self._new("e"), [self._new("label"), self._new("label")]
        self.schema.enums[name] = labels
        return f"op.execute(\"CREATE TYPE {name} AS ENUM ('{labels[0]}', '{labels[1]}')\")"

    def label(self) -> str | None:
        if not self.schema.enums:
            return None
        name, label = self._one(sorted(self.schema.enums)), self._new("label")
        self.schema.enums[name].append(label)
        return f"op.execute(\"ALTER TYPE {name} ADD VALUE '{label}'\")"

    def function(self) -> str:
        name, number = self._draw(st.sampled_from(["f1", "f2"])), self._draw(st.integers(1, 3))
        self.schema.functions[name] = number
        return f"op.execute(\"CREATE OR REPLACE FUNCTION {name}() RETURNS int LANGUAGE sql AS 'SELECT {number}'\")"


KINDS = sorted(name for name in vars(_Author) if not name.startswith("_"))


@st.composite
def chains(draw: Draw, most: int = 6) -> RandomChain:
    """Chains that run from an empty database."""
    author = _Author(draw)
    bodies, states = [author.create_table()], [Schema(), copy.deepcopy(author.schema)]
    for _ in range(draw(st.integers(1, most))):
        changes = [getattr(author, draw(st.sampled_from(KINDS)))() for _ in range(draw(st.integers(1, 3)))]
        bodies.append("\n".join(change for change in changes if change) or "pass")
        states.append(copy.deepcopy(author.schema))
    return RandomChain(tuple(bodies), tuple(states))
