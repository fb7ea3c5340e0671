"""The picture of a chain: how graphs are drawn and folded, and what is said about each revision.  Values only."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alembic_rescue.model import Link
from alembic_rescue.report import chain


def picture(links, kept=None, applied=()):
    """Return the rows, with the nodes' names: ``a|b`` is one node for both."""
    links = [Link(one, tuple(follows)) for one, follows in links]
    kept = {link.revision for link in links} if kept is None else set(kept)
    rows = chain.drawn(chain.folded(links, kept, set(applied)))
    return [f"{row.cells} {'|'.join(row.node.members)}" if row.node else row.cells for row in rows]


LINE = [("a", ""), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")]


@pytest.mark.parametrize(
    ("links", "drawn"),
    [
        ([("a", ""), ("b", "a")], ["@ a", "@ b"]),
        ([("a", ""), ("b", "a"), ("c", "a")], ["@ a", "├─╮", "@ │ b", "  @ c"]),
        ([("a", ""), ("b", "a"), ("c", "a"), ("d", "bc")], ["@ a", "├─╮", "@ │ b", "│ @ c", "├─╯", "@ d"]),
        ([("a", ""), ("x", "")], ["@ a", "", "@ x"]),  # two bases: neither is below the other
        ([("a", ""), ("x", ""), ("b", "a"), ("y", "x")], ["@ a", "│ @ x", "@ │ b", "  @ y"]),
        ([("a", ""), ("b", "a"), ("c", "a"), ("d", "a")], ["@ a", "├─┬─╮", "@ │ │ b", "  @ │ c", "    @ d"]),
        (
            [("a", ""), ("b", "a"), ("c", "a"), ("d", "a"), ("e", "bd"), ("f", "c")],
            ["@ a", "├─┬─╮", "@ │ │ b", "│ @ │ c", "│ │ @ d", "├─┼─╯", "@ │ e", "  @ f"],
        ),
        ([("a", ""), ("b", "a"), ("c", "ab")], ["@ a", "├─╮", "@ │ b", "├─╯", "@ c"]),  # depends_on
    ],
)
def test_a_graph_is_drawn(links, drawn):
    assert picture(links) == drawn


@pytest.mark.parametrize(
    ("links", "kept", "applied", "drawn"),
    [
        (LINE, "e", "abcd", ["@ a|b|c|d", "@ e"]),
        (LINE, "ce", "ab", ["@ a|b", "@ c", "@ d", "@ e"]),
        (LINE, "ce", "", ["@ a|b", "@ c", "@ d", "@ e"]),
        (LINE, "", "ab", ["@ a|b", "@ c|d|e"]),  # applied revisions are not counted with pending ones
        (LINE, "c", "abcde", ["@ a|b", "@ c", "@ d|e"]),
        # Branches that nobody asks about, below what is applied: one line.
        ([("a", ""), ("b", "a"), ("c", "a"), ("d", "bc"), ("e", "d")], "e", "abcd", ["@ a|b|c|d", "@ e"]),
        # The same with a kept revision within: what follows it stays above it.
        ([("a", ""), ("b", "a"), ("c", "a"), ("d", "bc"), ("e", "d")], "be", "abcde", None),
        ([("a", ""), ("b", "a"), ("x", ""), ("y", "x"), ("z", "by")], "z", "abxy", ["@ a|b", "│ @ x|y", "├─╯", "@ z"]),
    ],
)
def test_revisions_that_nobody_asks_about_are_folded(links, kept, applied, drawn):
    found = picture(links, kept, applied)
    assert drawn is None or found == drawn


@given(st.integers(0, 10_000))
def test_every_revision_has_its_own_row_below_those_that_it_follows(seed):
    chance = random.Random(seed)
    names = [f"r{number}" for number in range(chance.randint(1, 14))]
    links = []
    for number, name in enumerate(names):
        before = chance.sample(names[:number], min(number, chance.choice([0, 1, 1, 1, 2, 3])))
        links.append(Link(name, tuple(before)))
    applied = set()
    for link in reversed(links):
        if link.revision in applied or chance.random() < 0.2:
            applied |= {link.revision, *link.follows}
    kept = {name for name in names if chance.random() < 0.4}
    nodes = chain.folded(links, kept, applied)
    rows = chain.drawn(nodes)
    place = {one: number for number, row in enumerate(rows) if row.node for one in row.node.members}
    assert sorted(place) == sorted(names)
    assert all(len(node.members) == 1 for node in nodes if kept & set(node.members))
    for link in links:
        assert all(place[before] <= place[link.revision] for before in link.follows)
    for above, below in itertools.pairwise(rows):  # a line that begins above continues below
        ends = {at for at, sign in enumerate(above.cells) if sign in "│├╮┬┼"}
        assert all(at < len(below.cells) and below.cells[at] != " " for at in ends)


def test_each_symbol_has_a_plain_one():
    signs = "●◆○◐◌⋮│─├╮╯┬┴┼←"
    assert signs.translate(chain.PLAIN).isascii()
    assert len(signs.translate(chain.PLAIN)) == len(signs)
