"""Following a scratch database's catalogs: what changed is found by the rows' transaction ids, and only that is read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.base import Renames
from alembic_rescue.dialects.postgresql.catalog_query import Queries
from alembic_rescue.dialects.postgresql.catalog_rows import Address, Row, read
from alembic_rescue.dialects.postgresql.catalog_sources import FIRST_OF_USERS, HINTS, WHOLE
from alembic_rescue.dialects.postgresql.session import Cursor, transaction
from alembic_rescue.evidence.observation import Change

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_OLDEST = "SELECT (txid_snapshot_xmin(txid_current_snapshot()) & 4294967295)::text"
_DEPENDENTS = """
WITH RECURSIVE d(c, o) AS (
  VALUES {start}
  UNION
  SELECT f.c, f.o FROM d CROSS JOIN LATERAL (
    SELECT p.classid AS c, p.objid AS o FROM pg_depend p
     WHERE p.refclassid = d.c AND p.refobjid = d.o AND p.deptype <> 'e' AND p.classid <> 0
    UNION ALL
    SELECT 'pg_class'::regclass::oid, w.ev_class FROM pg_rewrite w
     WHERE d.c = 'pg_rewrite'::regclass AND w.oid = d.o
  ) f
)
SELECT c::regclass::text, o::text FROM d
"""
"""What depends on the objects to begin with; a view depends on what its rule depends on."""
_NAMING = frozenset({"pg_namespace", "pg_authid", "pg_extension", "pg_database"})
"""What is named in the texts of much that does not depend on it, or of all that does."""
_REWRITTEN = frozenset({"pg_class", "pg_attribute"})
"""Whose rows the server also writes anew for reasons of storage alone."""


@dataclass(frozen=True)
class _Track:
    """Rows whose coming, changing and going is looked for."""

    source: str
    key: str
    unit: str
    """SQL: the catalog and the oid of what is to be read anew, with a blank between."""
    own: str
    """Which rows are counted, so that their going is found.  ``false``: they go with something else."""


def dependents(cursor: Cursor, addresses: Collection[Address]) -> set[Address]:
    """The objects at `addresses`, and all that depends on them by ``pg_depend``."""
    if not addresses:
        return set()
    start = ", ".join(f"('{catalog}'::regclass::oid, {oid}::oid)" for catalog, oid in sorted(addresses))
    return set(cursor.rows(_DEPENDENTS.format(start=start)))


class CatalogWatch:
    """Follows the catalogs of one database; see `alembic_rescue.dialects.base.Watch`."""

    def __init__(self, connection: Connection, queries: Queries) -> None:
        self._queries = queries
        self._tracks = tuple(_tracks(queries))
        self._always = {(source.known_as, WHOLE) for source in queries.sources if source.whole}
        with transaction(connection, _BEGIN) as cursor:
            self._since = cursor.value(_OLDEST)
            self._units = _by_unit(_kept(read(cursor, queries)))
            for unit, rows in _by_unit(
                read(cursor, queries, selection_of(self._always))
            ).items():  # those that are read whole
                self._units[unit] = rows
            self._keys = [self._listed(cursor, track) for track in self._tracks]
            self._usual = self._privileges(cursor)

    def step(self, connection: Connection) -> tuple[tuple[Change, ...], Renames]:
        """What has changed since the last call; see `alembic_rescue.dialects.base.Watch`."""
        with transaction(connection, _BEGIN) as cursor:
            oldest = cursor.value(_OLDEST)
            touched = self._touched(cursor)
            self._since = oldest
            spreading = {address for address in touched if address[0] not in _NAMING}
            selected = touched | dependents(cursor, spreading) | self._always
            after = _by_unit(read(cursor, self._queries, selection_of(selected)))
            before = {unit: self._units[unit] for unit in {*selected, *after} if unit in self._units}
            if _renamed(before, after, _NAMING):
                after = _by_unit(_kept(read(cursor, self._queries))) | {
                    unit: rows for unit, rows in after.items() if unit[1] == WHOLE
                }
                before = dict(self._units)
            extended = any(catalog == "pg_extension" for catalog, _ in touched)
            after = self._own(after, set() if extended else touched)
            if extended:
                self._usual = self._privileges(cursor)
        for unit in before:
            del self._units[unit]
        before = {
            unit: {**self._delivered(rows, before.get(unit, {})), **before.get(unit, {})}
            for unit, rows in after.items()
        } | {unit: rows for unit, rows in before.items() if unit not in after}
        self._units.update({unit: rows for unit, rows in after.items() if rows})
        return _changes(before, after), _renamed(before, after)

    def _touched(self, cursor: Cursor) -> set[Address]:
        new = f"age(x.xmin) <= age('{self._since}'::xid)"
        counted = cursor.rows(
            " UNION ALL ".join(
                f"SELECT {number}, count(*) FILTER (WHERE {track.own}),"
                f" string_agg(({track.key})::text || ' ' || {track.unit}, ',') FILTER (WHERE {new}) FROM {track.source}"
                for number, track in enumerate(self._tracks)
            )
        )
        touched: set[Address] = set()
        for number, count, listed in counted:
            track, keys = self._tracks[number], self._keys[number]
            found = _split(listed)
            touched.update(found.values())
            if track.own == "false":
                continue
            if found or count != len(keys):
                self._keys[number] = current = self._listed(cursor, track)
                touched.update(unit for key, unit in keys.items() if key not in current)
        return touched

    def _listed(self, cursor: Cursor, track: _Track) -> dict[str, Address]:
        if track.own == "false":
            return {}
        return _split(
            cursor.value(
                f"SELECT string_agg(({track.key})::text || ' ' || {track.unit}, ',')"
                f" FROM {track.source} {'AND' if ' WHERE ' in track.source else 'WHERE'} {track.own}"
            )
        )

    def _privileges(self, cursor: Cursor) -> dict[Address, dict[str, str]]:
        return {
            (catalog, key): {f"privileges of {role}": held for role, held in json.loads(words or "{}").items()}
            for source in self._queries.sources
            for catalog, key, words in cursor.rows(self._queries.privileges(source))
        }

    def _own(
        self, units: Mapping[Address, Mapping[Address, Row]], touched: Collection[Address]
    ) -> dict[Address, dict[Address, Row]]:
        """Leave out what came with the server or an extension, but for what was touched and what is known by now."""
        return {
            unit: {
                address: row
                for address, row in rows.items()
                if not row.delivered
                or unit[1] == WHOLE
                or address in self._units.get(unit, ())
                or (unit in touched and self._as_delivered(address, row) is not None)
            }
            for unit, rows in units.items()
        }

    def _delivered(self, rows: Mapping[Address, Row], known: Collection[Address]) -> dict[Address, Row]:
        return {
            address: before
            for address, row in rows.items()
            if row.delivered and address not in known and address[1] != WHOLE and row.unit[1] != WHOLE
            if (before := self._as_delivered(address, row))
        }

    def _as_delivered(self, address: Address, row: Row) -> Row | None:
        """What an object of the server's or of an extension's was before it was touched, as far as that is known.

        Privileges are; of others only that it was there.  None: nothing of it has changed.
        """
        facts = {name: value for name, value in row.facts.items() if not name.startswith("privileges of ")}
        facts |= self._usual.get(address, {})
        if facts == row.facts:
            if address[0] in _REWRITTEN:
                return None
            facts = {}
        return Row(row.object, facts, row.delivered, row.unit)


def _tracks(queries: Queries) -> Iterable[_Track]:
    for source in queries.sources:
        if source.whole:
            continue
        catalog, key = source.selected_by or (source.known_as, source.key)
        own = "false" if source.selected_by else source.own
        yield _Track(f"{source.catalog} x", source.key, f"'{catalog} ' || {key}", own)
    for part in queries.parts:
        yield _Track(
            f"{part.catalog} x{_only_joins(part.joins)} WHERE {part.where}",
            part.key,
            f"({part.catalog_of_owner})::oid::regclass || ' ' || {part.owner}",
            f"{part.owner} >= {FIRST_OF_USERS}",
        )
    for hint in HINTS:
        yield _Track(
            f"{hint.catalog} x{hint.joins} WHERE {hint.where}",
            hint.key,
            f"{hint.owner_catalog} || ' ' || {hint.owner}",
            "true" if hint.catalog == "pg_depend" else "false",
        )


def _only_joins(joins: str) -> str:
    """Without the functions that name what is referred to."""
    return joins.partition(", pg_identify_object")[0]


def _split(listed: str | None) -> dict[str, Address]:
    found: dict[str, Address] = {}
    for entry in (listed or "").split(",") if listed else ():
        key, catalog, oid = entry.rsplit(" ", 2)
        found[key] = (catalog, oid)
    return found


def selection_of(addresses: Iterable[Address]) -> dict[str, set[str]]:
    """The same addresses by catalog."""
    selection: dict[str, set[str]] = defaultdict(set)
    for catalog, oid in addresses:
        selection[catalog].add(oid)
    return selection


def _kept(rows: Mapping[Address, Row]) -> dict[Address, Row]:
    return {address: row for address, row in rows.items() if not row.delivered}


def _by_unit(rows: Mapping[Address, Row]) -> dict[Address, dict[Address, Row]]:
    units: dict[Address, dict[Address, Row]] = defaultdict(dict)
    for address, row in rows.items():
        units[row.unit][address] = row
    return dict(units)


Units = Mapping[Address, Mapping[Address, Row]]


def _flat(units: Units) -> dict[Address, Row]:
    return {address: row for rows in units.values() for address, row in rows.items()}


def _changes(before: Units, after: Units) -> tuple[Change, ...]:
    old = {row.object: row.facts for row in _flat(before).values()}
    new = {row.object: row.facts for row in _flat(after).values()}
    return tuple(
        Change(found, old.get(found), new.get(found))
        for found in sorted({*old, *new})
        if old.get(found) != new.get(found)
    )


def _renamed(before: Units, after: Units, catalogs: Collection[str] | None = None) -> Renames:
    old, new = _flat(before), _flat(after)
    return tuple(
        sorted(
            (old[address].object, new[address].object)
            for address in old.keys() & new.keys()
            if old[address].object != new[address].object and (catalogs is None or address[0] in catalogs)
        )
    )
