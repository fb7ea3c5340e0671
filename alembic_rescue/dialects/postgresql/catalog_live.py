"""Read some objects of a live database without waiting for other sessions' locks and without holding many."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.catalog_query import Queries
from alembic_rescue.dialects.postgresql.catalog_rows import Address, Extensions, Row, identified, read
from alembic_rescue.dialects.postgresql.catalog_shape import WHOLE, Source
from alembic_rescue.dialects.postgresql.catalog_touched import dependents, selection_of
from alembic_rescue.dialects.postgresql.session import oids, texts, transaction
from alembic_rescue.evidence.observation import CatalogObject, Reading, Unread

_BATCH = 200
"""Objects per transaction: the server holds a lock on each view and table that it writes out."""
_LOCK_TIMEOUT = "1s"
_IDENTIFIER = re.compile(r'"((?:[^"]|"")*)"|([^\s.,()"\[\]]+)')
_LOCKED = """
SELECT l.relation::text, coalesce(min(l.pid)::text, ''), min(l.relation::regclass::text)
  FROM pg_locks l
 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY 1
"""
_KEYS_OF_OTHERS = """
SELECT 'pg_constraint', oid::text FROM pg_constraint
 WHERE contype IN ('p', 'u', 'f') AND oid = ANY ({constraints}) AND NOT conrelid = ANY ({locked})
"""
"""Constraints whose definitions the server writes without a lock."""
_CHILDREN = """
SELECT 'pg_constraint', oid::text FROM pg_constraint WHERE conrelid = ANY ({relations}) OR contypid = ANY ({types})
UNION ALL SELECT 'pg_class', indexrelid::text FROM pg_index WHERE indrelid = ANY ({relations})
UNION ALL SELECT 'pg_class', d.objid::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
   AND d.refobjid = ANY ({relations})
"""


def read_named(connection: Connection, queries: Queries, objects: Collection[CatalogObject]) -> Reading:
    """Read `objects` and what belongs to them; see `alembic_rescue.dialects.base.CatalogReader.named`."""
    search = _Search(connection, queries)
    with transaction(connection, lock_timeout=_LOCK_TIMEOUT) as cursor:
        found = _find(cursor, queries, objects)
    remaining = iter(sorted(found))
    while batch := set(islice(remaining, _BATCH)):
        search.read(batch)
    small = {(source.known_as, WHOLE) for source in queries.sources if source.whole and _asked(source, objects)}
    if small:
        wanted = set(objects)
        with transaction(connection, lock_timeout=_LOCK_TIMEOUT) as cursor:
            rows = read(cursor, queries, selection_of(small))
        search.rows.update({address: row for address, row in rows.items() if row.object in wanted})
    return Reading({row.object: row.facts for row in search.rows.values()}, tuple(search.unread))


def _asked(source: Source, objects: Iterable[CatalogObject]) -> bool:
    kinds = {source.kind.strip("'"), source.catalog.removeprefix("pg_")}
    return any(wanted.kind in kinds for wanted in objects)


def _find(cursor: Cursor, queries: Queries, objects: Collection[CatalogObject]) -> set[Address]:
    """Find the addresses of `objects`, their parents and children: first by bare name, for which there are indexes."""
    names = {name for wanted in objects for name in (wanted.name, wanted.parent) if name}
    bare = {(quoted or plain).replace('""', '"') for name in names for quoted, plain in _IDENTIFIER.findall(name)}
    if not names:
        return set()
    candidates = cursor.rows(" UNION ALL ".join(_candidates(queries, texts(bare))))
    extensions = Extensions(cursor)
    found = {(catalog, oid) for catalog, oid, name in candidates if name and extensions.neutral(name) in names}
    return found | set(cursor.rows(" UNION ALL ".join(_children(queries, selection_of(found)))))


def _candidates(queries: Queries, bare: str) -> Iterator[str]:
    for source in queries.sources:
        if source.whole or source.selected_by or source.catalog == "pg_attrdef":  # found with its table
            continue
        chosen = f"x.{source.name_column}::text = ANY ({bare})" if source.name_column else source.own
        if source.name_column and source.name_column != "parname":
            chosen = f"x.{source.name_column} = ANY ({bare}::name[])"
        yield (
            f"SELECT '{source.known_as}', x.oid::text, i.identity FROM {source.catalog} x,"
            f" pg_identify_object('{source.known_as}'::regclass, x.oid, 0) i WHERE {chosen}"
        )


def _children(queries: Queries, found: Mapping[str, Collection[str]]) -> Iterator[str]:
    yield _CHILDREN.format(relations=oids(found.get("pg_class", ())), types=oids(found.get("pg_type", ())))
    for source in queries.sources:
        parents = found.get(source.parent_catalog)
        if parents and source.parent_oid.startswith("x.") and not source.selected_by and not source.whole:
            yield (
                f"SELECT '{source.known_as}', x.oid::text FROM {source.catalog} x"
                f" WHERE {source.parent_oid} = ANY ({oids(parents)})"
            )


@dataclass
class _Search:
    """The objects read so far."""

    connection: Connection
    queries: Queries
    rows: dict[Address, Row] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)

    def read(self, addresses: Collection[Address], failed: str = "") -> None:
        """Read what no other session has locked; if that fails, read in halves, down to single objects."""
        with transaction(self.connection, lock_timeout=_LOCK_TIMEOUT) as cursor:
            locked = _locked(cursor, addresses)
            for pid, relation in sorted(set(locked.values())):
                holder = f"process {pid}" if pid else "a prepared transaction"
                self._leave(
                    cursor,
                    {address for address, by in locked.items() if by == (pid, relation)},
                    f"{holder} holds or awaits a lock that shuts out reading it",
                    relation,
                )
            free = set(addresses) - locked.keys()
            if failed and len(free) == 1:
                self._leave(cursor, free, failed)
                return
            try:
                rows = read(cursor, self.queries, selection_of(free)) if free else {}
            except cursor.error as error:
                message = str(error).strip().partition("\n")[0] or type(error).__name__
            else:
                self.rows.update(rows)
                return
        half = len(free) // 2
        for part in (sorted(free)[:half], sorted(free)[half:]):
            if part:
                self.read(part, message)

    def _leave(self, cursor: Cursor, addresses: Collection[Address], reason: str, locked: str = "") -> None:
        found = identified(cursor, self.queries, selection_of(addresses))
        self.unread.extend(Unread(each, reason, locked) for each in sorted(found))


def _locked(cursor: Cursor, addresses: Collection[Address]) -> dict[Address, tuple[str, str]]:
    """Return those of `addresses` that cannot be read without waiting, with the blocking process and its relation."""
    found: dict[Address, tuple[str, str]] = {}
    held = {("pg_class", oid): (pid, name) for oid, pid, name in cursor.rows(_LOCKED)}
    for relation, by in held.items():
        found.update(dict.fromkeys(dependents(cursor, {relation}) & set(addresses), by))
    if found:
        constraints = oids(oid for catalog, oid in found if catalog == "pg_constraint")
        locked = oids(oid for _, oid in held)
        for address in cursor.rows(_KEYS_OF_OTHERS.format(constraints=constraints, locked=locked)):
            del found[address]
    return found
