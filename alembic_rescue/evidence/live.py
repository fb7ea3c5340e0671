"""The live database, compared with the positions of a chain.  Pure.

Also resolves names that differ: a constraint that is the same under another name, and an object that has the new name
of a rename while the old one still exists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Optional

from alembic_rescue.evidence import dated, numbering
from alembic_rescue.evidence.names import by_bare_name, column_of
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts, Reading, Unread
from alembic_rescue.evidence.positions import Positions, is_circumstance

Answer = Optional[bool]
"""Whether two things are the same; None if that cannot be determined."""

TEXTS = frozenset(["definition", "default", "using", "with check", "partition bound", "partition key", "prqual"])
"""Facts that are expressions; the server may spell them differently after a dump and restore, or in another version."""


class Text(NamedTuple):
    """A fact that the live database spells unlike any position of the chain, with the text at one of them."""

    object: CatalogObject
    fact: str
    scratch: str
    live: str


_SINCE_17 = "MAINTAIN"
_ALL_BEFORE_17 = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

Settled = Mapping[Text, Answer]
"""The server's answer for two texts, once it has loaded both: whether they are the same; None if one fails to load."""


class _Voice(NamedTuple):
    """One object's vote against some positions."""

    object: CatalogObject
    revision: int
    """The revision that has run, or has not, judging by the object."""
    start: int
    end: int
    facts: int
    """How many more of its facts differ there."""


