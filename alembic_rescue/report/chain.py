"""Draw a revision graph as rows of characters, the first revisions on top, with the rest folded.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from alembic_rescue.model import Link

PLAIN = str.maketrans("●◆○◐◌⋮│─├╮╯┬┴┼←", "*@o%?:|-+..+++<")
"""One replacement character for each, for streams that cannot encode them."""


@dataclass(frozen=True)
class Node:
    """A revision, or several drawn as one."""

    key: str
    """The revision's id; for several, the first one's."""
    follows: tuple[str, ...]
    """The keys of the nodes that it follows."""
    members: tuple[str, ...] = ()
    """The revisions drawn as this node."""

    @property
    def is_folded(self) -> bool:
        """Whether it represents several revisions."""
        return len(self.members) > 1


@dataclass(frozen=True)
class Row:
    """A line of the picture."""

    cells: str
    """One character for each lane, each followed by its connection to the next lane; ``NODE`` marks the node."""
    node: Node | None = None
    """None if the line only connects lanes."""


NODE = "@"
"""The node's character in :attr:`Row.cells`."""


SIDES = {"│": "ns", "├": "nse", "─": "we", "╮": "ws", "╯": "wn", "┬": "wes", "┴": "wen", "┼": "nswe"}
"""The directions in which each character leads: north, east, south or west."""


def leads(cells: str, lane: int, side: str) -> bool:
    """Whether a row leads in that direction in that lane.  A node leads to every neighbour."""
    sign = cells[lane * 2 : lane * 2 + 1]
    return sign == NODE or side in SIDES.get(sign, "")


def between(above: str, below: str) -> str:
    """The cells of a line between two rows."""
    lanes = range((max(len(above), len(below)) + 1) // 2)
    return " ".join("│" if leads(above, at, "s") and leads(below, at, "n") else " " for at in lanes).rstrip()


def drawn(nodes: Sequence[Node]) -> tuple[Row, ...]:
    """The rows of the picture.

    Args:
        nodes: each after those that it follows.
    """
    after: dict[str, list[str]] = {node.key: [] for node in nodes}
    for node in nodes:
        for before in node.follows:
            after[before].append(node.key)
    rows: list[Row] = []
    lanes: list[str] = []  # the node that each lane leads to; empty if the lane is free
    ended: set[int] = set()  # the lanes whose branch ends in the row above
    for node in nodes:
        mine = [lane for lane, towards in enumerate(lanes) if towards == node.key]
        if len(mine) > 1:
            rows.append(Row(_across(lanes, mine[0], mine[1:], "╯┴")))
            for lane in mine[1:]:
                lanes[lane] = ""
        at = mine[0] if mine else _free(lanes, 0)
        if not mine and at in ended:  # else it would seem to follow the node above
            rows.append(Row(_cells(lanes)))
        lanes[at] = node.key
        rows.append(Row(_cells(lanes, at), node))
        first, *more = after[node.key] or [""]
        lanes[at] = first
        ended = {at} if not first else set()
        opened = []
        for towards in more:
            opened.append(_free(lanes, at + 1))
            lanes[opened[-1]] = towards
        if opened:
            rows.append(Row(_across(lanes, at, opened, "╮┬")))
        while lanes and not lanes[-1]:
            lanes.pop()
    return tuple(rows)


def _free(lanes: list[str], start: int) -> int:
    """The first free lane from `start` on; add one if there is none."""
    lanes.extend([""] * (start + 1 - len(lanes)))
    found = next((lane for lane in range(start, len(lanes)) if not lanes[lane]), len(lanes))
    lanes.extend([""] * (found + 1 - len(lanes)))
    return found


def _cells(lanes: Sequence[str], at: int | None = None) -> str:
    signs = (NODE if lane == at else "│" if towards else " " for lane, towards in enumerate(lanes))
    return " ".join(signs).rstrip()


def _across(lanes: Sequence[str], start: int, ends: Sequence[int], signs: str) -> str:
    """The row that connects the lane `start` with `ends` to the right of it.

    Args:
        signs: the characters for the last of the ends, and for those before it.
    """
    last = max(ends)
    cells = ""
    for lane, towards in enumerate(lanes):
        if lane == start:
            cells += "├"
        elif lane in ends:
            cells += signs[0] if lane == last else signs[1]
        elif start < lane < last:
            cells += "┼" if towards else "─"
        else:
            cells += "│" if towards else " "
        cells += "─" if start <= lane < last else " "
    return cells.rstrip()


def folded(links: Sequence[Link], kept: Collection[str], applied: Collection[str]) -> tuple[Node, ...]:
    """The nodes of a picture, each after those that it follows.

    Applied revisions with no kept revision below them become one node; elsewhere, each linear run becomes one.

    Args:
        links: all revisions, each after those that it follows.
        kept: those that are shown individually.
        applied: those that count as applied.
    """
    below = _below(links, kept, applied)
    groups = _lines(links, kept, applied, below)
    members: dict[str, list[str]] = {}
    for link in links:
        members.setdefault(groups[link.revision], []).append(link.revision)
    follows: dict[str, dict[str, None]] = {key: {} for key in members}
    for link in links:
        own = groups[link.revision]
        follows[own].update({groups[one]: None for one in link.follows if one in groups and groups[one] != own})
    return tuple(Node(key, tuple(follows[key]), tuple(within)) for key, within in members.items())


def _below(links: Sequence[Link], kept: Collection[str], applied: Collection[str]) -> dict[str, str]:
    """For each revision that is applied, not kept, and follows only such ones: the first of its connected group."""
    first: dict[str, str] = {}

    def root(revision: str) -> str:
        while first[revision] != revision:
            revision = first[revision]
        return revision

    for link in links:
        if link.revision in applied and link.revision not in kept and all(one in first for one in link.follows):
            first[link.revision] = link.revision
            for one in link.follows:
                first[root(link.revision)] = root(one)
    return {revision: root(revision) for revision in first}


def _lines(
    links: Sequence[Link], kept: Collection[str], applied: Collection[str], below: Mapping[str, str]
) -> dict[str, str]:
    """For each revision, the one in whose place it is drawn."""
    heirs: dict[str, int] = {}
    for link in links:
        for one in link.follows:
            heirs[one] = heirs.get(one, 0) + 1
    groups: dict[str, str] = {}
    for link in links:
        revision = link.revision
        groups[revision] = below.get(revision, revision)
        if revision in kept or revision in below or len(link.follows) != 1:
            continue
        (before,) = link.follows
        alike = (before in applied) == (revision in applied)
        if alike and before in groups and before not in kept and before not in below and heirs[before] == 1:
            groups[revision] = groups[before]
    return groups
