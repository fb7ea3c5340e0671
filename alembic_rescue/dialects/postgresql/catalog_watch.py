"""Follow the catalogs of a scratch database: read again only what was touched and what depends on it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.base import Renames
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.catalog_query import Queries
from alembic_rescue.dialects.postgresql.catalog_rows import Address, Row, read
from alembic_rescue.dialects.postgresql.catalog_shape import WHOLE
from alembic_rescue.dialects.postgresql.catalog_touched import Touched, dependents, selection_of
from alembic_rescue.dialects.postgresql.session import transaction
from alembic_rescue.dialects.postgresql.statements import kind_of
from alembic_rescue.evidence.observation import CatalogObject, Change, StatementKind

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_NAMING = frozenset({"pg_namespace", "pg_authid", "pg_extension"})
"""Catalogs whose names appear in the texts of many objects that do not depend on them, or of all that do."""
_REWRITTEN = frozenset({"pg_class", "pg_attribute"})
"""Catalogs whose rows the server also rewrites for storage reasons alone."""

_OF_THE_SERVER = frozenset({"role", "role membership"})
_RUNS_OTHERS = re.compile(r"\b(DO|CALL|EXECUTE)\b", re.IGNORECASE)
"""Words of a statement that may run other, unknown statements."""
_BETWEEN_ROLES = re.compile(" in | by ")

Units = dict[Address, dict[Address, Row]]
"""The objects that were read, by the unit that they are read with."""


class CatalogWatch:
    """Follows the catalogs of one database; see `alembic_rescue.dialects.base.Watch`."""

    def __init__(self, connection: Connection, queries: Queries) -> None:
        self._queries = queries
        self._always = {(source.known_as, WHOLE) for source in queries.sources if source.whole}
        with transaction(connection, _BEGIN) as cursor:
            self._touched = Touched(cursor, queries)
            self._units = self._all(cursor)
            self._named = _Named(self._units.values())
            self._usual = self._privileges(cursor)

    def step(self, connection: Connection, sent: Collection[str] | None = None) -> tuple[tuple[Change, ...], Renames]:
        """Return what has changed since the last call; see `alembic_rescue.dialects.base.Watch`."""
        with transaction(connection, _BEGIN) as cursor:
            touched = self._touched.since_then(cursor)
            spreading = {address for address in touched if address[0] not in _NAMING}
            selected = touched | dependents(cursor, spreading) | self._always
            after = _by_unit(read(cursor, self._queries, selection_of(selected)))
            before = {unit: self._units[unit] for unit in selected | after.keys() if unit in self._units}
            if _names_moved(before, after):
                before = self._units
                known = {unit: rows for unit, rows in before.items() if all(row.delivered for row in rows.values())}
                after = known | after | self._all(cursor)
            if any(catalog == "pg_extension" for catalog, _ in touched):
                touched = set()  # everything else that was touched belongs to the extension
                self._usual = self._privileges(cursor)
        after = {unit: self._told(unit, rows, touched) for unit, rows in after.items()}
        before = {unit: before.get(unit, {}) for unit in before.keys() | after.keys()}
        before = {unit: self._as_delivered(after.get(unit, {})) | rows for unit, rows in before.items()}
        for unit in before:
            self._named.remove(self._units.pop(unit, {}))
        for unit in before:
            if rows := after.get(unit):
                self._units[unit] = rows
                self._named.add(rows)
        changes = (change for change in _changes(before, after) if sent is None or _may_be_of(change, sent))
        return tuple(changes), _renames(before, after)

    def there(self, _: Connection, objects: Collection[CatalogObject]) -> Collection[CatalogObject]:
        """Return the objects with these names at the last step, and what belongs to them."""
        found = self._named.by({name for one in objects for name in (one.name, one.parent) if name})
        parts = self._named.within({one.name for one in found})
        return found | parts | self._named.within({one.name for one in parts})

    def _all(self, cursor: Cursor) -> Units:
        own = {address: row for address, row in read(cursor, self._queries).items() if not row.delivered}
        return _by_unit(own) | _by_unit(read(cursor, self._queries, selection_of(self._always)))

    def _privileges(self, cursor: Cursor) -> dict[Address, dict[str, str]]:
        """Read the privileges of built-in and extension objects, to detect later changes to them."""
        return {
            (catalog, key): {f"privileges of {role}": held for role, held in json.loads(words or "{}").items()}
            for source in self._queries.sources
            for catalog, key, words in cursor.rows(self._queries.privileges(source))
        }

    def _told(self, unit: Address, rows: Mapping[Address, Row], touched: Collection[Address]) -> dict[Address, Row]:
        """Leave out built-in and extension objects, except those that were touched or are known already."""
        known = self._units.get(unit, {})
        return {
            address: row
            for address, row in rows.items()
            if not row.delivered
            or unit[1] == WHOLE
            or address in known
            or (unit in touched and self._usual_facts(address, row) != row.facts)
        }

    def _as_delivered(self, rows: Mapping[Address, Row]) -> dict[Address, Row]:
        return {
            address: Row(row.object, self._usual_facts(address, row), row.delivered, row.unit)
            for address, row in rows.items()
            if row.delivered and row.unit[1] != WHOLE
        }

    def _usual_facts(self, address: Address, row: Row) -> dict[str, str]:
        """Return the facts of a built-in or extension object before it was touched.

        Only its privileges are known; if they are unchanged, only that it existed.
        """
        facts = {name: value for name, value in row.facts.items() if not name.startswith("privileges of ")}
        facts |= self._usual.get(address, {})
        return {} if facts == row.facts and address[0] not in _REWRITTEN else facts


class _Named:
    """The objects of some units, by name."""

    def __init__(self, units: Iterable[Mapping[Address, Row]]) -> None:
        self._by: dict[str, set[CatalogObject]] = defaultdict(set)
        self._within: dict[str, set[CatalogObject]] = defaultdict(set)
        for rows in units:
            self.add(rows)

    def add(self, rows: Mapping[Address, Row]) -> None:
        """Add the objects of a unit."""
        for row in rows.values():
            self._by[row.object.name].add(row.object)
            self._within[_owner(row)].add(row.object)

    def remove(self, rows: Mapping[Address, Row]) -> None:
        """Remove the objects of a unit."""
        for row in rows.values():
            self._by[row.object.name].discard(row.object)
            self._within[_owner(row)].discard(row.object)

    def by(self, names: Iterable[str]) -> set[CatalogObject]:
        """Return the objects with one of these names."""
        return {one for name in names for one in self._by.get(name, ())}

    def within(self, parents: Iterable[str]) -> set[CatalogObject]:
        """Return the objects that belong to something with one of these names."""
        return {one for name in parents for one in self._within.get(name, ())}


def _owner(row: Row) -> str:
    """Return the name of what an object belongs to: for a column's sequence, the column."""
    return row.object.parent or row.facts.get("owned by", "")