class Live:
    """What a reading contains of the objects of a range, under the names that the range knows."""

    def __init__(
        self,
        positions: Positions,
        reading: Reading,
        settled: Settled,
        untouched: Collection[CatalogObject] = (),
    ) -> None:
        self._positions = positions
        self._settled = settled
        self._untouched = untouched
        catalog, by_date, unclear = dated.as_known(positions, reading.catalog, untouched)
        self._unread = {unread.object: unread for unread in (*reading.unread, *unclear)}
        self._unread_names = {found.name: unread for found, unread in self._unread.items()}
        self._parents = {o.name: o.parent for o in (*positions.objects, *reading.catalog) if o.parent}
        catalog, self.numbered = numbering.as_known(positions, catalog)
        self.impostors = dict(_impostors(positions, catalog))
        """Objects under a rename's new name while the old one still exists, each mapped to the old one."""
        taken = {new.name for new in self.impostors}
        self._catalog = {o: facts for o, facts in catalog.items() if o not in self.impostors and o.parent not in taken}
        self.known_as = dict(_aliases(positions, self._catalog, untouched))
        """Objects under another name (constraints, column sequences, monthly partitions), mapped to the live one."""
        self._catalog.update({o: self._catalog[other] for o, other in self.known_as.items()})
        self.known_as.update(by_date)
        self._names = {o.name for o in self._catalog}
        self._labels = _labels(positions)

    @cached_property
    def by_name(self) -> dict[str, list[CatalogObject]]:
        """The objects that count as existing, by bare name."""
        return by_bare_name(self._catalog)

    @cached_property
    def untouched_by_name(self) -> dict[str, list[CatalogObject]]:
        """The other objects of the scratch database, by bare name."""
        return by_bare_name(self._untouched)

    def facts(self, catalog_object: CatalogObject) -> Facts | None:
        """Return the live database's facts about it; None if it does not exist."""
        return self._catalog.get(catalog_object)

    def unread(self, catalog_object: CatalogObject) -> Unread | None:
        """Return why it could not be read, on its own or with the object that it belongs to; None if it was."""
        if (unread := self._unread.get(catalog_object)) is not None:
            return unread
        name, seen = catalog_object.parent, set[str]()
        while name and name not in seen:
            if name in self._unread_names:
                return self._unread_names[name]
            seen.add(name)
            name = self._parents.get(name, "")
        return None

    def has(self, name: str) -> bool:
        """Return whether an object of that full name exists."""
        return name in self._names

    def has_more(self, names: Collection[str]) -> bool:
        """Return whether an object that no revision knows belongs to one of these names."""
        return not self._with_more.isdisjoint(names)

    @cached_property
    def _with_more(self) -> frozenset[str]:
        known = {*self._positions.objects, *self._untouched, *self.known_as.values()}
        return frozenset(o.parent for o in self._catalog if o not in known)

    def same(self, catalog_object: CatalogObject, fact: str, expected: Facts, actual: Facts) -> Answer:
        """Return whether a fact of an existing object is the same as at a position."""
        one, other = expected.get(fact), actual.get(fact)
        if one == other or (fact.endswith(_SINCE_17) and _is_of_all(fact, expected, actual)):
            return True
        if one is None or other is None:
            return False
        if in_lines(one) == in_lines(other):
            return True
        if "nextval(" in other and one == self._with_known_sequences(other):
            return True
        if fact == "labels":
            mine, theirs = labels(one), labels(other)  # each label is an object itself: only the order counts
            return [each for each in mine if each in theirs] == [each for each in theirs if each in mine]
        return self._settled.get(Text(catalog_object, fact, one, other), False)

    def _with_known_sequences(self, text: str) -> str:
        for known, other in self.known_as.items():
            if known.kind == "sequence":
                text = text.replace(f"'{other.name}'", f"'{known.name}'")
        return text

    def more_labels(self, catalog_object: CatalogObject) -> list[str]:
        """Return the labels of an enum that no position knows."""
        known = self._labels.get(catalog_object, frozenset())
        return [label for label in labels((self.facts(catalog_object) or {}).get("labels", "")) if label not in known]

    def later_state(self, found: CatalogObject, position: int) -> int | None:
        """Return the later position that leaves an object exactly as found; None if `position` does, or none."""
        expected, actual = self._positions.at(found, position), self.facts(found)
        if expected is None or actual == expected:
            return None
        if actual is None and not self._is_default_of_what_is_there(found):
            return None
        known = self._positions.facts([found])
        if not self._unexplained(found, expected, known):
            return None
        later = ((start, state) for start, _, state in self._positions.spans(found) if start > position)
        return next(
            (
                start
                for start, state in later
                if (state is None) == (actual is None) and not self._unexplained(found, state, known)
            ),
            None,
        )

    def _is_default_of_what_is_there(self, found: CatalogObject) -> bool:
        column = column_of(found)
        return column is not None and self.has(column)

    def best(self) -> list[int]:
        """Return the positions that explain the live database best, all equally well, in order.

        Each object votes for the states that are most like it, and so against the other positions: there, either a
        revision has run that should not have, or one has not run that should have.  The position with the fewest such
        revisions wins, so that a large missing revision does not outweigh everything after it; among positions with
        equally many, facts decide.
        """
        voices = [voice for o in self._positions.objects if self.unread(o) is None for voice in self._against(o)]
        about: dict[int, list[tuple[int, int]]] = {}
        for voice in voices:
            about.setdefault(voice.revision, []).append((voice.start, voice.end))
        revisions = self._summed((*span, 1) for spans in about.values() for span in _merged(spans))
        facts = self._summed((voice.start, voice.end, voice.facts) for voice in voices)
        return _least(list(zip(revisions, facts, strict=True)))

    def speaks_for(self, ran: Collection[int]) -> dict[int, int]:
        """Return 1 for each step that has run, judging by most of its objects, and -1 for each that has not.

        Args:
            ran: the steps known to have run: an object that fits the states before and after such a step equally well
                counts as after.
        """
        votes: dict[int, int] = {}
        for catalog_object in self._positions.objects:
            if self.unread(catalog_object) is not None:
                continue
            starts, costs = zip(*((start, cost) for start, _, cost in self._costs(catalog_object)), strict=True)
            least = max((number for number, start in enumerate(starts) if start - 1 in ran), default=0)
            alike = _least(costs)
            alike = [number for number in alike if number >= least] or alike
            for number, start in enumerate(starts[1:], start=1):
                if number <= alike[0] or number > alike[-1]:
                    votes[start - 1] = votes.get(start - 1, 0) + (1 if number <= alike[0] else -1)
        return {step: (vote > 0) - (vote < 0) for step, vote in votes.items()}

    def _summed(self, weights: Iterable[tuple[int, int, int]]) -> list[int]:
        """Return, for each position, the sum of the weights whose span contains it."""
        steps = [0] * (self._positions.last + 2)
        for start, end, weight in weights:
            steps[start] += weight
            steps[end + 1] -= weight
        return list(accumulate(steps[:-1]))

    def _against(self, catalog_object: CatalogObject) -> Iterator[_Voice]:
        """Yield an object's votes against the spans whose state is less like it than another's."""
        spans = list(self._costs(catalog_object))
        alike = _least([cost for *_, cost in spans])
        for number, (start, end, cost) in enumerate(spans):
            if number not in alike:
                nearest = min(alike, key=lambda other: abs(other - number))
                revision = spans[number + 1][0] if nearest > number else start
                yield _Voice(catalog_object, revision, start, end, cost - spans[nearest][2])

    def _costs(self, catalog_object: CatalogObject) -> Iterator[tuple[int, int, int]]:
        """Yield the first and last position of each of its states, and how many of its facts differ there."""
        known = self._positions.facts([catalog_object])
        for start, end, state, is_away in self._positions.away(catalog_object):
            # an object that is gone along with its parent counts as part of the parent
            yield start, end, 0 if is_away else self._unexplained(catalog_object, state, known)

    def differing_texts(self) -> Iterator[Text]:
        """Yield the texts that no position has."""
        for catalog_object in self._positions.objects:
            actual = self.facts(catalog_object)
            states = [state for *_, state in self._positions.spans(catalog_object) if state is not None]
            for fact in sorted(TEXTS & (actual or {}).keys()):
                live = (actual or {})[fact]
                scratch = dict.fromkeys(state[fact] for state in states if fact in state)
                if self._positions.counts(catalog_object, fact) and live not in scratch:
                    yield from (Text(catalog_object, fact, text, live) for text in scratch)

    def _unexplained(self, catalog_object: CatalogObject, state: Facts | None, known: Collection[str]) -> int:
        """Return how many of the known facts differ from a state.

        An object that is missing along with its parent counts as part of the parent.
        """
        actual = self.facts(catalog_object)
        if state is None or actual is None:
            if state is actual:
                return 0
            along = actual is None and catalog_object.parent in self._positions.names
            return 0 if along and not self.has(catalog_object.parent) else 1
        return sum(
            self.same(catalog_object, fact, state, actual) is False
            for fact in known
            if self._positions.counts(catalog_object, fact)
        )


