"""What one revision is responsible for at the position of the database, compared with the live objects.  Pure.

What a later revision reverted, replaced or renamed is assigned to that revision: the revision that last set a fact is
responsible for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from alembic_rescue.evidence.live import TEXTS, Live
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.observation import CatalogObject, Change, Facts, Observation, Unread
from alembic_rescue.evidence.positions import Positions, counts_when_made, differing, is_addition, is_circumstance

_SETTINGS = "settings"


@dataclass(frozen=True)
class Claim:
    """One object that a revision is responsible for."""

    object: CatalogObject
    """Under its name at the judged position."""
    change: Change
    expected: Facts | None
    """At the judged position; None: it does not exist."""
    comes_or_goes: bool
    """The revision creates, drops or renames it; otherwise it only changes some facts."""
    facts: frozenset[str]
    """The facts that the revision is responsible for."""
    known: frozenset[str] | None = None
    """If the revision creates the object, the facts that it has anywhere in the range; None: it only changes some."""
    former: CatalogObject | None = None
    """Its previous name, if the revision renamed it."""
    since: tuple[tuple[CatalogObject, Facts], ...] = ()
    """Its names since the revision that nothing has any more, each with the object's last facts under it."""
    spelled: tuple[Facts, ...] = ()
    """The facts' texts as they were before each later rename that changed names in them: a rename may be undone."""

    def as_called(self, live: Live) -> Claim:
        """Return the claim under the object's latest name that the live database has: a later rename may be undone."""
        if self.expected is not None and live.facts(self.object) is None and live.unread(self.object) is None:
            for earlier, facts in reversed(self.since):
                if live.facts(earlier) is not None:
                    return replace(self, object=earlier, expected=facts)
        return self

    def holds(self, live: Live, fact: str, actual: Facts) -> bool | None:
        """Return whether the fact is as expected, with the old or the new names; None if that cannot be determined."""
        assert self.expected is not None
        answer = live.same(self.object, fact, self.expected, actual)
        as_before = (facts for facts in self.spelled if fact in facts)
        if answer is False and any(live.same(self.object, fact, facts, actual) for facts in as_before):
            return True
        return answer


@dataclass(frozen=True)
class Finding:
    """A claim compared with the live database."""

    claim: Claim
    presence: Presence
    actual: Facts | None = None
    different: tuple[str, ...] = ()
    """The facts that differ."""
    unknown: tuple[str, ...] = ()
    """The facts that cannot be determined."""
    unread: Unread | None = None
    """The part that could not be read, and why."""
    vacuous: bool = False
    """It holds equally if the revision has not run."""
    proves: bool = False
    """Part of it holds only if the revision has run."""
    as_before: bool = False
    """What differs is as it was before the revision."""

    @property
    def met(self) -> bool:
        """Whether it is as expected."""
        expected = Presence.ABSENT if self.claim.expected is None else Presence.PRESENT
        return self.presence is expected


@dataclass
class Claims:
    """Everything that a revision is responsible for, and the later revisions that took over the rest."""

    kept: list[Claim] = field(default_factory=list)
    cancelled_by: set[int] = field(default_factory=set)
    """Positions of later revisions that revert or replace a part of it."""


def claims(positions: Positions, step: Observation, number: int, reference: int, live: Live) -> Claims:
    """Return what the revision at `number` is responsible for at position `reference`, which is not before it."""
    result = Claims()
    for change in step.changes:
        claim, taken_by = _claim(positions, change, number, reference)
        if claim is not None and (later := live.later_state(claim.object, reference)) is not None:
            claim, taken_by = _claim(positions, change, number, later)
        if claim is not None and _is_its_makers(claim, positions, step, number, live):
            continue
        if claim is not None:
            result.kept.append(claim)
        if taken_by is not None:
            result.cancelled_by.add(taken_by)
    return result


