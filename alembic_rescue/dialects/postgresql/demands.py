"""The demands on rows and the locks of a run on a copy, read from the copy's catalogs during the run.

Tables and columns are identified by number (oid, attnum), because they may be renamed.  The copy has no rows; what is
read here becomes queries for the live database: see :mod:`.row_questions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql import row_questions
from alembic_rescue.dialects.postgresql.filling import fills
from alembic_rescue.dialects.postgresql.row_questions import Column, Table, bare
from alembic_rescue.dialects.postgresql.session import unshadowed_path
from alembic_rescue.dialects.statements import POSTGRESQL, words
from alembic_rescue.evidence.rehearsal import FILLED, Demand, Lock

_TAKES_BACK = frozenset(["DROP", "TYPE", "DEFAULT", "RENAME", "SCHEMA"])
_NAMED_RULES = 3

_READ = """
WITH tables AS (
  SELECT c.oid, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
         pg_relation_filenode(c.oid) AS file, c.relkind = 'r' AND c.relhassubclass AS parent,
         n.nspname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384
     AND n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'
)
SELECT (json_build_object(
  'tables', (SELECT json_agg(json_build_array(oid::int8, name, relname, file::int8, parent, nspname)) FROM tables),
  'views', (SELECT json_agg(relname) FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm', 'f') AND oid >= 16384),
  'columns', (SELECT json_agg(json_build_array(attrelid::int8, attnum, quote_ident(attname), atttypid::int8, atttypmod,
      format_type(atttypid, atttypmod),
      attnotnull AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint
        WHERE conrelid = attrelid AND contype = 'n' AND NOT convalidated AND conkey = ARRAY[attnum]),
      atthasdef OR attidentity <> '' OR attgenerated <> '' OR atthasmissing,
      (SELECT pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
        WHERE adrelid = attrelid AND adnum = attnum AND attgenerated = '')))
    FROM pg_catalog.pg_attribute WHERE attrelid IN (SELECT oid FROM tables) AND attnum > 0 AND NOT attisdropped),
  'constraints', (SELECT json_agg(json_build_array(conrelid::int8, oid::int8, contype, quote_ident(conname), conkey,
      confrelid::int8, confkey, pg_get_expr(conbin, conrelid), confmatchtype = 'f'))
    FROM pg_catalog.pg_constraint
    WHERE conrelid IN (SELECT oid FROM tables) AND convalidated AND contype IN ('c', 'f', 'p', 'x')),
  'indexes', (SELECT json_agg(json_build_array(indrelid::int8, indexrelid::int8, quote_ident(relname),
      (SELECT json_agg(pg_get_indexdef(indexrelid, k, true) ORDER BY k) FROM generate_series(1, indnkeyatts) AS k),
      pg_get_expr(indpred, indrelid), coalesce(to_json(i)->>'indnullsnotdistinct', 'false') = 'true', indkey::text,
      indisunique))
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
    WHERE indrelid IN (SELECT oid FROM tables) AND (indisunique OR indexprs IS NOT NULL OR indpred IS NOT NULL)
      AND indisvalid),
  'generated', (SELECT json_agg(json_build_array(attrelid::int8, attnum, pg_get_expr(adbin, adrelid)))
    FROM pg_catalog.pg_attrdef JOIN pg_catalog.pg_attribute ON attrelid = adrelid AND attnum = adnum
    WHERE attrelid IN (SELECT oid FROM tables) AND attgenerated = 's'),
  'partitions', (SELECT json_agg(json_build_array(oid::int8, pg_get_partition_constraintdef(oid)))
    FROM pg_catalog.pg_class WHERE relispartition AND oid IN (SELECT oid FROM tables)),
  'domains', (SELECT json_agg(json_build_array(t.oid::int8, format_type(t.oid, NULL), typnotnull,
      (SELECT json_agg(c.oid::int8 ORDER BY c.oid) FROM pg_catalog.pg_constraint c
        WHERE contypid = t.oid AND contype = 'c' AND convalidated)))
    FROM pg_catalog.pg_type t WHERE typtype = 'd' AND t.oid >= 16384),
  'locks', (SELECT json_agg(DISTINCT json_build_array(relation::int8, mode)::text)
    FROM pg_catalog.pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
     AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
))::text
"""
_TYPES = """
SELECT json_build_object(
  'implicit', EXISTS (SELECT FROM pg_catalog.pg_cast
    WHERE castsource = {old} AND casttarget = {new} AND (castcontext = 'i' OR castmethod = 'b')),
  'name', (SELECT typname FROM pg_catalog.pg_type WHERE oid = {new}),
  'was', (SELECT typcategory FROM pg_catalog.pg_type WHERE oid = {old}),
  'builtin', {new} < 16384,
  'labels', (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_catalog.pg_enum WHERE enumtypid = {new}))::text
"""
_HARMFUL = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = ANY (ARRAY[{names}]::name[])
  AND (provolatile = 'v' OR pronamespace <> 'pg_catalog'::regnamespace))
"""
"""Whether a function of these names is not built-in or may change something.  A name without a function is syntax."""


@dataclass
class _Catalog:
    """The result of one reading."""

    tables: dict[int, tuple[Any, ...]]
    columns: dict[int, dict[int, Column]]
    constraints: dict[int, list[Any]]
    indexes: dict[int, list[Any]]
    locks: frozenset[tuple[int, str]]
    partitions: dict[int, str | None]
    """The partition constraint of each partition."""
    domains: dict[int, list[Any]]
    generated: dict[tuple[int, int], str]
    """The expression of each stored generated column, by table and number."""
    views: frozenset[str]
    """Other relations with rows: views, materialized views and foreign tables, without their schemas."""

    def rules(self, table: int) -> frozenset[tuple[str, str]]:
        """Return the rules for each row of a table: a name, and the text to show after it."""
        named = {(one[3], "") for one in self.constraints.values() if one[0] == table}
        named |= {(one[2], "") for one in self.indexes.values() if one[0] == table and one[-1]}
        columns = self.columns.get(table, {}).values()
        return frozenset(named | {(one.name, " NOT NULL") for one in columns if one.not_null})


@dataclass
class Demands:
    """Follows the copy of one visit; see :class:`alembic_rescue.dialects.base.Demands`."""

    _first: _Catalog | None = None
    _last: _Catalog | None = None
    _locked: set[tuple[int, str]] = field(default_factory=set)
    _added: dict[tuple[int, int], Column] = field(default_factory=dict)
    """New columns as first seen: rows have the default of that time."""
    _filled: dict[int, frozenset[tuple[str, str]]] = field(default_factory=dict)
    """The rules already reported for each table that the run itself fills from live rows."""
    _named: set[str] = field(default_factory=set)
    """The names of relations with live rows."""

    def begin(self, connection: Connection) -> None:
        """Read the copy before anything has run."""
        self._first = self._last = _read(connection)

    def looks_before(self, statement: str) -> bool:
        """Whether the statement drops something or changes a name, type or default."""
        return not _TAKES_BACK.isdisjoint(words(statement, POSTGRESQL))

    def after(self, connection: Connection, revision: str, sent: Sequence[str]) -> tuple[list[Demand], list[Lock]]:
        """Return the demands and locks after a revision's code has run; its transaction may still be open.

        Never raises.  From a failed transaction it reads nothing.
        """
        first, last, now = self._first, self._last, _read(connection)
        if first is None or last is None or now is None:
            return [], []
        self._last = now
        unread = Demand(revision, "unknown", "what it requires of rows", "", "", refused="it could not be read")
        with suppress(Exception):
            cursor = Cursor(connection.connection, connection.dialect)
            _keep_added(self._added, first, now)
            with unshadowed_path(cursor):
                demands = list(_demands(first, last, now, self._added, revision, sent, _Server(cursor)))
            demands += self._of_filled(first, now, revision, sent)
            return demands, list(self._locks(first, last, now, revision))
        return [unread], []

    def _of_filled(self, first: _Catalog, now: _Catalog, revision: str, sent: Sequence[str]) -> Iterator[Demand]:
        """Yield the rules for rows that the run itself derives from live rows: they do not exist yet to be checked."""
        self._named |= now.views | {one[1] for one in first.tables.values()}
        self._named |= {one[1] for oid, one in now.tables.items() if oid in first.tables or oid in self._filled}
        anew = set()
        for fill in (one for sql in sent for one in fills(sql) if one.mentioned & self._named):
            self._named.add(fill.table)
            anew |= {oid for oid, one in now.tables.items() if one[1] == fill.table and fill.schema in {"", one[4]}}
        for oid in sorted((anew | self._filled.keys()) & now.tables.keys()):
            name, relname = now.tables[oid][:2]
            new = sorted(now.rules(oid) - self._filled.get(oid, frozenset()), key=lambda rule: rule[::-1])
            if new:
                told = ", ".join(map("".join, new[:_NAMED_RULES])) + (", ..." if len(new) > _NAMED_RULES else "")
                what = f"{name} is filled by a query and must satisfy {told}"
                about, names = "" if oid in anew else bare(new[0][0]), (relname,)
                refused = "the values that the run writes are not checked"
                yield Demand(revision, FILLED, what, "", name, about=about, names=names, refused=refused)
            self._filled[oid] = now.rules(oid)

    def _locks(self, first: _Catalog, last: _Catalog, now: _Catalog, revision: str) -> Iterator[Lock]:
        for table, mode in sorted(now.locks - self._locked):
            if table in first.tables and table in now.tables:
                anew = last.tables.get(table, now.tables[table])[2] != now.tables[table][2]
                rewrites = anew and mode == "AccessExclusiveLock"
                yield Lock(revision, first.tables[table][0], mode, rewrites)
        self._locked |= now.locks


@dataclass
class _Server:
    """Queries to the scratch server while the questions are written."""

    cursor: Cursor

    @property
    def version(self) -> int:
        """As ``server_version_num``."""
        return int(self.cursor.value("SELECT current_setting('server_version_num')"))

    def types(self, old: int, new: int) -> Mapping[str, Any]:
        """Return how one type is converted to another."""
        found: Mapping[str, Any] = json.loads(self.cursor.value(_TYPES.format(old=old, new=new)))
        return found

    def only_reads(self, names: frozenset[str]) -> bool:
        """Whether all functions of these names are built-in and change nothing."""
        listed = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(names))
        return not names or not self.cursor.value(_HARMFUL.format(names=listed))


