"""Random chains, the database at each position, or with one object damaged: the verdicts match the position."""

from __future__ import annotations

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from alembic_rescue.evidence.judging import judge
from alembic_rescue.evidence.model import Verdict
from tests.chain_values import (
    Chain,
    column,
    constraint,
    drop_table,
    make_table,
    reading,
    rename_column,
    rename_table,
    table,
)

TYPES = ["integer", "bigint", "text"]
SETTLED = {Verdict.APPLIED, Verdict.UNVERIFIABLE, Verdict.EMPTY}
PENDING = {Verdict.NOT_APPLIED, Verdict.UNVERIFIABLE, Verdict.EMPTY}


def make(world, chance):
    free = [n for n in "abcdef" if table(n) not in world]
    if free:
        make_table(world, chance.choice(free), "x", "y")


def add(world, chance):
    new = column(a_table(world, chance), chance.choice("zuvw"))
    world.setdefault(new, {"type": chance.choice(TYPES), "not null": "false", "storage": "plain"})


def retype(world, chance):
    world[column(*a_column(world, chance))]["type"] = chance.choice(TYPES)


def drop(world, chance):
    drop_table(world, a_table(world, chance))


def drop_one(world, chance):
    del world[column(*a_column(world, chance))]


def rename(world, chance):
    free = [n for n in "abcdef" if table(n) not in world]
    return rename_table(world, a_table(world, chance), chance.choice(free)) if free else []


def rename_one(world, chance):
    of, old = a_column(world, chance)
    new = chance.choice("zuvw")
    return rename_column(world, of, old, new) if column(of, new) not in world else []


def check(world, chance):
    of = a_table(world, chance)
    world[constraint(of, chance.choice("kl"))] = {"definition": f"CHECK ((x > {chance.randrange(3)}))"}


def a_table(world, chance):
    return chance.choice([o for o in world if o.kind == "table"]).name.removeprefix("public.")


def a_column(world, chance):
    return chance.choice([o for o in world if o.kind == "table column"]).name.removeprefix("public.").split(".")


def random_step(chance: random.Random):
    """Make one random change to what exists."""

    def once(world):
        has_columns = any(o.kind == "table column" for o in world)
        choices = [make, make, add, retype, drop, drop_one, rename, rename_one, check]
        return (chance.choice(choices) if has_columns else make)(world, chance)

    return once


def random_chain(seed: int, length: int) -> tuple[Chain, random.Random]:
    chance = random.Random(seed)
    chain = Chain()
    make_table(start := {}, "a", "x", "y")
    chain.start(start)
    for _ in range(length):
        chain.step(random_step(chance))
    return chain, chance


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 8))
def test_each_position_of_a_random_chain(seed, length) -> None:
    chain, _ = random_chain(seed, length)
    for position, world in enumerate(chain.states):
        twins = [p for p, other in enumerate(chain.states) if other == world]
        found = [e.verdict for e in judge(chain.steps, reading(world))]
        for number, verdict in enumerate(found, start=1):
            changed = chain.states[number] != chain.states[number - 1]
            assert (verdict is Verdict.EMPTY) == (not changed)
            if number <= min(twins):
                assert verdict in {Verdict.APPLIED, Verdict.EMPTY}, (position, number)
            elif number > max(twins):
                assert verdict in PENDING, (position, number)
            else:  # it may or may not have run: the database looks the same
                assert verdict in {Verdict.UNVERIFIABLE, Verdict.EMPTY}, (position, number)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 8))
@example(134217728, 7)
def test_one_damaged_object_is_named(seed, length) -> None:
    chain, chance = random_chain(seed, length)
    touched = {change.object for step in chain.steps for change in step.changes}
    world = chain.copy()
    made = [o for o in sorted(world) if o in touched and (o not in chain.states[0] or o.kind == "table")]
    if not made:
        return
    lost = chance.choice(made)
    for o in list(world):
        if o == lost or o.parent == lost.name:
            del world[o]
    if world in chain.states:
        return
    found = judge(chain.steps, reading(world))
    named = {o.name for e in found for o in e.missing}
    assert lost.name in named, (lost, found)
