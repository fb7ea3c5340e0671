"""Tables with names derived from the date on which a revision ran, such as monthly partitions.  Pure.

A chain that runs today creates other tables than it did in production.  They count as the same under another name if
only one revision creates such names; if several do, the date cannot tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from alembic_rescue.evidence.names import bare
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts, Observation, Unread
from alembic_rescue.evidence.positions import Positions, Step

_TABLES = frozenset(["table", "partitioned table"])
_YEAR = r"(?<!\d)(?P<year>20\d\d)"
_PERIODS = [
    re.compile(f"{_YEAR}{rest}(?!\\d)", re.IGNORECASE)
    for rest in (
        r"(?P<before>[_-]?)(?P<letter>m?)(?P<number>\d\d?)(?P<between>[_-]?d?)(?P<day>\d\d)",
        r"(?P<before>[_-]?)(?P<letter>[mqw]?)(?P<number>\d\d?)",
        "",
    )
]
"""A day, then a month, quarter or week, then a year: ``2026_11_26``, ``y2026m11``, ``202611``, ``2026_w48``."""
_BACK, _AHEAD = timedelta(days=1500), timedelta(days=400)
"""How far around the date in one name to look for the others."""
_LONGEST_AHEAD = timedelta(days=800)
_BOUND = "partition bound"
REASON = "its name depends on the date when the revision ran, and more than one revision creates such names"


class _Named(NamedTuple):
    """A name that contains a date."""

    start: str
    period: str
    end: str
    first: date
    """The first day of the period."""
    parts: Mapping[str, str]
    """How the period is written."""

    @property
    def pattern(self) -> object:
        """Equal for all names that differ only in their dates."""
        signs = tuple(part for part in self.parts.values() if not part.isdigit())
        return self.start, self.end, signs, "day" in self.parts

    def on(self, day: date) -> str:
        """Return the period that contains another day, written like this one."""
        letter, number = self.parts.get("letter", ""), self.parts.get("number")
        year, week, _ = day.isocalendar()
        if number is None:
            return f"{day.year}"
        if letter.lower() != "w":
            year, week = day.year, (day.month + 2) // 3 if letter.lower() == "q" else day.month
        text = f"{year}{self.parts['before']}{letter}{week:0{len(number)}}"
        return f"{text}{self.parts['between']}{day.day:02}" if "day" in self.parts else text


def year_in(catalog_object: CatalogObject, today: date) -> str | None:
    """Return the year in a table's name, if its date is near `today`: unless code spells it, it comes from today."""
    named = _named(bare(catalog_object)) if catalog_object.kind in _TABLES else None
    near = named is not None and today - _AHEAD <= named.first <= today + _LONGEST_AHEAD
    return named.parts["year"] if named is not None and near else None


def looked_for(steps: Iterable[Step]) -> frozenset[CatalogObject]:
    """Return the names that such tables may have elsewhere."""
    found = set[str]()
    for table in (table for step in steps if isinstance(step, Observation) for table in step.by_date):
        named = _named(bare(table))
        if named is not None:
            days = (named.first + timedelta(days=day) for day in range(-_BACK.days, _AHEAD.days))
            found.update(table.name.replace(named.period, period) for period in {named.on(day) for day in days})
    return frozenset(CatalogObject("", name) for name in found)


def as_known(
    positions: Positions, catalog: Catalog, untouched: Collection[CatalogObject]
) -> tuple[Catalog, Mapping[CatalogObject, CatalogObject], tuple[Unread, ...]]:
    """Return the live catalog with such tables under the names that the chain gave them.

    Returns:
        That catalog, the tables and their real names, and the tables that cannot be identified.
    """
    if not positions.by_date:
        return catalog, {}, ()
    makers: dict[object, set[int]] = {}
    for table, position in positions.by_date.items():
        makers.setdefault(_key(table), set()).add(position)
    elsewhere = {_key(one) for one in untouched if one.kind in _TABLES}
    there: dict[object, list[CatalogObject]] = {}
    for one in sorted(o for o in catalog if o.kind in _TABLES and o not in positions.objects):
        there.setdefault(_key(one), []).append(one)
    found, names, unclear = dict(catalog), dict[CatalogObject, CatalogObject](), list[Unread]()
    for table in positions.by_date:
        key = _key(table)
        other = next((one for one in there.get(key, ()) if one.kind == table.kind), None)
        if table in catalog or other is None:
            continue
        if len(makers[key]) > 1 or key in elsewhere:
            unclear.append(Unread(table, REASON))
            continue
        names[table] = other
        found.update(_under_its_name(positions, catalog, table, other))
    return found, names, tuple(unclear)


def _under_its_name(
    positions: Positions, catalog: Catalog, table: CatalogObject, other: CatalogObject
) -> Iterator[tuple[CatalogObject, Facts]]:
    """Yield the other table and its parts, as they would be under the wanted table's name."""
    ours, theirs = _named(bare(table)), _named(bare(other))
    if ours is None or theirs is None:
        return
    for one in positions.objects:
        if one != table and one.parent != table.name and bare(table) not in one.name:
            continue
        there = CatalogObject(one.kind, *(text.replace(ours.period, theirs.period) for text in (one.name, one.parent)))
        if there in catalog:
            facts = {fact: text.replace(theirs.period, ours.period) for fact, text in catalog[there].items()}
            last = [state for *_, state in positions.spans(one) if state is not None][-1]
            yield one, {**facts, _BOUND: last[_BOUND]} if _BOUND in facts and _BOUND in last else facts


def _key(table: CatalogObject) -> object:
    named = _named(bare(table))
    return None if named is None else (table.name.rpartition(bare(table))[0], named.pattern)


def _named(name: str) -> _Named | None:
    for pattern in _PERIODS:
        found = pattern.search(name)
        if found is not None:
            parts = {part: text for part, text in found.groupdict().items() if text is not None}
            first = _first_day(**parts)
            if first is not None:
                return _Named(name[: found.start()], found[0], name[found.end() :], first, parts)
    return None


def _first_day(year: str, letter: str = "", number: str = "1", day: str = "1", **_: str) -> date | None:
    try:
        if letter.lower() == "w":
            return date.fromisocalendar(int(year), int(number), 1)
        return date(int(year), 3 * int(number) - 2 if letter.lower() == "q" else int(number), int(day))
    except ValueError:
        return None
