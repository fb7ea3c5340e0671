"""All that is known of revisions and of failures, for pages with room for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alembic_rescue.evidence.model import Presence, Verdict
from alembic_rescue.model import DatabaseReport, Report, Revision
from alembic_rescue.report import evidence, picture
from alembic_rescue.report.page import Sheet

_SQL = (
    "SQL is shown for what is missing or different. What is not applied yet is made by the next `alembic upgrade`: "
    "do not run its SQL by hand."
)


def _named(report: Report, part: DatabaseReport) -> str:
    """The database, by its name if there are several."""
    return part.database.identity.name if len(report.databases) > 1 else "this database"


def causes(page: Sheet, report: Report, part: DatabaseReport) -> None:
    """What fails, each with the lines of its file."""
    if not part.causes or report.outcome in picture.WRITTEN:
        return
    excerpts = {(one.path, one.line): one for one in report.excerpts}
    on = "" if part.from_empty and len(report.databases) == 1 else f" on {_named(report, part)}"
    page.title(f"What fails{on}, and where")
    for cause in part.causes:
        with page.folding(f"{cause.revision}: {cause.place}"):
            page.line(f"{cause.error}. To fix it: {cause.fix}")
            if found := excerpts.get((cause.path, cause.line)):
                for number, text in found.lines:
                    page.copied(f"{'>' if number == cause.line else ' '} {number:4}  {text}".rstrip())


def revisions(
    page: Sheet, report: Report, part: DatabaseReport, choose: Callable[[Sequence[Revision]], Sequence[str]]
) -> None:
    """Each revision with its file and its objects, and the SQL for what is missing."""
    found = picture.in_question(report, part)
    chosen = set(choose(found))
    if not chosen:
        return
    page.title(f"Each revision, with its objects in {_named(report, part)}")
    if any(one.sql for revision in found for one in revision.objects):
        page.line(_SQL)
    for revision in found:
        if revision.revision in chosen:
            there = picture.there(revision)
            verdict = revision.verdict.words if there in {"", "-"} else f"{revision.verdict.words}, {there}"
            with page.folding(f"{revision.revision}: {revision.doc}: {verdict}", revision.path):
                _objects(page, revision)


def _objects(page: Sheet, revision: Revision) -> None:
    if revision.verdict is Verdict.EMPTY and not revision.objects:
        page.line("It changes nothing that a catalog records.")
    for found in revision.objects:
        place = f"line {found.line}: " if found.line else ""
        if found.met:
            also = f" ({found.detail})" if found.detail else ""
            page.fact("", f"{place}{found.named} is {found.presence.value}, as expected{also}")
        elif found.presence is Presence.UNVERIFIABLE:
            page.fact("", f"{place}{found.named} cannot be verified: {found.detail}")
        else:
            page.fact("", evidence.told(found))
        if found.sql:
            page.copied(found.sql.rstrip())