def find(claim: Claim, live: Live, rival: Facts | None, *, proved: bool) -> Finding:
    """Compare a claim with the live database.

    Args:
        rival: the object's facts at the best position where the revision has not run.
        proved: there is no such position.
    """
    unread = live.unread(claim.object)
    if unread is not None:
        return Finding(claim, Presence.UNVERIFIABLE, unread=unread)
    actual = live.facts(claim.object)
    rival_is_there = rival is not None
    if claim.expected is None or actual is None:
        met = claim.expected is None and actual is None
        vacuous = met and not proved and not rival_is_there
        return Finding(
            claim,
            Presence.ABSENT if actual is None else Presence.PRESENT,
            actual,
            vacuous=vacuous,
            proves=met and not vacuous,
        )
    facts = claim.facts | _more(claim, actual)
    answers = {fact: claim.holds(live, fact, actual) for fact in sorted(facts)}
    different = tuple(fact for fact, answer in answers.items() if answer is False)
    unknown = tuple(fact for fact, answer in answers.items() if answer is None)
    held = [fact for fact, answer in answers.items() if answer is True]
    new = claim.comes_or_goes and not rival_is_there
    telling = new or any(rival is None or live.same(claim.object, fact, rival, actual) is False for fact in held)
    proves = (telling or (proved and (claim.comes_or_goes or bool(held)))) and "valid" not in different
    if different:
        as_before = rival is not None and all(live.same(claim.object, f, rival, actual) is True for f in different)
        return Finding(claim, Presence.DIFFERENT, actual, different, unknown, proves=proves, as_before=as_before)
    if unknown:
        return Finding(claim, Presence.UNVERIFIABLE, actual, unknown=unknown, proves=proves)
    return Finding(claim, Presence.PRESENT, actual, vacuous=not proves, proves=proves)


def _more(claim: Claim, actual: Facts) -> frozenset[str]:
    """Return the facts that a created object has on the live database, but nowhere in the range."""
    if claim.known is None:
        return frozenset()
    more = actual.keys() - claim.known
    return frozenset(fact for fact in more if not is_circumstance(fact) and not is_addition(fact))


def _is_its_makers(claim: Claim, positions: Positions, step: Observation, number: int, live: Live) -> bool:
    """Return whether only its text changed, by a rename; its absence is then up to the revision that created it."""
    if (
        claim.comes_or_goes
        or claim.expected is None
        or live.facts(claim.object) is not None
        or live.unread(claim.object)
    ):
        return False
    return bool(step.renames) and claim.facts <= TEXTS and positions.is_made_before(claim.change.object, number)


def _now(
    positions: Positions, change: Change, current: CatalogObject, number: int, reference: int
) -> tuple[CatalogObject, Facts | None]:
    """Return its name and facts at the reference; for a dropped object, the name that it would have."""
    if change.after is not None:
        return current, positions.at(current, reference)
    moved = positions.moved_along(current, number, reference)
    return (moved if positions.at(moved, reference) is None else current), None


def _comes_or_goes(positions: Positions, change: Change, number: int, former: CatalogObject | None) -> bool:
    if former is not None:
        return not (positions.goes_along(change.object, number) and positions.is_made_before(former, number))
    if change.object.kind == _SETTINGS and change.after is not None:
        return False  # one object has all of a database's settings, whichever revision made them
    return (change.before is None) != (change.after is None)


def _claim(positions: Positions, change: Change, number: int, reference: int) -> tuple[Claim | None, int | None]:
    """Return the claim, if any of it is left, and the later revision that took over a part."""
    current = change.object
    former = positions.renamed_from(current, number)
    before = change.before
    if before is None and former is not None:
        before = positions.at(former, number - 1)
    comes_or_goes = _comes_or_goes(positions, change, number, former)
    if change.after is None:
        facts = frozenset[str]()
    elif before is None:
        facts = frozenset(fact for fact in change.after if counts_when_made(current, fact))
    else:
        facts = positions.rewritten(before, change.after, number)
    taken_by = None
    since: list[tuple[CatalogObject, Facts]] = []
    spelled: list[Facts] = []
    event = positions.next(current, number, reference)
    while event is not None:
        taken_by, later = event
        renamed = positions.renamed_to(current, taken_by) if change.after is not None else None
        if renamed is not None:
            was, is_now = later.before or {}, positions.at(renamed, taken_by) or {}
            since.append((current, later.before or {}))
            current = renamed
        elif later.before is None or later.after is None:
            return None, taken_by
        else:
            was, is_now = later.before, later.after
        facts -= (anew := positions.rewritten(was, is_now, taken_by))
        spelled.append({fact: was[fact] for fact in differing(was, is_now) - anew if fact in was})
        event = positions.next(current, taken_by, reference)
    if not (comes_or_goes or facts):
        return None, taken_by
    current, expected = _now(positions, change, current, number, reference)
    free = tuple((o, last) for o, last in since if positions.at(o, reference) is None)
    names = {change.object, current, *(o for o, _ in since)}
    known = positions.facts(names) if before is None else None
    return Claim(current, change, expected, comes_or_goes, facts, known, former, free, tuple(spelled)), None
