"""The states of the objects of a range of revisions, from before the first to after the last.  Pure.

Position 0 is before the first revision of the range, position n after its n-th.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Union

from alembic_rescue.evidence.names import bare, by_bare_name
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Change, Facts, Observation, Unobserved

Step = Union[Observation, Unobserved]

_CIRCUMSTANCES = frozenset(
    [
        "by root",
        "cache",
        "clustered",
        "comment",
        "compression",
        "extnamespace",
        "generated columns",
        "options",
        "options of TOAST",
        "owner",
        "position",
        "pubdelete",
        "pubinsert",
        "pubtruncate",
        "pubupdate",
        "replica identity",
        "statistics target",
        "storage",
        "tablespace",
        "version",
    ]
)
_CIRCUMSTANCE_PREFIXES = ("privileges of ", "options.")


_ADDITIONS = frozenset(
    ["inherited", "parents", "partition bound", "relispartition", "row security", "row security forced"]
)


def is_addition(fact: str) -> bool:
    """Return whether the fact can be added to an existing object: row security, a place among partitions, a setting."""
    return fact in _ADDITIONS or fact.startswith("setting ")


def is_circumstance(fact: str) -> bool:
    """Return whether the fact depends on where and by whom an object is created, and not on the creating revision."""
    return fact in _CIRCUMSTANCES or fact.startswith(_CIRCUMSTANCE_PREFIXES)


def counts_when_made(catalog_object: CatalogObject, fact: str) -> bool:
    """Return whether a revision that creates the object asked for the fact.  Default privileges are only privileges."""
    return not is_circumstance(fact) or catalog_object.kind == "default acl"


def differing(one: Facts, other: Facts) -> frozenset[str]:
    """Return the facts that differ."""
    return frozenset(fact for fact in {*one, *other} if one.get(fact) != other.get(fact))


class Positions:
    """Every object that the range touches, as the scratch database had it at each position."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.last = len(steps)
        self._changes: dict[CatalogObject, list[tuple[int, Change]]] = {}
        self._renamed: list[dict[CatalogObject, CatalogObject]] = [{}]
        self._former: list[dict[CatalogObject, CatalogObject]] = [{}]
        self._new_names: list[set[str]] = [set()]
        self._altered: dict[CatalogObject, set[str]] = {}
        self._comes_and_goes: set[CatalogObject] = set()
        self._anew: dict[int, Callable[[str], str]] = {}
        self.names: set[str] = set()
        self.by_date: dict[CatalogObject, int] = {}
        """Tables with names derived from the date, and the positions where they are created."""
        for position, step in enumerate(steps, start=1):
            self._renamed.append(dict(step.renames) if isinstance(step, Observation) else {})
            self._former.append({new: old for old, new in self._renamed[-1].items()})
            self._new_names.append({new.name for new in self._former[-1]})
            self.by_date.update(dict.fromkeys(step.by_date if isinstance(step, Observation) else (), position))
            for change in _changes(step):
                self._changes.setdefault(change.object, []).append((position, change))
                self.names.add(change.object.name)
                if change.before is None or change.after is None:
                    self._comes_and_goes.add(change.object)
                else:
                    altered = self._altered.setdefault(change.object, set())
                    altered |= differing(change.before, change.after)

    @property
    def objects(self) -> Collection[CatalogObject]:
        """All touched objects, in the order of their first change."""
        return self._changes.keys()

    @cached_property
    def by_name(self) -> dict[str, list[CatalogObject]]:
        """The objects by bare name."""
        return by_bare_name(self._changes)

    @property
    def renames(self) -> Iterator[tuple[CatalogObject, CatalogObject]]:
        """All old and new names, in order."""
        for renamed in self._renamed:
            yield from renamed.items()

    def spans(self, catalog_object: CatalogObject) -> Iterator[tuple[int, int, Facts | None]]:
        """Yield the first and last position of each state of an object, in order."""
        changes = self._changes[catalog_object]
        start, state = 0, changes[0][1].before
        for position, change in changes:
            if position > start:
                yield start, position - 1, state
            start, state = position, change.after
        yield start, self.last, state

    def at(self, catalog_object: CatalogObject, position: int) -> Facts | None:
        """Return its facts at a position; None if it does not exist there, or no revision touches it."""
        if catalog_object not in self._changes:
            return None
        return next(state for start, end, state in self.spans(catalog_object) if start <= position <= end)

    def catalog(self, position: int) -> Catalog:
        """Return all objects that the range touches and that exist at a position."""
        states = ((o, self.at(o, position)) for o in self._changes)
        return {o: state for o, state in states if state is not None}

    def facts(self, objects: Collection[CatalogObject]) -> frozenset[str]:
        """Return all facts that any of these objects has at some position."""
        states = (state for o in objects if o in self._changes for *_, state in self.spans(o))
        return frozenset(fact for state in states for fact in state or ())

    def next(self, catalog_object: CatalogObject, position: int, until: int) -> tuple[int, Change] | None:
        """Return the first change to it after `position`, up to and including `until`, with its position."""
        return next((c for c in self._changes.get(catalog_object, ()) if position < c[0] <= until), None)

    def renamed_to(self, catalog_object: CatalogObject, position: int) -> CatalogObject | None:
        """Return its name after that revision, if the revision renames it."""
        return self._renamed[position].get(catalog_object)

    def renamed_from(self, catalog_object: CatalogObject, position: int) -> CatalogObject | None:
        """Return its name before that revision, if the revision gives it this name."""
        return self._former[position].get(catalog_object)

    @property
    def gone(self) -> Iterator[CatalogObject]:
        """Everything that is dropped somewhere, under the names that it would have now."""
        for catalog_object, changes in self._changes.items():
            yield from (self.moved_along(catalog_object, p, self.last) for p, change in changes if change.after is None)

    def moved_along(self, gone: CatalogObject, position: int, until: int) -> CatalogObject:
        """Return what an object dropped at `position` would be called now: its parent may have been renamed since."""
        return CatalogObject(gone.kind, *(self._moved(text, position, until) for text in (gone.name, gone.parent)))

    def _moved(self, text: str, position: int, until: int) -> str:
        while True:
            named = [known for name in _names_in(text) for known in self._moves.get(name, ())]
            position = min((at for at, _, _ in named if position < at <= until), default=0)
            if not position:
                return text
            text = _with_new_names(text, {old: new for at, old, new in named if at == position})

    @cached_property
    def _moves(self) -> Mapping[str, Sequence[tuple[int, CatalogObject, CatalogObject]]]:
        """All renames by old name, each with its position."""
        moves: dict[str, list[tuple[int, CatalogObject, CatalogObject]]] = {}
        for position, renamed in enumerate(self._renamed):
            for old, new in renamed.items():
                moves.setdefault(old.name, []).append((position, old, new))
        return moves

    def rewritten(self, before: Facts, after: Facts, position: int) -> frozenset[str]:
        """Return the facts that a revision changed, except texts that only follow its renames."""
        changed = differing(before, after)
        called_anew = self._called_anew(position) if changed and self._renamed[position] else str
        return frozenset(fact for fact in changed if fact not in before or called_anew(before[fact]) != after.get(fact))

    def _called_anew(self, position: int) -> Callable[[str], str]:
        """Return a function that rewrites a text with the new names of that revision's renames, full and bare."""
        if position not in self._anew:
            pairs = self._renamed[position].items()
            names = {bare(old): bare(new) for old, new in pairs} | {old.name: new.name for old, new in pairs}
            known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
            pattern = re.compile(rf'(?<![\w"])(?:{known})(?![\w"])')
            self._anew[position] = lambda text: pattern.sub(lambda found: names[found[0]], text)
        return self._anew[position]

    def is_dropped(self, catalog_object: CatalogObject, first: int, last: int) -> bool:
        """Return whether a revision from `first` to `last` drops it, and does not just rename it."""
        return any(
            first <= position <= last and change.after is None and not self.renamed_to(catalog_object, position)
            for position, change in self._changes.get(catalog_object, ())
        )

    def goes_along(self, catalog_object: CatalogObject, position: int) -> bool:
        """Return whether it has another name only because that revision renames its parent."""
        return catalog_object.parent in self._new_names[position]

    def away(self, catalog_object: CatalogObject) -> Iterator[tuple[int, int, Facts | None, bool]]:
        """Yield its :meth:`spans`, with whether it is gone only because its parent has another name there.

        A span is split where another object takes the parent's old name.
        """
        for start, end, state in self.spans(catalog_object):
            new = self.renamed_to(catalog_object, start)
            if new is None or not self.goes_along(new, start):
                yield start, end, state, False
                continue
            above = next((o for o in self._changes if o.name == catalog_object.parent), None)
            for first, last, there in self.spans(above) if above else ((start, end, None),):
                if first <= end and last >= start:
                    yield max(first, start), min(last, end), state, there is None

    def is_made_before(self, catalog_object: CatalogObject, position: int) -> bool:
        """Return whether an earlier revision of the range creates it, under this name or a former one."""
        while True:
            earlier = [(p, c) for p, c in self._changes.get(catalog_object, ()) if p < position and c.before is None]
            if not earlier:
                return False
            position = earlier[-1][0]
            former = self.renamed_from(catalog_object, position)
            if former is None:
                return True
            catalog_object = former

    def counts(self, catalog_object: CatalogObject, fact: str) -> bool:
        """Return whether a fact tells positions apart: a revision changes it, or asks for it on creation."""
        if fact in self._altered.get(catalog_object, ()):
            return True
        return catalog_object in self._comes_and_goes and counts_when_made(catalog_object, fact)


def _changes(step: Step) -> Iterator[Change]:
    """Yield all changes of a step, including objects that replaced an identical one of the same name."""
    if isinstance(step, Unobserved):
        return
    yield from step.changes
    changed = {change.object: change for change in step.changes}
    for old, new in step.renames:
        if new not in changed and old in changed:
            yield Change(new, changed[old].before, changed[old].before)


def _names_in(text: str) -> set[str]:
    """Return the candidate names in a full name: its own, and those of its parents."""
    starts = [0, *(at + 1 for at, sign in enumerate(text) if sign in " (,[")]
    ends = [*(at for at, sign in enumerate(text) if sign in " .,()[]"), len(text)]
    return {text[start:end] for start in starts for end in ends if start < end}


def _with_new_names(text: str, renamed: Mapping[CatalogObject, CatalogObject]) -> str:
    """Return a full name with its parents' new names."""
    names = {old.name: new.name for old, new in renamed.items()}
    ends = {old.name: r"(?=\.)" if old.kind == "schema" else r'(?![\w"])' for old in renamed}
    known = "|".join(re.escape(name) + ends[name] for name in sorted(names, key=len, reverse=True))
    return re.sub(rf'(?<![\w".])(?:{known})', lambda found: names[found[0]], text)
