"""Which objects were touched: by the transaction ids of the catalogs' rows, and by how many rows there are."""

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
"""No transaction before this one has anything left to commit."""
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
_NEVER = "false"


def dependents(cursor: Cursor, addresses: Collection[Address]) -> set[Address]:
    """The objects at `addresses`, and all that depends on them by ``pg_depend``."""
    if not addresses:
        return set()
    start = ", ".join(f"('{catalog}'::regclass::oid, {oid}::oid)" for catalog, oid in sorted(addresses))
    return set(cursor.rows(_DEPENDENTS.format(start=start)))


@dataclass
class _Track:
    """Rows whose coming, changing and going is looked for."""

    catalog: str
    joins: str
    where: str
    key: str
    unit: str
    """SQL: the catalog and the oid of what is to be read anew, with a blank between."""
    own: str
    """Which rows are counted, so that their going is found.  ``false``: they go with something else."""
    known: dict[str, Address] = field(default_factory=dict)
    """What is to be read anew, by the keys of the rows that are counted."""

    def query(self, number: int, new: str) -> str:
        """How many rows are counted, those among them that are new, and the other new ones."""
        entry = f"string_agg(({self.key})::text || ' ' || {self.unit}, ',')"
        return (
            f"SELECT {number}, count(*) FILTER (WHERE {self.own}), {entry} FILTER (WHERE {self.own} AND {new}),"
            f" {entry} FILTER (WHERE {new} AND NOT {self.own})"
            f" FROM {self.catalog} x{self.joins} WHERE {self.where}"
        )


class Touched:
    """Remembers where the catalogs stood."""

    def __init__(self, cursor: Cursor, queries: Queries) -> None:
        self._tracks = tuple(_tracks(queries))
        self._catalogs = sorted({track.catalog for track in self._tracks})
        self._since = cursor.value(_OLDEST)
        self._counts = {catalog: count for catalog, count, _ in self._counted(cursor)}
        for number, _, own, _ in self._asked(cursor, self._tracks, "true"):
            self._tracks[number].known = _entries(own)

    def since_then(self, cursor: Cursor) -> set[Address]:
        """What was touched since the last call, or is gone."""
        oldest = cursor.value(_OLDEST)
        moved = set()
        for catalog, count, new in self._counted(cursor):
            if new or count != self._counts[catalog]:
                moved.add(catalog)
            self._counts[catalog] = count
        touched: set[Address] = set()
        tracks = [track for track in self._tracks if track.catalog in moved]
        for number, count, own, others in self._asked(cursor, tracks, self._new) if tracks else ():
            track = self._tracks[number]
            found = _entries(own)
            track.known.update(found)
            if count != len(track.known):
                ((_, _, listed, _),) = self._asked(cursor, [track], "true")
                current = _entries(listed)
                touched.update(unit for key, unit in track.known.items() if key not in current)
                track.known = current
            touched.update(found.values(), _entries(others).values())
        self._since = oldest
        return touched

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

    def _asked(self, cursor: Cursor, tracks: Iterable[_Track], new: str) -> list[tuple[int, int, str, str]]:
        numbers = {id(track): number for number, track in enumerate(self._tracks)}
        return cursor.rows(" UNION ALL ".join(track.query(numbers[id(track)], new) for track in tracks))


def _tracks(queries: Queries) -> Iterator[_Track]:
    for source in queries.sources:
        if not source.whole:
            key = source.selected_by[1] if source.selected_by else source.key
            own = _NEVER if source.selected_by else source.own
            yield _Track(source.catalog, "", "true", source.key, f"'{source.read_with} ' || {key}", own)
    for part in queries.parts:
        joins = part.joins.partition(", pg_identify_object")[0]  # without what only gives names
        unit = f"({part.catalog_of_owner})::oid::regclass || ' ' || {part.owner}"
        yield _Track(part.catalog, joins, part.where, part.key, unit, part.own)
    for hint in HINTS:
        unit = f"{hint.owner_catalog} || ' ' || {hint.owner}"
        own = "true" if hint.catalog == "pg_depend" else _NEVER
        yield _Track(hint.catalog, hint.joins, hint.where, hint.key, unit, own)


def _entries(listed: str | None) -> dict[str, Address]:
    found: dict[str, Address] = {}
    for entry in listed.split(",") if listed else ():
        key, catalog, oid = entry.rsplit(" ", 2)
        found[key] = (catalog, oid)
    return found


def selection_of(addresses: Iterable[Address]) -> dict[str, set[str]]:
    """The same addresses by catalog."""
    selection: dict[str, set[str]] = defaultdict(set)
    for catalog, oid in addresses:
        selection[catalog].add(oid)
    return selection
