"""``rehearse --from-empty`` for a person: what ran, what fails and where, and the warnings."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text

from alembic_rescue.errors import rows
from alembic_rescue.evidence.from_empty import FAILS, FromEmpty
from alembic_rescue.model import DatabaseReport, Note, Outcome, Report
from alembic_rescue.report.page import Sheet, count


def rehearsed(report: Report, *, page: Sheet) -> str:
    """Return the report as text."""
    page.begin(f"{report.command} --from-empty")
    for part in report.databases:
        _one(page, report, part)
    page.line()
    if report.outcome is Outcome.NOTHING_TO_DO:
        page.line(Text.assemble(("Nothing to do", "bold green"), ": the project has no revisions."))
    elif report.outcome is Outcome.PASSES:
        page.line(Text.assemble(("Passes", "bold green"), ". Nothing failed. No other database was opened."))
    else:
        page.line(Text.assemble(("Fails", "bold red"), ". First fix the problems above."))
    for part in report.databases:  # the picture shows how far the run got
        page.whole(report, replace(part, database=replace(part.database, current_heads=part.heads_after)))
    return page.text()


def _one(page: Sheet, report: Report, part: DatabaseReport) -> None:
    found, identity = part.from_empty, part.database.identity
    assert found is not None, "each was run"
    if len(report.databases) > 1:
        page.line()
        page.fact("Stands for", " ".join([identity.database, *(f"({one})" for one in part.database.called)]))
    version = f" {identity.server_version}" if identity.server_version else ""
    page.fact("Database", f"an empty one on the scratch server ({identity.dialect}{version})", style="bold")
    if found.against:
        before = f"{found.against} ({found.commit[:12]}): {count(found.before)} run first, not reported"
        page.fact("Before", before)
    page.fact("Ran", _ran(part, found))
    page.fact("Models", _models(found))
    for note in part.findings:
        _note(page, note)


def _ran(part: DatabaseReport, found: FromEmpty) -> str:
    new = "new " if found.against else ""
    ran = count(found.ran).replace("revision", f"{new}revision")
    if found.failed:
        rest = f"; {count(found.not_run)} not run" if found.not_run else ""
        return f"{ran}, then {found.failed} fails{rest}"
    return f"{ran}, up to {rows(part.heads_after)}" if found.ran else f"no {new}revision"


def _models(found: FromEmpty) -> str:
    if found.models is None:
        return "not compared"
    number = len(found.models)
    return f"{number} difference{'s' if number > 1 else ''}" if number else "no difference"


def _note(page: Sheet, note: Note) -> None:
    page.line()
    (page.error if note.code in FAILS else page.warning)(note)
