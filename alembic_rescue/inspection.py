"""Look at the selected databases: what each is, where it stands, and which revisions the scripts have."""

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
"""Returns the revisions to examine on a database, in Alembic's order."""


@dataclass(frozen=True)
class View:
    """The result of one look."""

    graph: RevisionMap
    """Checked: no duplicate ids, no cycle, no missing revision."""
    scripts: Look
    meant: tuple[Visited, ...]
    """The selected databases, each once, in the order of env.py's first visit."""
    left_out: tuple[Identity, ...]
    """The other databases that env.py visits."""

    @property
    def databases(self) -> list[Database]:
        """The selected databases."""
        return [visited.database for visited in self.meant]

    def visited(self, database: Database) -> Visited:
        """The result of env.py's visit to one of the selected databases."""
        return next(one for one in self.meant if one.database.identity.rows_key == database.identity.rows_key)

    def without(self, kept: Sequence[Database]) -> tuple[Identity, ...]:
        """The databases that env.py visits, without `kept`."""
        keys = {database.identity.rows_key for database in kept}
        rest = (v.database.identity for v in self.scripts.visited if v.database.identity.rows_key not in keys)
        return tuple({identity.rows_key: identity for identity in rest}.values())


def look(project: Project, only: str | None, kept: Sequence[Receipt] = ()) -> View:
    """Look at the databases that env.py visits, and select those that `only` means.

    Args:
        only: see :mod:`alembic_rescue.selection`.
        kept: the receipts, oldest first, which show interrupted commands.

    Raises:
        SeveralDatabases, NoSuchDatabase, AmbiguousDatabase: see there.
        DuplicateRevision, RevisionCycle, MissingRevision, BadConfig: the script files contradict one another.
        RescueError: see :meth:`alembic_rescue.client.Project.look`.
    """
    return of_look(project, project.look(), only, kept)


def of_look(project: Project, seen: Look, only: str | None, kept: Sequence[Receipt] = ()) -> View:
    """Return the same for an existing look."""
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
    """The pending revisions; none if the rows cannot be explained."""
    return paths.pending(graph, database.stands_at) if is_explained(graph, database.stands_at) else ()


def applied(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """The applied revisions by the version table, in Alembic's order; none if the rows cannot be explained."""
    rows = database.stands_at
    return paths.in_order(graph, paths.up_to(graph, rows)) if is_explained(graph, rows) else ()


def applied_on(databases: Collection[tuple[str, str]]) -> Choose:
    """The applied revisions on the databases with these rows' keys; none on others."""
    return lambda graph, database: applied(graph, database) if database.identity.rows_key in databases else ()


def is_explained(graph: RevisionMap, rows: Collection[str]) -> bool:
    """Whether the scripts know all these rows, and no row is redundant."""
    return not refusal_of(partial(paths.check_current, graph, rows))


def is_as_it_was(planned: Sequence[Revision], proof: Proof) -> bool:
    """Whether the catalog says the same of each revision as when it was planned."""
    now = {found.revision: found.objects for found in proof.revisions}
    return all(now.get(one.revision) == one.objects for one in planned)


def refusal_of(check: Callable[[], None]) -> tuple[Note, ...]:
    """The refusal that `check` raises, as a value."""
    try:
        check()
    except Refusal as refusal:
        return (findings.note(refusal),)
    return ()


def with_evidence(graph: RevisionMap, ids: Sequence[str], proof: Proof) -> tuple[Revision, ...]:
    """These revisions, with the proof's evidence for each."""
    evidence = {found.revision: found for found in proof.revisions}
    return tuple(
        replace(revision, verdict=found.verdict, objects=found.objects, cancelled_by=found.cancelled_by)
        for revision in scripts.revisions(graph, ids)
        for found in [evidence[revision.revision]]
    )


def hindrances(project: Project, database: Database) -> tuple[Note, ...]:
    """Refusals unrelated to revisions.  With ``--url``, the choice of a database is not questioned."""
    return () if project.loaded.has_url else findings.other_database(database, os.environ)