def _read(connection: Connection) -> _Catalog | None:
    cursor = Cursor(connection.connection, connection.dialect)
    with suppress(Exception):
        with unshadowed_path(cursor):
            found = json.loads(cursor.value(_READ))
        columns: dict[int, dict[int, Column]] = {}
        for table, number, *facts in found["columns"] or ():
            columns.setdefault(table, {})[number] = Column(*facts)
        return _Catalog(
            {oid: tuple(facts) for oid, *facts in found["tables"] or ()},
            columns,
            {one[1]: one for one in found["constraints"] or ()},
            {one[1]: one for one in found["indexes"] or ()},
            frozenset((relation, mode) for relation, mode in map(json.loads, found["locks"] or ())),
            dict(found["partitions"] or ()),
            {one[0]: one for one in found["domains"] or ()},
            {(table, number): expression for table, number, expression in found["generated"] or ()},
            frozenset(found["views"] or ()),
        )
    return None


def _demands(
    first: _Catalog,
    last: _Catalog,
    now: _Catalog,
    added: Mapping[tuple[int, int], Column],
    revision: str,
    sent: Sequence[str],
    server: _Server,
) -> Iterator[Demand]:
    tables = {oid: _table(oid, first, now, added) for oid in first.tables.keys() & now.tables.keys()}
    ask = row_questions.Asking(revision, server.version, server.only_reads)
    for oid, table in tables.items():
        kept = [one for one in now.indexes.values() if one[0] == oid and one[-1] and _was_there(one, last, now)]
        yield from _of_columns(ask, table, last.columns.get(oid, {}), sent, server, kept)
    for constraint in _new(now.constraints, last.constraints):
        if constraint[0] in tables:
            yield from _of_constraint(ask, constraint, tables, now)
    yield from _of_what_is_worked_out(ask, tables, last, now)
    for oid, held in now.partitions.items():
        if oid in tables and held and held != last.partitions.get(oid):
            yield from ask.partition(tables[oid], held)
    for oid, (_, name, not_null, checks) in now.domains.items():
        _, _, had_not_null, had = last.domains.get(oid, [oid, name, not_null, checks])
        if (not_null and not had_not_null) or set(checks or ()) - set(had or ()):
            yield ask.domain(name)


