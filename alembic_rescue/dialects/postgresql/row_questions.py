"""SQL queries about what only rows decide, for the live database before the run.  Pure.

Expressions come from the server, with the names of tables and columns at that point of the run; a subquery renames the
live columns to match.  Only built-in functions that change nothing are called on the live database.
"""

# ruff: noqa: S608 - the SQL is made of names and expressions that the server wrote

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from alembic_rescue.dialects.statements import POSTGRESQL, Sort, tokens
from alembic_rescue.evidence.rehearsal import Demand

_HAS_INPUT_IS_VALID = 160000
_WHOLE = {
    "int2": ("-32768", "32767"),
    "int4": ("-2147483648", "2147483647"),
    "int8": ("-9223372036854775808", "9223372036854775807"),
}
_TEXTS = frozenset(["text", "varchar", "bpchar"])
_USING = (
    r"ALTER\s+(?:COLUMN\s+)?{column}\s+(?:SET\s+DATA\s+)?TYPE\b(?:(?!\bUSING\b|,\s*ALTER\b).)*\bUSING\b"
    r"(.*?)(?:,\s*ALTER\b.*|;\s*)?\Z"
)
_ADDED = r"\bADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?{column}(?!\w)((?:[^,;(]|\([^)]*\))*)"
_FILLS = re.compile(r"\b(?:DEFAULT|IDENTITY|GENERATED|(?:BIG|SMALL)?SERIAL)\b", re.IGNORECASE)
_CUTS_OFF = re.compile(r"\b(?:varchar|varying|char|character)\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column, as in the catalog."""

    name: str
    """Quoted if SQL requires it."""
    type: int
    modifier: int
    spelled: str
    """The type as the server writes it."""
    not_null: bool
    filled: bool
    """Existing rows get a value, by a default or otherwise."""
    default: str | None
    """The expression of its default."""


@dataclass(frozen=True)
class Table:
    """A table that existed before the run: then (before it) and now."""

    name: str
    """Its name before the run, with its schema, quoted if SQL requires it."""
    names: frozenset[str]
    """Its names then and now, without schema and quotes."""
    then: Mapping[int, Column]
    now: Mapping[int, Column]
    key: Sequence[int]
    """The columns of its primary key before the run."""
    only: str = ""
    """``ONLY`` and a space, for a table that others inherit from: each of those has its own demands."""

    def mentioned(self, expression: str) -> dict[int, Column]:
        """Return the columns, with their current names, that an expression may mention."""
        return {number: one for number, one in self.now.items() if bare(one.name) in expression}

    def called(self, expression: str) -> tuple[str, ...]:
        """Return all names, then and now, of the columns that an expression mentions."""
        mentioned = self.mentioned(expression)
        names = (one.name for number in mentioned for one in (self.now[number], self.then.get(number)) if one)
        return tuple(dict.fromkeys(map(bare, names)))

    def columns(self, expression: str, only_reads: Callable[[str], bool]) -> tuple[str, ...]:
        """Return the SELECT list that replaces the columns that an expression mentions, and the key.

        It is empty if the columns have the same names then and now.
        """
        mentioned = self.mentioned(expression)
        if all(number in self.then and self.then[number].name == one.name for number, one in mentioned.items()):
            return ()
        told = []
        for number, one in mentioned.items():
            if number in self.then:
                value = self.then[number].name
            else:  # the column is new: each row gets its default, which is only evaluated if it changes nothing
                value = one.default if one.default and only_reads(one.default) else "NULL"
            told.append(value if value == one.name else f"{value} AS {one.name}")
        return (*told, *(f'{name} AS "key {bare(name)}"' for name in self.keyed))

    @property
    def keyed(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return tuple(self.then[number].name for number in self.key) or ("ctid",)


def bare(name: str) -> str:
    """Return a column's name without quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


@dataclass(frozen=True)
class Asking:
    """Writes the questions about one revision."""

    revision: str
    version: int
    """The server's ``server_version_num``."""
    known_to_read: Callable[[frozenset[str]], bool]
    """Whether all functions of these names are built-in and change nothing."""

    def not_null(self, table: Table, number: int, sent: Sequence[str]) -> Iterator[Demand]:
        """Ask about a column that no longer accepts NULL, or a new one that nothing fills."""
        column = table.now[number]
        if number in table.then:
            what, violation = f"{table.name}.{column.name} is to be NOT NULL", f"with NULL in {column.name}"
            yield self._of(table, "not-null", column.name, what, violation, where=f"r.{column.name} IS NULL")
        elif not self._is_filled(table, column, sent):
            what = f"{table.name}.{column.name} is new, NOT NULL, and has no default"
            violation = f"with no value for {column.name}"
            yield self._of(table, "not-null", column.name, what, violation, where="true", of=(bare(column.name),))

    @staticmethod
    def _is_filled(table: Table, column: Column, sent: Sequence[str]) -> bool:
        """Whether existing rows get a value: by the statement that adds the column, else by the catalog."""
        own = [sql for sql in sent if any(name in sql for name in table.names)]
        added = _matches(_ADDED, column.name, own)
        return column.filled if added is None else _FILLS.search(added) is not None

    def check(self, table: Table, name: str, expression: str) -> Iterator[Demand]:
        """Ask about rows that a CHECK rejects."""
        violation = f"that {name} rejects"
        what = f"{table.name} gets CHECK {name}"
        yield self._of(table, "check", name, what, violation, where=f"NOT ({expression})")

    def partition(self, table: Table, held: str) -> Iterator[Demand]:
        """Ask about rows that do not belong in a partition, or that belong in a new sibling of it."""
        refused = "hash partitions are not checked" if "satisfies_hash_partition" in held else ""
        what, violation = f"{table.name} gets new partition bounds", "that do not belong in it"
        yield self._of(table, "check", "", what, violation, where=f"NOT ({held})", refused=refused)

    def domain(self, name: str) -> Demand:
        """Report that columns of a domain are not checked."""
        what = f"the domain {name} gets a CHECK or NOT NULL"
        return Demand(self.revision, "check", what, "", "", about=name, refused="columns of domains are not checked")

    def foreign_key(
        self,
        table: Table,
        name: str,
        numbers: Sequence[int],
        other: Table | None,
        other_numbers: Sequence[int],
        other_name: str,
        *,
        full: bool,
    ) -> Iterator[Demand]:
        """Ask about rows whose parent is missing.

        Args:
            other: the referenced table; None if the run itself creates it.
            full: MATCH FULL: a row with NULL in some of the columns but not all matches nothing.
        """
        own = [table.now[number].name for number in numbers]
        conditions, orphan = [f"r.{column} IS NOT NULL" for column in own], "true"
        names = table.names | {other_name}
        if other is not None:
            pairs = [
                f"f.{other.then[theirs].name} = r.{column}" if theirs in other.then else "false"
                for theirs, column in zip(other_numbers, own, strict=True)
            ]
            orphan = f"NOT EXISTS (SELECT FROM {other.only}{other.name} AS f WHERE {' AND '.join(pairs)})"
            names |= other.names
        where = " AND ".join([*conditions, orphan])
        if full and len(own) > 1:
            row = ", ".join(f"r.{column}" for column in own)
            where = f"({where}) OR (num_nulls({row}) BETWEEN 1 AND {len(own) - 1})"
        what = f"{table.name} gets FOREIGN KEY {name} to {other.name if other else other_name}"
        violation = f"with no parent in {other.name if other else other_name}"
        yield self._of(table, "foreign-key", name, what, violation, where=where, names=names)

    def unique(
        self, table: Table, name: str, keys: Sequence[str], predicate: str, *, nulls_alike: bool
    ) -> Iterator[Demand]:
        """Ask about duplicate rows."""
        told = ", ".join(keys)
        by = ", ".join(f"({key})" for key in keys)
        among = f" WHERE {predicate}" if predicate else ""
        stand_for = table.columns(f"{by} {predicate}", self._only_reads)
        source = (
            f"(SELECT {', '.join(stand_for)} FROM {table.only}{table.name}) AS s"
            if stand_for
            else table.only + table.name
        )
        alike = f"SELECT {by} FROM {source}{among} GROUP BY {by} HAVING count(*) > 1"
        where = f"({by}) IN ({alike})"
        if nulls_alike:
            columns = [f"k{number}" for number in range(len(keys))]
            pairs = " AND ".join(
                f"d.{column} IS NOT DISTINCT FROM ({key})" for column, key in zip(columns, keys, strict=True)
            )
            where = f"EXISTS (SELECT FROM ({alike}) AS d({', '.join(columns)}) WHERE {pairs})"
        if predicate:
            where = f"({predicate}) AND {where}"
        what, violation = f"{table.name} gets UNIQUE {name} ({told})", f"with the same {told} as another row"
        yield self._of(table, "unique", name, what, violation, where=where, whole=True)

    def still_unique(
        self,
        table: Table,
        number: int,
        types: Mapping[str, Any],
        sent: Sequence[str],
        name: str,
        keys: Sequence[str],
        predicate: str,
        *,
        nulls_alike: bool,
    ) -> Iterator[Demand]:
        """Ask about rows that become duplicates if a key column changes its type.

        Yields nothing if the conversion keeps different values different.

        Args:
            types: see :meth:`type`.
        """
        now = table.now[number]
        using = _matches(_USING, now.name, sent) or ""
        given = using and not _only_casts(using, now.name)
        if not given and (types["implicit"] or types["name"] in _TEXTS or types["labels"] is not None):
            return
        value = using if given else table.then[number].name
        what = f"{table.name} keeps UNIQUE {name} with {now.name} as {now.spelled}"
        if not types["builtin"] or not self._only_reads(value):
            yield self._of(table, "unique", name, what, "", refused="converted values are not checked")
            return
        cast = replace(table.then[number], name=f"({value})::{now.spelled}")
        converted = replace(table, then={**table.then, number: cast}, key=())
        for one in self.unique(converted, name, keys, predicate, nulls_alike=nulls_alike):
            yield replace(one, what=what)

    def computed(self, table: Table, name: str, kind: str, expressions: Sequence[str], predicate: str = "") -> Demand:
        """Ask about rows for which an expression fails that the server computes for each row."""
        what, violation = f"{table.name} gets {kind} {name}", "for which its expression fails"
        row = f"ROW({', '.join(expressions)})"
        tried = f"CASE WHEN {predicate} THEN {row} END" if predicate else row
        return self._of(table, "expression", name, what, violation, tried=tried)

    def exclusion(self, table: Table, name: str) -> Demand:
        """Report that an EXCLUDE constraint is not checked: every row would have to be compared with every other."""
        what = f"{table.name} gets EXCLUDE constraint {name}"
        return self._of(table, "exclusion", name, what, "", refused="EXCLUDE constraints are not checked")

    def type(self, table: Table, number: int, types: Mapping[str, Any], sent: Sequence[str]) -> Iterator[Demand]:
        """Ask about values that do not fit a new type.

        Args:
            types: whether every value of the old type converts to the new one implicitly (``implicit``), the new type's
                ``name``, the old type's category (``was``), whether the new type is built-in (``builtin``), and an
                enum's ``labels``.
        """
        then, now = table.then[number], table.now[number]
        using = _matches(_USING, now.name, sent) or ""
        value = f"r.{now.name}"
        given = using and not _only_casts(using, now.name)
        what = f"{table.name}.{now.name} becomes {now.spelled}"
        violation = f"whose {now.name} is not a valid {now.spelled}"
        if types["labels"] is not None:
            labels = ", ".join("'" + label.replace("'", "''") + "'" for label in types["labels"])
            told = re.sub(rf'::\s*(?:"?\w+"?\.)?"?{re.escape(types["name"])}"?', "", using) if given else value
            where = f"({told})::text <> ALL (ARRAY[{labels}]::text[])" if types["labels"] else f"({told}) IS NOT NULL"
            yield self._of(
                table, "type", now.name, what, f"whose {now.name} is not a label of {now.spelled}", where=where
            )
        elif given or not types["builtin"]:
            yield from self._tried(table, what, violation, using or value, now, types)
        elif types["name"] in _TEXTS:
            if now.modifier > 0 and not _CUTS_OFF.search(using):  # an explicit cast truncates
                where = _longer(f"({value})::text", now.modifier - 4)
                violation = f"whose {now.name} is too long for {now.spelled}"
                yield self._of(table, "type", now.name, what, violation, where=where)
        elif types["implicit"] and now.modifier < 0:
            return
        elif types["name"] in _WHOLE and types["was"] == "N":
            least, most = _WHOLE[types["name"]]
            where = f"NOT ({value} >= {least} AND {value} <= {most})"
            yield self._of(
                table,
                "type",
                now.name,
                what,
                f"whose {now.name} is out of range for {now.spelled}",
                where=where,
            )
        elif types["was"] == "S" and self.version >= _HAS_INPUT_IS_VALID:
            where = f"NOT pg_input_is_valid(({value})::text, '{now.spelled}')"
            yield self._of(table, "type", now.name, what, violation, where=where)
        elif then.type != now.type or types["name"] == "numeric":
            yield from self._tried(table, what, violation, value, now, types)

    def _tried(
        self, table: Table, what: str, violation: str, value: str, now: Column, types: Mapping[str, Any]
    ) -> Iterator[Demand]:
        if not types["builtin"]:
            yield self._of(
                table,
                "type",
                now.name,
                what,
                violation,
                refused=f"{now.spelled} does not exist in the live database yet",
            )
        else:
            yield self._of(table, "type", now.name, what, violation, tried=f"({value})::{now.spelled}")

    def _of(
        self,
        table: Table,
        kind: str,
        about: str,
        what: str,
        violation: str,
        *,
        where: str = "",
        tried: str = "",
        whole: bool = False,
        refused: str = "",
        names: frozenset[str] = frozenset(),
        of: tuple[str, ...] = (),
    ) -> Demand:
        if not refused and not self._only_reads(where or tried):
            refused = "it calls a function that may change data"
        columns = table.columns(where or tried, self._only_reads)
        keyed = table.keyed
        return Demand(
            revision=self.revision,
            kind=kind,
            what=what,
            violation=violation,
            table=table.only + table.name,
            columns=columns,
            where=where,
            tried=tried,
            key=tuple(f'r."key {bare(name)}"' if columns else f"r.{name}" for name in keyed),
            keyed=", ".join(map(bare, keyed)),
            of=of or table.called(where or tried),
            about=about,
            whole=whole,
            refused=refused,
            names=tuple(sorted(names or table.names)),
        )

    def _only_reads(self, expression: str) -> bool:
        return self.known_to_read(_calls(expression))


def _calls(expression: str) -> frozenset[str]:
    """Return the names before a parenthesis, without their schemas: functions, and keywords."""
    found = list(tokens(expression, POSTGRESQL))
    return frozenset(
        bare(one.text) if one.sort is Sort.NAME else one.text.lower()
        for one, following in pairwise(found)
        if following.text == "(" and one.sort in {Sort.WORD, Sort.NAME}
    )


def _longer(value: str, most: int) -> str:
    """Return the condition for a value that is too long for a column; trailing spaces are truncated silently."""
    return f"length({value}) > {most} AND btrim(substr({value}, {most + 1})) <> ''"


def _matches(pattern: str, column: str, sent: Sequence[str]) -> str | None:
    """Return what the last matching statement has for this column; None if none matches."""
    named = rf'(?:"{re.escape(bare(column))}"|{re.escape(bare(column))})'
    found = None
    for sql in sent:
        match = re.search(pattern.replace("{column}", named), sql.strip(), re.IGNORECASE | re.DOTALL)
        if match:
            found = match[1].strip() if match.re.groups else match[0]
    return found


def _only_casts(expression: str, column: str) -> bool:
    """Whether an expression is the column itself, with or without a cast."""
    named = re.escape(bare(column))
    return re.fullmatch(rf'\(*\s*"?{named}"?\s*\)*(?:\s*::\s*[\w."() ,]+)?\)*', expression, re.IGNORECASE) is not None
