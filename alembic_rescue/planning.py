"""Plan the stamp of one database, with every refusal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from alembic.script.revision import RevisionMap

from alembic_rescue import advising, findings, gate, inspection
from alembic_rescue.client import Project
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence.model import Proof
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.model import (
    Action,
    BrokenOff,
    Database,
    DatabaseReport,
    Note,
    Outcome,
    Recommendation,
    Revision,
    Target,
)


def plan_one(
    project: Project, view: View, database: Database, proof: Proof, target: str, accepted: Acceptance
) -> DatabaseReport:
    """Return what a stamp to `target` would do to one database.

    Args:
        target: as given; see :func:`alembic_rescue.rescue.plan`.
        accepted: the revisions that a person accepts responsibility for.
    """
    graph = view.graph
    refusals: tuple[Note, ...] = (*inspection.hindrances(project, database), *findings.left_over(proof))
    path: paths.Path | None = None
    skipped: tuple[Revision, ...] = ()
    try:
        path = paths.find_path(graph, database.stands_at, target)
        if database.broke_off:
            path = _going_on(graph, database, database.broke_off, path)
        paths.check_length(path.heads_after, database.id_limit, database.widen)
        skipped = gate.judged(inspection.with_evidence(graph, path.skipped, proof), accepted)
        refusals = (*refusals, *(findings.note(refusal) for refusal in gate.refusals(skipped, accepted)))
    except Refusal as refusal:
        refusals = (*refusals, findings.note(refusal))
    if path and path.nothing_to_do and not refusals:
        advice = Recommendation(Action.NOTHING, None, "the database is already at this revision")
    elif refusals and (proof.left_over or not skipped):
        advice = Recommendation(Action.STOP, None, refusals[0].message)
    else:
        advice = advising.advise(graph, database.stands_at, proof)
    more_rows = findings.more_rows(database.stands_at, path.heads_after) if path and path.stamps else ()
    return DatabaseReport(
        database=database,
        revisions=skipped,
        heads_after=path.heads_after if path and path.stamps else database.current_heads,
        stamps=path.stamps if path else (),
        pending_after=path.pending_after if path else (),
        refusals=refusals,
        findings=(*findings.of(database), *more_rows, *findings.limits(database, proof), *findings.of_stamp(database)),
        recommendation=advice,
        causes=proof.causes,
    )


def _going_on(graph: RevisionMap, database: Database, broke_off: BrokenOff, path: paths.Path) -> paths.Path:
    """The path from the rows as they are.  After an interruption, only the original target can be reached."""
    if path.heads_after != broke_off.rows_after:
        raise findings.broke_off(database, broke_off)
    return replace(path, stamps=paths.find_stamps(graph, database.current_heads, path.heads_after))


def outcome(parts: Sequence[DatabaseReport]) -> Outcome:
    """REFUSED if any is refused, NOTHING_TO_DO if all are at the target, else READY."""
    if any(part.refusals for part in parts):
        return Outcome.REFUSED
    return Outcome.READY if any(part.stamps for part in parts) else Outcome.NOTHING_TO_DO


def target_of(graph: RevisionMap, asked: str, parts: Sequence[DatabaseReport]) -> Target | None:
    """What the target resolves to in the first database that has a path to it; None if there is none."""
    for part in parts:
        with suppress(Refusal):
            found = paths.find_path(graph, part.database.stands_at, asked).targets
            return Target(asked, found, scripts.revisions(graph, found)[0].doc if len(found) == 1 else None)
    return None


def raise_if_not_writable(parts: Sequence[DatabaseReport]) -> None:
    """Raise if a database to be written cannot be written.

    Raises:
        ReadOnlyServer, PermissionDenied: see :func:`alembic_rescue.findings.hindrance`.
    """
    for part in parts:
        if part.stamps and (error := findings.hindrance(part.database)):
            raise error