def _of_what_is_worked_out(
    ask: row_questions.Asking, tables: Mapping[int, Table], last: _Catalog, now: _Catalog
) -> Iterator[Demand]:
    """Yield the demands of indexes and stored generated columns."""
    made = (one for one in _new(now.indexes, last.indexes) if not _was_there(one, last, now))
    for oid, _, name, keys, predicate, nulls_alike, _, is_unique in made:
        if oid in tables and is_unique:
            yield from ask.unique(tables[oid], name, keys, predicate or "", nulls_alike=nulls_alike)
        elif oid in tables:
            yield ask.computed(tables[oid], name, "INDEX", keys, predicate or "")
    for (oid, number), expression in now.generated.items():
        if oid in tables and last.generated.get((oid, number)) != expression:
            yield ask.computed(tables[oid], tables[oid].now[number].name, "the generated column", [expression])


def _was_there(index: Any, last: _Catalog, now: _Catalog) -> bool:
    """Whether the index existed before: a new column type rebuilds it under a new oid.

    It then has the same name, columns and uniqueness; the text of its expressions depends on the type.
    """
    before, after = last.columns.get(index[0], {}), now.columns.get(index[0], {})
    retyped = any(number in before and before[number].type != one.type for number, one in after.items())
    return index[1] in last.indexes or any(
        (one[0], one[2], one[5:]) == (index[0], index[2], index[5:]) and (retyped or one[3:5] == index[3:5])
        for one in last.indexes.values()
    )


