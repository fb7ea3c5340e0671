"""The live database, held against the positions of a chain.  Pure.

What it holds under a name that somebody else gave is found here: a constraint that is the same under another name, and
an object that has the new name of a rename while the old one is still there.
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
"""Whether two things are the same; None where nobody can tell."""

TEXTS = frozenset(["definition", "default", "using", "with check", "partition bound", "partition key", "prqual"])
"""Facts that are expressions, which the server may spell otherwise after a dump and restore or in another version."""


class Text(NamedTuple):
    """A fact that is spelled otherwise on the live database than at any position of the chain, and at one of them."""

    object: CatalogObject
    fact: str
    scratch: str
    live: str


_SINCE_17 = "MAINTAIN"
_ALL_BEFORE_17 = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

Settled = Mapping[Text, Answer]
"""What the server says of two texts once both are loaded: whether they are the same; None where one cannot be."""


class _Voice(NamedTuple):
    """An object against some positions."""

    object: CatalogObject
    revision: int
    """The one that has run there, or has not, by what the object is like."""
    start: int
    end: int
    facts: int
    """How many more of its facts are other there."""


class Live:
    """What a reading holds of the objects of a range, as the range knows them."""

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
        """Objects under the new name of a rename whose old one is still there, with the old one."""
        taken = {new.name for new in self.impostors}
        self._catalog = {o: facts for o, facts in catalog.items() if o not in self.impostors and o.parent not in taken}
        self.known_as = dict(_aliases(positions, self._catalog, untouched))
        """What is there under another name (constraints, sequences of columns, partitions of the month), with it."""
        self._catalog.update({o: self._catalog[other] for o, other in self.known_as.items()})
        self.known_as.update(by_date)
        self._names = {o.name for o in self._catalog}
        self._labels = _labels(positions)

    @cached_property
    def by_name(self) -> dict[str, list[CatalogObject]]:
        """What counts as there, by bare names."""
        return by_bare_name(self._catalog)

    @cached_property
    def untouched_by_name(self) -> dict[str, list[CatalogObject]]:
        """What the scratch database holds besides, by bare names."""
        return by_bare_name(self._untouched)

    def facts(self, catalog_object: CatalogObject) -> Facts | None:
        """What the live database says of it; None where it is not there."""
        return self._catalog.get(catalog_object)

    def unread(self, catalog_object: CatalogObject) -> Unread | None:
        """What could not be read of it, by itself or with what it belongs to, and why; None where it was."""
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
        """Whether anything of that full name is there."""
        return name in self._names

    def has_more(self, names: Collection[str]) -> bool:
        """Whether something belongs to what goes by these names, and no revision knows it."""
        return not self._with_more.isdisjoint(names)

    @cached_property
    def _with_more(self) -> frozenset[str]:
        known = {*self._positions.objects, *self._untouched, *self.known_as.values()}
        return frozenset(o.parent for o in self._catalog if o not in known)

    def same(self, catalog_object: CatalogObject, fact: str, expected: Facts, actual: Facts) -> Answer:
        """Whether a fact of an object that is there is as a position has it."""
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
            mine, theirs = labels(one), labels(other)  # which there are, the labels themselves tell
            return [each for each in mine if each in theirs] == [each for each in theirs if each in mine]
        return self._settled.get(Text(catalog_object, fact, one, other), False)

    def _with_known_sequences(self, text: str) -> str:
        for known, other in self.known_as.items():
            if known.kind == "sequence":
                text = text.replace(f"'{other.name}'", f"'{known.name}'")
        return text

    def more_labels(self, catalog_object: CatalogObject) -> list[str]:
        """Labels of an enum that no position knows."""
        known = self._labels.get(catalog_object, frozenset())
        return [label for label in labels((self.facts(catalog_object) or {}).get("labels", "")) if label not in known]

    def later_state(self, found: CatalogObject, position: int) -> int | None:
        """Where a later revision leaves an object just as it is here; None where it is as at `position`, or nowhere."""
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
        """The positions that explain the live database best, all equally well, in order.

        Each object speaks for the states that are most like it, and so against the other positions: there either a
        revision has run that should not have, or one has not that should.  The fewer such revisions the better, so that
        a large one that is not there does not outweigh all that came after it; of positions with equally many, facts
        decide.
        """
        voices = [voice for o in self._positions.objects if self.unread(o) is None for voice in self._against(o)]
        about: dict[int, list[tuple[int, int]]] = {}
        for voice in voices:
            about.setdefault(voice.revision, []).append((voice.start, voice.end))
        revisions = self._summed((*span, 1) for spans in about.values() for span in _merged(spans))
        facts = self._summed((voice.start, voice.end, voice.facts) for voice in voices)
        return _least(list(zip(revisions, facts, strict=True)))

    def speaks_for(self, ran: Collection[int]) -> dict[int, int]:
        """The steps that have run by what most of their objects are like (1), and those that have not (-1).

        Args:
            ran: the steps that are known to have run: what is as well like it was before is as it is afterwards.
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
        """For each position, the sum of what counts from the first to the last."""
        steps = [0] * (self._positions.last + 2)
        for start, end, weight in weights:
            steps[start] += weight
            steps[end + 1] -= weight
        return list(accumulate(steps[:-1]))

    def _against(self, catalog_object: CatalogObject) -> Iterator[_Voice]:
        """What an object speaks against: the spans whose state is less like it than another's."""
        spans = list(self._costs(catalog_object))
        alike = _least([cost for *_, cost in spans])
        for number, (start, end, cost) in enumerate(spans):
            if number not in alike:
                nearest = min(alike, key=lambda other: abs(other - number))
                revision = spans[number + 1][0] if nearest > number else start
                yield _Voice(catalog_object, revision, start, end, cost - spans[nearest][2])

    def _costs(self, catalog_object: CatalogObject) -> Iterator[tuple[int, int, int]]:
        """First and last position of each of its states, and how many of its facts are other than there."""
        known = self._positions.facts([catalog_object])
        for start, end, state, is_away in self._positions.away(catalog_object):
            # what is gone along is counted where it belongs
            yield start, end, 0 if is_away else self._unexplained(catalog_object, state, known)

    def differing_texts(self) -> Iterator[Text]:
        """Texts that no position has."""
        for catalog_object in self._positions.objects:
            actual = self.facts(catalog_object)
            states = [state for *_, state in self._positions.spans(catalog_object) if state is not None]
            for fact in sorted(TEXTS & (actual or {}).keys()):
                live = (actual or {})[fact]
                scratch = dict.fromkeys(state[fact] for state in states if fact in state)
                if self._positions.counts(catalog_object, fact) and live not in scratch:
                    yield from (Text(catalog_object, fact, text, live) for text in scratch)

    def _unexplained(self, catalog_object: CatalogObject, state: Facts | None, known: Collection[str]) -> int:
        """How many of the known facts are other than in a state.

        What is missing along with what it belongs to counts there.
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
    """The numbers of the lowest."""
    least = min(costs)
    return [number for number, cost in enumerate(costs) if cost == least]


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same positions, each once."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def in_lines(text: str) -> str:
    """A text whose lines all end alike: a body that was written on Windows has others."""
    return text.replace("\r\n", "\n")


def labels(text: str) -> list[str]:
    """The labels of an enum, from the text of the fact."""
    return [found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')*)'", text)]


def substance(facts: Facts) -> dict[str, str]:
    """The facts of an object but for those that came by circumstance."""
    return {fact: value for fact, value in facts.items() if not is_circumstance(fact)}


def has_another_name(kind: str) -> bool:
    """Whether objects of that kind are the same if they say the same of the same table, whatever they are called."""
    return kind == "index" or kind.endswith("constraint")


def _is_owned(catalog_object: CatalogObject, facts: Facts) -> bool:
    """A sequence that belongs to a column, which names it as it likes."""
    return catalog_object.kind == "sequence" and "owned by" in facts


def _labels(positions: Positions) -> dict[CatalogObject, frozenset[str]]:
    return {
        o: frozenset(label for *_, state in positions.spans(o) for label in labels((state or {}).get("labels", "")))
        for o in positions.objects
    }


def _is_of_all(fact: str, expected: Facts, actual: Facts) -> bool:
    """Whether it came with ALL privileges, to which PostgreSQL 17 added one.

    A server before that, and one that was upgraded since, has all others.
    """
    others = [fact.removesuffix(_SINCE_17) + privilege for privilege in _ALL_BEFORE_17]
    alike = [other for other in others if expected.get(other) == actual.get(other)]
    said = sum(other in expected for other in others)  # but for the few that were taken back
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
