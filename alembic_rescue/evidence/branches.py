"""The order in which to judge branches: what has run comes first, on whichever branch it is.  Pure.

A database may have any set of revisions that includes everything that they follow.  In Alembic's order, which goes up
one branch after the other, such a set is not always a prefix.  So revisions that the live database votes for are moved
before those it votes against, unless one follows the other or both touch the same objects.  On a linear chain nothing
moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

from alembic_rescue.evidence.live import Live
from alembic_rescue.evidence.observation import Observation
from alembic_rescue.evidence.positions import Step

_MOST_ROUNDS = 5
"""Knowing that a revision has run says more about others; the second round usually finds nothing new."""
_Bits = int
"""A set of steps as bits: bit n for step n."""


def order(steps: Sequence[Step], follows: Mapping[str, AbstractSet[str]], live: Callable[[], Live]) -> tuple[int, ...]:
    """Return the indexes of the steps in the order in which to judge them.

    Args:
        steps: in an order in which they can run.
        follows: the revisions that each one directly follows or depends on.
        live: makes the live database, compared with the steps in this order.
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
    """Return the set of the first `number` steps."""
    return (1 << number) - 1


def _before(steps: Sequence[Step], follows: Mapping[str, AbstractSet[str]]) -> Iterator[_Bits]:
    """Yield the set of steps that must stay before each step."""
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
            direct, fixed = _first(number), _first(number + 1)  # what it touches is unknown
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
    """Yield the ranges between cuts: at a cut, every later step follows every earlier one."""
    shared, cuts = -1, []
    for number in reversed(range(len(before))):
        shared &= before[number]
        if shared & _first(number) == _first(number):
            cuts.append(number)
    yield from zip(reversed(cuts), [*reversed(cuts[:-1]), len(before)], strict=True)


def _ran(segment: range, before: Sequence[_Bits], scores: Mapping[int, int]) -> _Bits:
    """Return the steps that votes show as run, with everything that must come before them."""
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
