"""Looking at the databases that are meant: what each is, where it stands, and which revisions there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, findings, selection
from alembic_rescue.client import Project
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence.model import Proof
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import Database, Identity, Note, Receipt, Revision
from alembic_rescue.records import ledger
from alembic_rescue.worker.requests import Look, Visited

Choose = Callable[[RevisionMap, Database], Sequence[str]]
"""The revisions of a database that are in question, in Alembic's order."""


@dataclass(frozen=True)
class View:
    """What one look saw."""

    graph: RevisionMap
    """Checked: no duplicate ids, no circle, no gap."""
    scripts: Look
    meant: tuple[Visited, ...]
    """The databases that are meant, each once, in the order in which env.py visits them first."""
    left_out: tuple[Identity, ...]
    """What env.py visits besides."""

    @property
    def databases(self) -> list[Database]:
        """Those that are meant."""
        return [visited.database for visited in self.meant]

    def visited(self, database: Database) -> Visited:
        """What env.py's visit to one of those that are meant came to."""
        return next(one for one in self.meant if one.database.identity.rows_key == database.identity.rows_key)

    def without(self, kept: Sequence[Database]) -> tuple[Identity, ...]:
        """What env.py visits besides `kept`."""
        keys = {database.identity.rows_key for database in kept}
        rest = (v.database.identity for v in self.scripts.visited if v.database.identity.rows_key not in keys)
        return tuple({identity.rows_key: identity for identity in rest}.values())


def look(project: Project, only: str | None, kept: Sequence[Receipt] = ()) -> View:
    """Look at what env.py visits, and choose what is meant.

    Args:
        only: see :mod:`alembic_rescue.selection`.
        kept: the receipts, the oldest first: they tell what broke off here.

    Raises:
        SeveralDatabases, NoSuchDatabase, AmbiguousDatabase: see there.
        DuplicateRevision, RevisionCycle, MissingRevision, BadConfig: the script files contradict one another.
        RescueError: see :meth:`alembic_rescue.client.Project.look`.
    """
    seen = project.look()
    graph = scripts.graph(seen.scripts)
    first: dict[tuple[str, str], Visited] = {}
    for visited in seen.visited:
        key = visited.database.identity.rows_key
        if project.loaded.has_url and key in first:
            raise errors.SeveralDatabases(visited.database.identity.sentence)
        database = visited.database
        broke_off = None
        if database.version_table_exists and not database.rescue_at_work:
            broke_off = ledger.broken_off(kept, database.identity, database.current_heads)
        first.setdefault(key, replace(visited, database=replace(database, broke_off=broke_off)))
    chosen = selection.chosen([visited.database for visited in first.values()], only)
    meant = tuple(first[database.identity.rows_key] for database in chosen)
    view = View(graph, seen, meant, ())
    return View(graph, seen, meant, view.without(chosen))


def every(graph: RevisionMap, _: Database) -> tuple[str, ...]:
    """All revisions, in Alembic's order."""
    return paths.pending(graph, ())


def pending(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """What is pending; nothing where the rows cannot be explained."""
    return paths.pending(graph, database.stands_at) if is_explained(graph, database.stands_at) else ()


def applied(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """What counts as applied, in Alembic's order; nothing where the rows cannot be explained."""
    rows = database.stands_at
    return paths.in_order(graph, paths.up_to(graph, rows)) if is_explained(graph, rows) else ()


def applied_on(databases: Collection[tuple[str, str]]) -> Choose:
    """What counts as applied on these, by their rows' keys; nothing on others."""
    return lambda graph, database: applied(graph, database) if database.identity.rows_key in databases else ()


def is_explained(graph: RevisionMap, rows: Collection[str]) -> bool:
    """Whether the scripts know these rows, and none of them is one too many."""
    return not refusal_of(partial(paths.check_current, graph, rows))


def is_as_it_was(planned: Sequence[Revision], proof: Proof) -> bool:
    """Whether the catalog answers for each of these revisions as it did when they were planned."""
    now = {found.revision: found.objects for found in proof.revisions}
    return all(now.get(one.revision) == one.objects for one in planned)


def refusal_of(check: Callable[[], None]) -> tuple[Note, ...]:
    """What `check` refuses, as a value."""
    try:
        check()
    except Refusal as refusal:
        return (findings.note(refusal),)
    return ()


def with_evidence(graph: RevisionMap, ids: Sequence[str], proof: Proof) -> tuple[Revision, ...]:
    """These revisions, with what the proof says of each."""
    evidence = {found.revision: found for found in proof.revisions}
    return tuple(
        replace(revision, verdict=found.verdict, objects=found.objects, cancelled_by=found.cancelled_by)
        for revision in scripts.revisions(graph, ids)
        for found in [evidence[revision.revision]]
    )


def hindrances(project: Project, database: Database) -> tuple[Note, ...]:
    """Refusals that have nothing to do with revisions; where ``--url`` is given, the choice of a database is made."""
    return () if project.loaded.has_url else findings.other_database(database, os.environ)
