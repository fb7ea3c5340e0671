"""On random revision graphs: what is planned, stamped, refused and undone, compared with Alembic itself.

The starting rows are reached by really upgrading, so they are rows that Alembic leaves.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from hypothesis import HealthCheck, Phase, event, given, reject, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from alembic_rescue import Outcome, Refusal, Report, list_receipts, load, plan, stamp, undo
from alembic_rescue.graph import path as paths
from tests.conftest import fresh_database
from tests.graphs import Graph, Node, graphs, revisions, write_project

pytestmark = pytest.mark.slow

often = settings(max_examples=300, deadline=None, print_blob=True)
on_files = settings(
    often,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
    phases=set(Phase) - {Phase.explain},  # which takes minutes
)
on_a_server = settings(on_files, max_examples=5)


@pytest.fixture(autouse=True, scope="module")
def _no_other_database_is_named() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        yield


@pytest.fixture(scope="module")
def server_url(server) -> Iterator[str]:
    with fresh_database(server) as database:
        yield database.url


@dataclass(frozen=True)
class Rehearsal:
    """A real project and a real database, on which Alembic and the tool run in turn."""

    folder: Path
    ini: Path
    url: str

    def sql(self, *statements: str) -> list[Any]:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            results = [connection.execute(text(statement)) for statement in statements]
            return results[-1].fetchall() if results[-1].returns_rows else []

    @property
    def rows(self) -> tuple[str, ...]:
        if not inspect(create_engine(self.url, poolclass=NullPool)).has_table("alembic_version"):
            return ()
        return tuple(sorted(row[0] for row in self.sql("SELECT version_num FROM alembic_version")))

    def put_back(self, rows: tuple[str, ...]) -> None:
        inserts = [f"INSERT INTO alembic_version (version_num) VALUES ('{row}')" for row in rows]
        self.sql("DELETE FROM alembic_version", *inserts)

    def upgrade(self, target: str) -> list[str]:
        """Run ``alembic upgrade``; return what it ran, in its order."""
        config = Config(str(self.ini))
        try:
            command.upgrade(config, target)
        except KeyError:
            # Alembic's own bug, at a merge that also depends on what one of its sides follows: it deletes a row
            # that does not exist.  There is nothing to compare with.
            reject()
        return config.attributes.get("applied", [])

    def plan(self, target: str) -> Report:
        return plan(load(str(self.ini)), target)

    def stamp(self, target: str) -> Report:
        return stamp(load(str(self.ini)), target, confirm=lambda _: True, folder=self.receipts)

    def undo(self) -> Report:
        return undo(load(str(self.ini)), confirm=lambda _: True, folder=self.receipts)

    @property
    def receipts(self) -> Path:
        return self.folder / "receipts"


@contextlib.contextmanager
def rehearsal_of(graph: Graph, server_url: str | None = None) -> Iterator[Rehearsal]:
    """Use a new SQLite file, or the server's database without its version table."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name:
        folder = Path(name)
        url = server_url or f"sqlite:///{folder / 'database.sqlite'}"
        rehearsal = Rehearsal(folder, write_project(folder, graph.nodes, url), url)
        rehearsal.sql("DROP TABLE IF EXISTS alembic_version")
        yield rehearsal


def _targets(graph: Graph) -> list[str]:
    """Everything that a person may write as a target in this graph."""
    branches = [*graph.labels, graph.ids[-1]]
    return [
        *graph.ids,
        *("head", "heads", "base", "+1", "+2"),
        *(f"{branch}@{symbol}" for branch in branches for symbol in ("head", "heads", "+1")),
        *(f"{revision}{count}" for revision in (graph.ids[0], graph.ids[-1]) for count in ("+1", "+2", "-1")),
    ]


