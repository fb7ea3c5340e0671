"""The words of an upgrade, while it runs and when it is done.  Returns strings."""

from __future__ import annotations

from collections.abc import Collection

from rich.text import Text

from alembic_rescue.errors import rows, some
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.model import Note, Outcome, Report
from alembic_rescue.report import waiting as waited
from alembic_rescue.report.page import Sheet, count
from alembic_rescue.upgrading import Again, Said, Waiting, swallowed
from alembic_rescue.worker.requests import RUNNING, Progress, Swallowed

_LONGEST = 100
"""Longest statement shown, in characters."""


def waiting(said: Waiting) -> tuple[str, str]:
    """Return the line about the other upgrade, split into the part that stays the same and the time waited."""
    who, _, since = said.who.partition(", connected for ")
    return f"Waiting: {who}{')' if since else ''}", f", for {said.seconds:.0f} s" if said.seconds >= 1 else ""


def begins(said: Progress) -> str:
    """Return the line for a revision that begins."""
    doc = f", {said.facts['doc']}" if said.facts.get("doc") else ""
    return f"{said.doing} {said.revision}{doc} ({said.number} of {said.of})"


def goes_on(said: Progress) -> str:
    """Return the line for a revision that still runs."""
    statement, seconds = said.facts.get("statement", ""), said.facts.get("seconds", "")
    if said.doing != RUNNING:
        return f"{said.doing}: {said.revision} ({said.number} of {said.of})"
    if not statement:
        return f"{said.doing} {said.revision}: no statement for {seconds} s"
    shown = statement if len(statement) <= _LONGEST else f"{statement[:_LONGEST]}..."
    return f"{said.revision} has been running this statement for {seconds} s: {shown}"


def told(said: Said) -> list[str]:
    """Return the lines for something that happened during the run."""
    if isinstance(said, Swallowed):
        said = swallowed(said)
    if isinstance(said, Note):
        return [f"warning[{said.code}]: {said.message}", f"help: {sentence(said.help)}"]
    if isinstance(said, Again):
        place = f" at {said.place}" if said.place else ""
        lines = [f"{sentence(said.failure.message)}{place}. It left no changes."]
        lines += [
            f"  pid {one.who} ({one.application}, {one.role}): {one.state}"
            + (f" for {one.age_seconds:.0f} s" if one.age_seconds is not None else "")
            + (f", {one.query}" if one.query else "")
            for one in said.failure.blockers
        ]
        return [*lines, f"Trying again in {said.pause:.1f} s ({said.number} of {said.of})"]
    return []


def upgraded(report: Report, *, page: Sheet, is_proved: bool, known: Collection[str] = ()) -> str:
    """Return the text of a successful ``upgrade``.

    Args:
        known: the codes of the warnings that were printed already.
    """
    page.begin("upgrade")
    nothing = report.outcome is Outcome.NOTHING_TO_DO
    for part in report.databases:
        ran = f" It ran {count(part.ran)}: {some(part.ran, verb=False)}." if part.ran else ""
        at = f": {part.database.identity.sentence} is at {rows(part.database.current_heads)}.{ran}"
        head = ("Nothing to do", "bold green") if nothing or not part.ran else ("Upgraded", "bold green")
        page.line(Text.assemble(head, at))
    if is_proved and not nothing:
        waited.proved(page, report)
    for note in dict.fromkeys(note for part in report.databases for note in part.findings):
        if note.code in known:
            continue
        page.warning(note)
    for part in {(part.database.current_heads, part.revisions): part for part in report.databases}.values():
        page.whole(report, part)
    return page.text()