def _may_be_of(change: Change, sent: Collection[str]) -> bool:
    """Whether these statements may have made the change: roles are server-wide, and others may use the server too."""
    if change.object.kind not in _OF_THE_SERVER:
        return True
    roles = [role.strip('"') for role in _BETWEEN_ROLES.split(change.object.name)[:2]]
    if change.after is not None:
        del roles[:-1]  # keep the granted role; a lost membership may have been dropped with its member
    return any(_RUNS_OTHERS.search(sql) or kind_of(sql) is StatementKind.DATA for sql in sent) or any(
        role in sql for role in roles for sql in sent
    )


def _by_unit(rows: Mapping[Address, Row]) -> Units:
    units: Units = defaultdict(dict)
    for address, row in rows.items():
        units[row.unit][address] = row
    return dict(units)


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


def _renames(before: Units, after: Units) -> Renames:
    old, new = _flat(before), _flat(after)
    pairs = ((old[address].object, new[address].object) for address in old.keys() & new.keys())
    return tuple(sorted(pair for pair in pairs if pair[0] != pair[1]))


def _names_moved(before: Units, after: Units) -> bool:
    """Whether something was renamed or moved whose name is in the texts of objects that may not depend on it."""
    old, new = _flat(before), _flat(after)
    return any(
        address[0] in _NAMING
        and (old[address].object, old[address].facts.get("extnamespace"))
        != (new[address].object, new[address].facts.get("extnamespace"))
        for address in old.keys() & new.keys()
    )