def _reach_some_rows(rehearsal: Rehearsal, graph: Graph, data: st.DataObject) -> tuple[str, ...]:
    for _ in range(data.draw(st.sampled_from([1, 2, 0, 3, 3]))):
        # Mostly the earlier ones: something must be left ahead.
        early = st.sampled_from(graph.ids[: len(graph.ids) // 2 + 1])
        rehearsal.upgrade(data.draw(early | st.sampled_from(graph.ids), label="upgraded to"))
    return rehearsal.rows


@often
@given(graphs(), st.data())
def test_exactly_the_revisions_ahead_are_allowed(graph: Graph, data: st.DataObject) -> None:
    applied = graph.up_to(data.draw(st.lists(st.sampled_from(graph.ids), max_size=3)))
    rows = applied - set().union(*(graph.builds_on(node) for node in graph.nodes if node.id in applied))
    revision_map = paths.load(revisions(*graph.nodes))
    for target in graph.ids:
        where = graph.stands(rows, target)
        if where == "behind":
            with pytest.raises(Refusal) as refused:
                paths.find_path(revision_map, rows, target)
            assert refused.value.code == "target-behind-current"
            continue
        path = paths.find_path(revision_map, rows, target)
        assert path.nothing_to_do == (where == "there")
        assert set(path.skipped) == graph.up_to([target]) - applied
        assert set(path.pending_after) == set(graph.ids) - applied - set(path.skipped)
        assert set(path.heads_after) == graph.up_to(path.heads_after) - set().union(
            *(graph.builds_on(node) for node in graph.nodes if node.id in applied | set(path.skipped))
        )


def _hold_against_alembic(rehearsal: Rehearsal, graph: Graph, data: st.DataObject) -> None:
    before = _reach_some_rows(rehearsal, graph, data)
    ahead = [revision for revision in graph.ids if graph.stands(before, revision) == "ahead"]
    any_target = st.sampled_from(_targets(graph))
    target = data.draw(st.sampled_from(ahead) | any_target if ahead else any_target, label="target")
    try:
        ran: list[str] | None = rehearsal.upgrade(target)
    except (CommandError, AssertionError):  # the latter if it counts from a revision and runs out of others
        ran = None
    after = rehearsal.rows
    if before or after:
        rehearsal.put_back(before)

    report = rehearsal.plan(target)
    event(f"{report.outcome.value}, {len(before)} rows to {len(after)}")
    if ran is None:
        assert report.outcome is Outcome.REFUSED
        return
    if report.outcome is Outcome.REFUSED:
        (refusal,) = report.refusals
        assert refusal.code == "target-behind-current"
        assert not ran, "Alembic would have gone forward"
        return
    (part,) = report.databases
    assert [revision.revision for revision in part.revisions] == ran
    assert part.heads_after == after
    if report.outcome is Outcome.NOTHING_TO_DO:
        assert after == before
        return
    rehearsal.stamp(target)
    assert rehearsal.rows == after
    rehearsal.undo()
    assert rehearsal.rows == before


@on_files
@given(graphs(), st.data())
def test_a_stamp_leaves_the_rows_that_an_upgrade_leaves_and_undo_restores_the_old_ones(
    graph: Graph, data: st.DataObject
) -> None:
    with rehearsal_of(graph) as rehearsal:
        _hold_against_alembic(rehearsal, graph, data)


@on_a_server
@given(graph=graphs(max_size=6), data=st.data())
def test_the_same_on_postgresql(server_url: str, graph: Graph, data: st.DataObject) -> None:
    with rehearsal_of(graph, server_url) as rehearsal:
        _hold_against_alembic(rehearsal, graph, data)


@on_files
@given(graphs(), st.data())
def test_a_target_off_the_path_is_refused_and_nothing_is_written(graph: Graph, data: st.DataObject) -> None:
    with rehearsal_of(graph) as rehearsal:
        before = _reach_some_rows(rehearsal, graph, data)
        off = [r for r in graph.ids if graph.stands(before, r) == "behind"]
        target = data.draw(st.sampled_from([*off, *off, "rev99", "branch99@head", "", "-1"]), label="target")
        event(graph.stands(before, target) if target in off else "is not a revision")
        file_before = (rehearsal.folder / "database.sqlite").read_bytes()

        with pytest.raises(Refusal):
            rehearsal.stamp(target)

        assert (rehearsal.folder / "database.sqlite").read_bytes() == file_before
        assert not rehearsal.receipts.exists()
        assert list_receipts(rehearsal.receipts) == []


def test_a_head_that_is_not_upgraded_to_does_not_change_the_order() -> None:
    trunk, left, right = Node("trunk"), Node("left", ("trunk",)), Node("right", ("trunk",))
    graph = Graph((trunk, left, Node("left_head", ("left",)), right, Node("merged", ("left", "right"))))
    with rehearsal_of(graph) as rehearsal:
        planned = [revision.revision for revision in rehearsal.plan("merged").databases[0].revisions]
        assert planned == rehearsal.upgrade("merged")
