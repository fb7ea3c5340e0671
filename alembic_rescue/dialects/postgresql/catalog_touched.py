"""Find the objects that were touched, by the transaction ids of the catalogs' rows and by the number of rows."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.catalog_parts import HINTS
from alembic_rescue.dialects.postgresql.catalog_query import Queries
from alembic_rescue.dialects.postgresql.catalog_rows import Address

_OLDEST = "SELECT (txid_snapshot_xmin(txid_current_snapshot()) & 4294967295)::text"
"""All transactions before this one have ended."""
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
"""The start objects and all that depend on them; a view depends on what its rule depends on."""
_NEVER = "false"
Rows = dict[tuple[str, str], Address]
"""What to read again, by the keys of rows and the transactions that wrote them."""


def dependents(cursor: Cursor, addresses: Collection[Address]) -> set[Address]:
    """Return the objects at `addresses` and all that depend on them by ``pg_depend``."""
    if not addresses:
        return set()
    start = ", ".join(f"('{catalog}'::regclass::oid, {oid}::oid)" for catalog, oid in sorted(addresses))
    return set(cursor.rows(_DEPENDENTS.format(start=start)))


@dataclass
class _Track:
    """Rows that are watched for insertion, change and deletion."""

    catalog: str
    joins: str
    where: str
    key: str
    unit: str
    """SQL for the catalog and the oid of what to read again, separated by a space."""
    own: str
    """The condition for rows that are counted, to detect deletion.  ``false``: they are deleted with another row."""
    known: dict[str, Address] = field(default_factory=dict)
    """What to read again, by the keys of the counted rows."""

    def query(self, number: int, new: str) -> str:
        """Return SQL for the number of counted rows, the new ones among them, and the other new rows."""
        entry = f"string_agg(({self.key})::text || ' ' || x.xmin || ' ' || {self.unit}, ',')"
        return (
            f"SELECT {number}, count(*) FILTER (WHERE {self.own}), {entry} FILTER (WHERE {self.own} AND {new}),"
            f" {entry} FILTER (WHERE {new} AND NOT {self.own})"
            f" FROM {self.catalog} x{self.joins} WHERE {self.where}"
        )


class Touched:
    """Remembers the state of the catalogs."""

    def __init__(self, cursor: Cursor, queries: Queries) -> None:
        self._tracks = tuple(_tracks(queries))
        self._catalogs = sorted({track.catalog for track in self._tracks})
        self._since = cursor.value(_OLDEST)
        counted = self._counted(cursor)
        self._counts = {catalog: count for catalog, count, _ in counted}
        for number, _, own, _ in self._asked(cursor, self._tracks, "true"):
            self._tracks[number].known = _by_key(_entries(own))
        self._young: dict[int, Rows] = {
            number: _entries(own) | _entries(others)
            for number, _, own, others in self._asked(cursor, self._of({c for c, _, new in counted if new}), self._new)
        }
        """Rows that look new, by track, but were reported already or existed before.

        While any transaction on the server is open, all that was committed since it began looks new.
        """

    def since_then(self, cursor: Cursor) -> set[Address]:
        """Return what was touched or deleted since the last call."""
        oldest = cursor.value(_OLDEST)
        moved = set()
        for catalog, count, new in self._counted(cursor):
            if new or count != self._counts[catalog]:
                moved.add(catalog)
            self._counts[catalog] = count
        touched: set[Address] = set()
        young: dict[int, Rows] = {}
        for number, count, own, others in self._asked(cursor, self._of(moved), self._new):
            track = self._tracks[number]
            found = _entries(own)
            track.known.update(_by_key(found))
            if count != len(track.known):
                ((_, _, listed, _),) = self._asked(cursor, [track], "true")
                current = _by_key(_entries(listed))
                touched.update(unit for key, unit in track.known.items() if key not in current)
                track.known = current
            young[number] = found | _entries(others)
            known = self._young.get(number, {})
            touched.update(unit for row, unit in young[number].items() if row not in known)
        self._since, self._young = oldest, young
        return touched

    def _of(self, catalogs: Collection[str]) -> list[_Track]:
        return [track for track in self._tracks if track.catalog in catalogs]

    @property
    def _new(self) -> str:
        return f"age(x.xmin) <= age('{self._since}'::xid)"

    def _counted(self, cursor: Cursor) -> list[tuple[str, int, int]]:
        return cursor.rows(
            " UNION ALL ".join(
                f"SELECT '{catalog}', count(*), count(*) FILTER (WHERE {self._new}) FROM {catalog} x"
                for catalog in self._catalogs
            )
        )

    def _asked(self, cursor: Cursor, tracks: Collection[_Track], new: str) -> list[tuple[int, int, str, str]]:
        if not tracks:
            return []
        numbers = {id(track): number for number, track in enumerate(self._tracks)}
        return cursor.rows(" UNION ALL ".join(track.query(numbers[id(track)], new) for track in tracks))


def _tracks(queries: Queries) -> Iterator[_Track]:
    for source in queries.sources:
        if not source.whole:
            key = source.selected_by[1] if source.selected_by else source.key
            own = _NEVER if source.selected_by else source.own
            yield _Track(source.catalog, "", "true", source.key, f"'{source.read_with} ' || {key}", own)
    for part in queries.parts:
        joins = part.joins.partition(", pg_identify_object")[0]  # without the joins that only provide names
        unit = f"({part.catalog_of_owner})::oid::regclass || ' ' || {part.owner}"
        yield _Track(part.catalog, joins, part.where, part.key, unit, part.own)
    for hint in HINTS:
        unit = f"{hint.owner_catalog} || ' ' || {hint.owner}"
        own = "true" if hint.catalog == "pg_depend" else _NEVER
        yield _Track(hint.catalog, hint.joins, hint.where, hint.key, unit, own)


def _entries(listed: str | None) -> Rows:
    found: Rows = {}
    for entry in listed.split(",") if listed else ():
        key, written_by, catalog, oid = entry.rsplit(" ", 3)
        found[key, written_by] = (catalog, oid)
    return found


def _by_key(rows: Rows) -> dict[str, Address]:
    return {key: unit for (key, _), unit in rows.items()}


def selection_of(addresses: Iterable[Address]) -> dict[str, set[str]]:
    """Group addresses by catalog."""
    selection: dict[str, set[str]] = defaultdict(set)
    for catalog, oid in addresses:
        selection[catalog].add(oid)
    return selection
