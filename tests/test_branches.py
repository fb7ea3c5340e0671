"""Branches, judged at every combination of positions: a set of revisions that is no prefix of Alembic's order."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alembic_rescue.evidence.judging import judge, order, untouched
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.evidence.observation import CatalogObject, Change, Observation, Unobserved
from tests.chain_values import Chain, World, column, make_table, reading
from tests.test_judging_properties import PENDING, random_chain

HAS_RUN = {Verdict.APPLIED, Verdict.EMPTY}
RELEASES = 3


def judged(steps, follows, world: World) -> dict[str, Verdict]:
    """As the tool does: in the order that fits the live database."""
    moved = [steps[number] for number in order(steps, follows, reading(world))]
    for number, step in enumerate(moved):
        assert follows[step.revision] <= {before.revision for before in moved[:number]}, "each after what it follows"
    return {one.revision: one.verdict for one in judge(moved, reading(world), untouched=untouched(moved))}


# --- releases that expand and contract ------------------------------------------------------------------------------


def expanded(world: World, release: int) -> None:
    make_table(world, f"of_{release}", "x")
    world[column("images", f"new_{release}")] = {"type": "text", "not null": "false"}


def contracted(world: World, release: int) -> None:
    del world[column("images", f"old_{release}")]


def releases():
    """Everything that expands, then everything that contracts, in Alembic's order."""
    make_table(start := {}, "images", *(f"old_{release}" for release in range(RELEASES)))
    chain, follows, names = Chain().start(start), {}, {}
    for what, before in ((expanded, "expand"), (contracted, "contract")):
        for release in range(RELEASES):
            chain.step(lambda world, what=what, release=release: what(world, release))
            names[f"r{len(chain.steps)}"] = (before, release)
            followed = {f"r{len(chain.steps) - 1}"} if release else set()
            follows[f"r{len(chain.steps)}"] = followed | ({f"r{release + 1}"} if what is contracted else set())
    return chain, start, follows, names


@pytest.mark.parametrize("without", [None, ("expand", 1), ("contract", 0)])
@pytest.mark.parametrize(("expands", "contracts"), [(e, c) for e in range(RELEASES + 1) for c in range(e + 1)])
def test_each_pair_of_positions(expands, contracts, without) -> None:
    chain, start, follows, names = releases()
    ran = {("expand", one) for one in range(expands)} | {("contract", one) for one in range(contracts)}
    if without is not None and (without not in ran or len(ran) < 4):
        return  # with so few objects, the rest also fits if another revision did not run
    world = {o: dict(facts) for o, facts in start.items()}
    for what, release in sorted(ran - {without}, reverse=True):
        (expanded if what == "expand" else contracted)(world, release)
    found = {names[revision]: verdict for revision, verdict in judged(chain.steps, follows, world).items()}
    assert found == {
        one: Verdict.APPLIED if one in ran and one != without else Verdict.NOT_APPLIED for one in names.values()
    }


# --- any two lines ----------------------------------------------------------------------------------------------


def elsewhere(found: CatalogObject) -> CatalogObject:
    return CatalogObject(found.kind, found.name.replace("public.", "other."), found.parent.replace("public.", "other."))


def moved(step: Observation) -> Observation:
    """The same in another schema, by another revision."""
    return replace(
        step,
        revision=step.revision.replace("r", "s"),
        changes=tuple(Change(elsewhere(c.object), c.before, c.after) for c in step.changes),
        renames=tuple((elsewhere(old), elsewhere(new)) for old, new in step.renames),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 4), st.integers(1, 4))
def test_two_unrelated_lines(one, other, length, others_length) -> None:
    first, second = random_chain(one, length)[0], random_chain(other, others_length)[0]
    steps = [*first.steps, *map(moved, second.steps)]
    follows = {
        step.revision: {before.revision} if before else set()
        for line in (steps[:length], steps[length:])
        for before, step in zip([None, *line], line, strict=False)
    }
    for here, there in product(range(length + 1), range(others_length + 1)):
        world = first.states[here] | {elsewhere(o): facts for o, facts in second.states[there].items()}
        found = judged(steps, follows, world)
        for chain, position, letter in ((first, here, "r"), (second, there, "s")):
            twins = [p for p, state in enumerate(chain.states) if state == chain.states[position]]
            for number in range(1, len(chain.steps) + 1):
                verdict = found[f"{letter}{number}"]
                if number <= min(twins):
                    assert verdict in HAS_RUN, (here, there, letter, number)
                elif number > max(twins):
                    assert verdict in PENDING, (here, there, letter, number)


# --- what does not move ---------------------------------------------------------------------------------------------


def test_within_one_line_nothing_moves() -> None:
    chain, _ = random_chain(7, 8)
    follows = {step.revision: {f"r{number}"} for number, step in enumerate(chain.steps)}
    assert order(chain.steps, follows, reading({})) == tuple(range(8))


def test_nothing_moves_past_an_unobserved_revision() -> None:
    chain, start, follows, _ = releases()
    steps = [*chain.steps[:2], Unobserved("r3", "it took too long"), *chain.steps[3:]]
    world = {o: dict(facts) for o, facts in start.items()}
    expanded(world, 0)
    contracted(world, 0)
    found = order(steps, follows, reading(world))
    assert found[2] == 2
