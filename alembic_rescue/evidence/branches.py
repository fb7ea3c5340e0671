"""The order in which branches are judged: what has run first, whichever branch it is on.  Pure.

A database may stand at any set of revisions that holds all that each of them follows.  In Alembic's order, which goes
up one branch after the other, such a set is no beginning.  So what the live database speaks for is moved before what it
speaks against, as far as revisions do not follow one another, and do not touch the same objects.  Along one line
nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

from alembic_rescue.evidence.live import Live
from alembic_rescue.evidence.observation import Observation
from alembic_rescue.evidence.positions import Step

_MOST_ROUNDS = 5
"""What is known to have run tells of more; usually the second round finds nothing new."""
_Bits = int
"""A set of steps: the bit of each one's number."""


def order(steps: Sequence[Step], follows: Mapping[str, AbstractSet[str]], live: Callable[[], Live]) -> tuple[int, ...]:
    """The numbers of the steps, in the order in which they are to be judged.

    Args:
        steps: in an order in which they can run.
        follows: the revisions that each one directly follows or depends on.
        live: makes the live database, held against the steps in this order.
    """
    if all(one.revision in follows[other.revision] for one, other in pairwise(steps)):
        return tuple(range(len(steps)))
    before, seen, ran = list(_before(steps, follows)), live(), 0
    segments = [range(*ends) for ends in _segments(before)]
    for _ in range(_MOST_ROUNDS):
        scores = seen.speaks_for({number for number in range(len(steps)) if ran & 1 << number})
        known, ran = ran, sum(_ran(segment, before, scores) for segment in segments)
        if ran == known:
            break
    return tuple(number for one in segments for number in sorted(one, key=lambda number: not ran & 1 << number))


def _first(number: int) -> _Bits:
    """The first so many steps."""
    return (1 << number) - 1


def _before(steps: Sequence[Step], follows: Mapping[str, AbstractSet[str]]) -> Iterator[_Bits]:
    """What must stay before each step."""
    numbers = {step.revision: number for number, step in enumerate(steps)}
    before: list[_Bits] = []
    by_name: dict[str, _Bits] = {}
    by_parent: dict[str, _Bits] = {}
    fixed = 0
    for number, step in enumerate(steps):
        direct = fixed
        for followed in follows.get(step.revision, ()):
            if (other := numbers.get(followed)) is not None:
                direct |= before[other] | 1 << other
        names, parents = _touched(step)
        for name in names | parents:
            direct |= by_name.get(name, 0)
        for name in names:
            direct |= by_parent.get(name, 0)
        if not isinstance(step, Observation) or step.failure is not None:
            direct, fixed = _first(number), _first(number + 1)  # nobody knows what it touches
        for name in names:
            by_name[name] = by_name.get(name, 0) | direct | 1 << number
        for name in parents:
            by_parent[name] = by_parent.get(name, 0) | direct | 1 << number
        before.append(direct)
        yield direct


def _touched(step: Step) -> tuple[set[str], set[str]]:
    if not isinstance(step, Observation):
        return set(), set()
    touched = [*(change.object for change in step.changes), *(one for pair in step.renames for one in pair)]
    return {one.name for one in touched}, {one.parent for one in touched if one.parent}


def _segments(before: Sequence[_Bits]) -> Iterator[tuple[int, int]]:
    """Where all steps that come later follow all that come before."""
    shared, cuts = -1, []
    for number in reversed(range(len(before))):
        shared &= before[number]
        if shared & _first(number) == _first(number):
            cuts.append(number)
    yield from zip(reversed(cuts), [*reversed(cuts[:-1]), len(before)], strict=True)


def _ran(segment: range, before: Sequence[_Bits], scores: Mapping[int, int]) -> _Bits:
    """The steps that speak for themselves, with all that must be before them."""
    ran, rest = 0, [number for number in segment if scores.get(number, 0) > 0]
    within = _first(segment.stop) & ~_first(segment.start)
    while rest:
        added = {number: (before[number] | 1 << number) & within & ~ran for number in rest}
        gain, best = max(
            (sum(scores.get(one, 0) for one in segment if bits & (1 << one)), number) for number, bits in added.items()
        )
        if gain <= 0:
            break
        ran |= added[best]
        rest = [number for number in rest if not ran & (1 << number)]
    return ran
