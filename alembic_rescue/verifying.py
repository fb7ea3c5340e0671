"""``upgrade --verify``: prove on a scratch database that the objects of the revisions that ran exist.

Imported only for that option.
"""

from __future__ import annotations

from dataclasses import replace

from alembic_rescue import errors, history, inspection
from alembic_rescue.client import Project
from alembic_rescue.errors import RescueError
from alembic_rescue.inspection import View
from alembic_rescue.model import Action, Outcome, Report
from alembic_rescue.proof import prove
from alembic_rescue.scratch.bench import Bench

_UNPROVED = "check it yourself: `alembic-rescue diagnose --applied` shows what could be checked"


def check_scratch(project: Project, view: View) -> None:
    """Check, before anything runs, that a scratch database is available for each database.

    Raises:
        ScratchMissing, ScratchUnfit, ScratchFailed: there is none.
    """
    try:
        for visited in view.meant:
            with Bench(project) as bench:
                bench.server(visited)
    except RescueError as error:
        error.message = f"--verify cannot prove anything, so nothing was run: {error.message}"
        raise


def proved(project: Project, view: View, report: Report) -> Report:
    """Return the report of an upgrade with the evidence for the revisions that ran.

    Raises:
        UpgradeNotProved: something is missing, or nothing can be checked.
    """
    ran = {part.database.identity.rows_key: part.ran for part in report.databases}
    parts, error = [], None
    for part, one in zip(
        report.databases,
        prove(project, view, lambda _, database: ran[database.identity.rows_key], besides=inspection.pending),
        strict=True,
    ):
        found, name = one.proof.revisions, part.database.identity.name
        missing = history.stamped_but_not_there(view.graph, found)
        advice = history.recommend_for_applied(found)
        revisions = inspection.with_evidence(view.graph, [each.revision for each in found], one.proof)
        told = replace(part, revisions=revisions, findings=(*part.findings, *one.notes, *missing))
        parts.append(replace(told, recommendation=advice))
        if missing:
            error = error or errors.UpgradeNotProved(name, missing[0].message, missing[0].help)
        elif advice.action is not Action.NOTHING:
            error = error or errors.UpgradeNotProved(name, advice.reason, _UNPROVED)
    report = replace(report, databases=tuple(parts))
    if error is not None:
        error.report = replace(report, outcome=Outcome.ERROR)
        raise error
    return report
