"""The evidence for a person: a line for each revision, and below what is missing, with the SQL that makes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from rich.text import Text

from alembic_rescue.evidence.model import ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Revision
from alembic_rescue.report.page import Page, columns

_SHOWN_REVISIONS = 50
"""More rows than this help nobody at a terminal; the JSON has them all."""
_SHOWN_OBJECTS = 10
_WIDE_ENOUGH_FOR_FILES = 160
"""Columns; in fewer a table would break the files' names."""
_STYLE = {
    Verdict.APPLIED: "green",
    Verdict.PARTIAL: "bold yellow",
    Verdict.NOT_APPLIED: "red",
    Verdict.UNVERIFIABLE: "yellow",
    Verdict.EMPTY: "dim",
}


def revisions(page: Page, shown: Sequence[Revision], *, stamped: bool = False) -> None:
    """The table, and the details of what is half there or unproved; of what was stamped, also of what is absent."""
    in_detail = {Verdict.PARTIAL, Verdict.NOT_APPLIED} if stamped else {Verdict.PARTIAL}
    table = columns("", "Evidence", "Found", "Revision", "")
    with_files = page.width >= _WIDE_ENOUGH_FOR_FILES
    if with_files:
        table.add_column("File", overflow="fold")
    chosen = _chosen(shown, in_detail)
    for revision in chosen:
        verdict = Text(revision.verdict.value + _remark(revision), _STYLE[revision.verdict])
        row: list[str | Text] = ["", verdict, _there(revision), revision.revision, Text(revision.doc)]
        table.add_row(*row, *([Text(revision.path, "dim")] if with_files else []))
    page.table(table)
    kept = {revision.revision for revision in chosen}
    if rest := [revision.verdict.value for revision in shown if revision.revision not in kept]:
        verdicts = ", ".join(f"{number} {verdict}" for verdict, number in Counter(rest).items())
        page.indented(f"and {len(rest)} more ({verdicts}). To list all: `alembic-rescue --format json`")
    reasons = Counter(_only_reason(revision) for revision in shown)
    for revision in chosen:
        if revision.verdict in in_detail:
            _missing(page, revision)
        shared = reasons[_only_reason(revision)] > 1 and _only_reason(revision) is not None
        if revision.verdict in {*in_detail, Verdict.UNVERIFIABLE} and not shared:
            _unread(page, revision)
    for reason, number in reasons.items():
        if reason is not None and number > 1:
            page.line()
            page.line(f"{number} revisions are unverifiable: {reason}", "bold")


def _chosen(shown: Sequence[Revision], in_detail: Collection[Verdict]) -> Sequence[Revision]:
    """As many as help somebody at a terminal, in their order: those that lack something, then those in doubt."""
    if len(shown) <= _SHOWN_REVISIONS:
        return shown

    def by_weight(revision: Revision) -> int:
        if revision.verdict in in_detail:
            return 0
        return 1 if revision.verdict in {Verdict.UNVERIFIABLE, Verdict.NOT_APPLIED} else 2

    weightiest = {revision.revision for revision in sorted(shown, key=by_weight)[:_SHOWN_REVISIONS]}
    return [revision for revision in shown if revision.revision in weightiest]


def sent(page: Page, shown: Sequence[Revision]) -> None:
    """What revisions that nobody observed would have sent."""
    for revision in shown[:_SHOWN_REVISIONS]:
        for found in revision.objects:
            if found.presence is Presence.UNVERIFIABLE and found.sql:
                page.line()
                page.line(f"{revision.revision} would send:", "bold")
                for line in found.sql.splitlines():
                    page.copied(Text(line, "cyan"), 2)


def _only_reason(revision: Revision) -> str | None:
    """Why nothing of it can be checked, where that is one thing that has no place in its file."""
    if revision.verdict is Verdict.UNVERIFIABLE and len(revision.objects) == 1 and revision.objects[0].line is None:
        return revision.objects[0].detail
    return None


def _remark(revision: Revision) -> str:
    if revision.accepted:
        return " (accepted)"
    if revision.verdict is Verdict.EMPTY and revision.cancelled_by:
        return f" (reverted by {', '.join(revision.cancelled_by)})"
    return ""


def _there(revision: Revision) -> str:
    """``3 of 7``: how many of the objects that can be checked are as they should be."""
    checked = [found for found in revision.objects if found.presence is not Presence.UNVERIFIABLE]
    return f"{sum(found.met for found in checked)} of {len(checked)}" if checked else "-"


def _missing(page: Page, revision: Revision) -> None:
    page.line()
    page.line(f"{revision.revision} is incomplete. Missing or different, with the SQL to fix it:", "bold")
    page.indented(Text(revision.path, "dim"))
    for found in revision.missing:
        page.indented(_told(found))
        if found.sql:
            for line in found.sql.rstrip().splitlines():
                page.copied(Text(line, "cyan"))


def _unread(page: Page, revision: Revision) -> None:
    unread = revision.unread
    if not unread:
        return
    page.line()
    page.line(f"{revision.revision} makes changes that the catalog does not record:", "bold")
    page.indented(Text(revision.path, "dim"))
    for found in unread[:_SHOWN_OBJECTS]:
        named = "" if found.name == revision.revision else f"{found.named}: "
        page.indented(f"{_line(found)}{named}{found.detail}")
    if len(unread) > _SHOWN_OBJECTS:
        page.indented(f"and {len(unread) - _SHOWN_OBJECTS} more. To list all: `alembic-rescue --format json`")


def _told(found: ObjectEvidence) -> str:
    if found.presence is Presence.DIFFERENT:
        return f"{_line(found)}{found.named} is different: {found.detail}"
    return f"{_line(found)}{found.named} is {found.presence.value}, but should be {found.expected}"


def _line(found: ObjectEvidence) -> str:
    return f"line {found.line}: " if found.line else ""
