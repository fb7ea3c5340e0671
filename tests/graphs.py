"""Random revision graphs, as Alembic's own revision map and as real Alembic projects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic.script.revision import Revision, RevisionMap
from hypothesis import strategies as st

ENV = '''\
"""The stock env.py, without its logging; it notes in the Config which revisions Alembic applies."""

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

config = context.config


def note(step, **_):
    config.attributes.setdefault("applied", []).append(step.up_revision_id)


engine = create_engine(config.get_main_option("sqlalchemy.url"), poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, on_version_apply=note)
    with context.begin_transaction():
        context.run_migrations()
'''

REVISION = '''\
"""step {node.id}"""

revision = {node.id!r}
down_revision = {down!r}
branch_labels = {node.labels!r}
depends_on = {node.depends_on!r}


def upgrade():
    pass


def downgrade():
    pass
'''


@dataclass(frozen=True)
class Node:
    """One revision, as its file declares it."""

    id: str
    down: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    """Ids or labels of other revisions."""
    labels: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return REVISION.format(node=self, down=self.down if len(self.down) > 1 else next(iter(self.down), None))


@dataclass(frozen=True)
class Graph:
    """Revisions, each after everything that it builds on."""

    nodes: tuple[Node, ...]

    @property
    def ids(self) -> list[str]:
        return [node.id for node in self.nodes]

    @property
    def labels(self) -> list[str]:
        return [label for node in self.nodes for label in node.labels]

    def revision_map(self) -> RevisionMap:
        """The graph in memory, as Alembic holds it."""
        return revision_map(*self.nodes)

    def builds_on(self, node: Node) -> set[str]:
        """Return the ids that a revision builds on directly: it follows them, or depends on them."""
        labelled = {label: other.id for other in self.nodes for label in other.labels}
        return {labelled.get(name, name) for name in (*node.down, *node.depends_on)}

    def up_to(self, revisions: Iterable[str]) -> set[str]:
        """Return these revisions and everything that they build on."""
        found = set(revisions)
        for node in reversed(self.nodes):
            if node.id in found:
                found |= self.builds_on(node)
        return found

    def stands(self, current: Iterable[str], target: str) -> str:
        """Return where a revision is, seen from the version table's rows: ``there``, ``behind`` or ``ahead``."""
        applied = self.up_to(current)
        branches_at = applied - {down for node in self.nodes if node.id in applied for down in node.down}
        if target in applied:
            return "there" if target in branches_at else "behind"
        return "ahead"


def revision_map(*nodes: Node) -> RevisionMap:
    """Return these revisions as Alembic holds them."""
    return RevisionMap(lambda: revisions(*nodes))


def revisions(*nodes: Node) -> Iterator[Revision]:
    """Return each of them as a graph's node."""
    return (Revision(n.id, n.down, n.depends_on or None, n.labels or None) for n in nodes)


def write_project(root: Path, nodes: Iterable[Node], url: str) -> Path:
    """Write a real Alembic project with these revisions, with empty bodies; return its alembic.ini."""
    versions = root / "alembic" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic" / "env.py").write_text(ENV)
    for node in nodes:
        (versions / f"{node.id}_.py").write_text(node.file)
    ini = root / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = {root / 'alembic'}\nsqlalchemy.url = {url.replace('%', '%%')}\n")
    return ini


@st.composite
def graphs(draw: st.DrawFn, max_size: int = 9) -> Graph:
    """Graphs with branches, merges, several bases, labels, and dependencies by id or by label.

    Neither the ids nor the order of the files show how two revisions are related.
    """
    size = draw(st.integers(1, max_size) | st.integers(max_size // 2, max_size))
    numbers = draw(st.permutations(range(size)))
    graph = Graph(())
    for number in numbers:
        down = draw(_antichains(graph)) if graph.nodes else ()
        depends_on: tuple[str, ...] = ()
        if graph.nodes and draw(st.integers(0, 3)) == 0:
            others = [name for name in (*graph.ids, *graph.labels) if name not in down]
            depends_on = tuple(draw(st.lists(st.sampled_from(others), max_size=2, unique=True))) if others else ()
        labels = (f"branch{number}",) if draw(st.integers(0, 3)) == 0 else ()
        graph = Graph((*graph.nodes, Node(f"rev{number:02}", down, depends_on, labels)))
    return graph


@st.composite
def _antichains(draw: st.DrawFn, graph: Graph) -> tuple[str, ...]:
    """What a new revision follows: nothing, usually one revision, or several of which none follows another."""
    lines = Graph(tuple(Node(node.id, node.down) for node in graph.nodes))
    below = {revision: lines.up_to([revision]) for revision in graph.ids}
    chosen: list[str] = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2, 2, 3]))):
        if free := [r for r in graph.ids if all(r not in below[c] and c not in below[r] for c in chosen)]:
            chosen.append(draw(st.sampled_from(free[::-1])))  # the latest first: failures shrink to chains, not stars
    return tuple(chosen)