def _keep_added(added: dict[tuple[int, int], Column], first: _Catalog, now: _Catalog) -> None:
    for oid in first.tables.keys() & now.tables.keys():
        for number in now.columns.get(oid, {}).keys() - first.columns.get(oid, {}).keys():
            added.setdefault((oid, number), now.columns[oid][number])


def _table(oid: int, first: _Catalog, now: _Catalog, added: Mapping[tuple[int, int], Column]) -> Table:
    columns = {
        number: replace(one, default=added.get((oid, number), one).default)
        for number, one in now.columns.get(oid, {}).items()
    }
    return Table(
        first.tables[oid][0],
        frozenset([first.tables[oid][1], now.tables[oid][1]]),
        first.columns.get(oid, {}),
        columns,
        next((one[4] for one in first.constraints.values() if one[0] == oid and one[2] == "p"), ()),
        "ONLY " if now.tables[oid][3] else "",
    )


def _of_columns(
    ask: row_questions.Asking,
    table: Table,
    before: Mapping[int, Column],
    sent: Sequence[str],
    server: _Server,
    kept: Sequence[Any],
) -> Iterator[Demand]:
    """Yield the demands of each column; `kept` are the table's unique indexes that existed before."""
    for number, column in table.now.items():
        was = before.get(number)
        if column.not_null and not (was and was.not_null):
            yield from ask.not_null(table, number, sent)
        if was and (was.type, was.modifier) != (column.type, column.modifier) and number in table.then:
            types = server.types(was.type, column.type)
            yield from ask.type(table, number, types, sent)
            of_it = [one for one in kept if any(bare(column.name) in key for key in one[3])]
            for _, _, name, keys, predicate, nulls_alike, *_ in of_it:
                yield from ask.still_unique(
                    table, number, types, sent, name, keys, predicate or "", nulls_alike=nulls_alike
                )


def _of_constraint(
    ask: row_questions.Asking, constraint: Any, tables: Mapping[int, Table], now: _Catalog
) -> Iterator[Demand]:
    oid, _, kind, name, numbers, other, other_numbers, expression, full = constraint
    if kind == "c":
        yield from ask.check(tables[oid], name, expression)
    elif kind == "f":
        referred = now.tables[other][1] if other in now.tables else ""
        yield from ask.foreign_key(tables[oid], name, numbers, tables.get(other), other_numbers, referred, full=full)
    elif kind == "x":
        yield ask.exclusion(tables[oid], name)


def _new(now: Mapping[int, Any], last: Mapping[int, Any]) -> Iterator[Any]:
    return (one for oid, one in sorted(now.items()) if oid not in last)