def _least(costs: Sequence[int] | Sequence[tuple[int, int]]) -> list[int]:
    """Return the indexes of the lowest costs."""
    least = min(costs)
    return [number for number, cost in enumerate(costs) if cost == least]


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same positions as disjoint spans."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def in_lines(text: str) -> str:
    """Return a text with uniform line endings: a function body written on Windows has others."""
    return text.replace("\r\n", "\n")


def labels(text: str) -> list[str]:
    """Return the labels of an enum, parsed from the fact's text."""
    return [found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')*)'", text)]


def substance(facts: Facts) -> dict[str, str]:
    """Return an object's facts without those that depend on circumstance."""
    return {fact: value for fact, value in facts.items() if not is_circumstance(fact)}


def has_another_name(kind: str) -> bool:
    """Return whether objects of that kind are the same if they say the same about the same table, under any name."""
    return kind == "index" or kind.endswith("constraint")


def _is_owned(catalog_object: CatalogObject, facts: Facts) -> bool:
    """Return whether it is a sequence that belongs to a column; the server picks its name."""
    return catalog_object.kind == "sequence" and "owned by" in facts


def _labels(positions: Positions) -> dict[CatalogObject, frozenset[str]]:
    return {
        o: frozenset(label for *_, state in positions.spans(o) for label in labels((state or {}).get("labels", "")))
        for o in positions.objects
    }


def _is_of_all(fact: str, expected: Facts, actual: Facts) -> bool:
    """Return whether the fact comes from GRANT ALL, to which PostgreSQL 17 added one privilege.

    A server before 17, and one that was upgraded since, has all the others.
    """
    others = [fact.removesuffix(_SINCE_17) + privilege for privilege in _ALL_BEFORE_17]
    alike = [other for other in others if expected.get(other) == actual.get(other)]
    said = sum(other in expected for other in others)  # all but the few that were revoked
    return len(alike) == len(others) and said > len(others) // 2


def _impostors(positions: Positions, catalog: Catalog) -> Iterator[tuple[CatalogObject, CatalogObject]]:
    for old, new in positions.renames:
        if old in catalog and new in catalog and old in positions.objects and new in positions.objects:
            bounds = {start for o in (old, new) for start, _, _ in positions.spans(o)}
            if not any(positions.at(old, p) is not None and positions.at(new, p) is not None for p in bounds):
                yield new, old


def _aliases(
    positions: Positions, catalog: Catalog, untouched: Collection[CatalogObject]
) -> Iterator[tuple[CatalogObject, CatalogObject]]:
    unknown: dict[tuple[str, str], list[CatalogObject]] = {}
    elsewhere = set(untouched)
    for other, facts in catalog.items():
        may_be_another = has_another_name(other.kind) or _is_owned(other, facts)
        if may_be_another and other not in positions.objects and other not in elsewhere:
            unknown.setdefault((other.kind, other.parent), []).append(other)
    for known in positions.objects:
        candidates = unknown.get((known.kind, known.parent))
        if not candidates or known in catalog:
            continue
        states = [substance(state) for *_, state in positions.spans(known) if state is not None]
        for state in reversed(states):
            same = next((other for other in sorted(candidates) if substance(catalog[other]) == state), None)
            if same is not None:
                candidates.remove(same)
                yield known, same
                break
