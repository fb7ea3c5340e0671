"""The evidence for a person: the chain, and below it what is missing, with the SQL that makes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from alembic_rescue.evidence.model import ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Revision
from alembic_rescue.report import picture as pictures
from alembic_rescue.report.page import Page
from alembic_rescue.report.picture import Entry, Line

_SHOWN_SENT = 50
_SHOWN_OBJECTS = 10
_LEAST_MESSAGE = 10
"""Characters; less of a message tells nothing."""
_STYLE = {
    Verdict.APPLIED: "green",
    Verdict.PARTIAL: "bold yellow",
    Verdict.NOT_APPLIED: "red",
    Verdict.UNVERIFIABLE: "yellow",
    Verdict.EMPTY: "dim",
}


def picture(page: Page, lines: Sequence[Line]) -> None:
    """The chain, a line for each revision: sign, id, verdict, what was found, message, and what is to be found there.

    Nothing is wrapped: a message that has no room ends in an ellipsis.
    """
    entries = [line.entry for line in lines if line.entry]
    widths = [max(map(len, column)) for column in zip(*map(_columns, entries), strict=True)]
    signs = max(len(line.cells) for line in lines)
    for line in lines:
        text = Text("  ")
        text.append(line.graph, _STYLE.get(line.entry.verdict, "") if line.entry and line.entry.verdict else "")
        if line.entry:
            text.append(" " * (signs - len(line.cells) + 2))
            _told_of(text, line.entry, widths, page.width)
        text.rstrip()
        page.copied(text, 0)


def _columns(entry: Entry) -> tuple[str, str, str]:
    return entry.name, entry.verdict.value if entry.verdict else "", entry.found


def _told_of(text: Text, entry: Entry, widths: Sequence[int], width: int) -> None:
    """Append what is said of a revision."""
    if entry.name:
        styles = ("bold" if entry.marks else "", _STYLE[entry.verdict] if entry.verdict else "", "")
        for value, space, style in zip(_columns(entry), widths, styles, strict=True):
            if space:
                text.append(value, style).append(" " * (space - len(value) + 2))
    marks = f"  ← {', '.join(entry.marks)}" if entry.marks else ""
    remark = f" ({entry.remark})" if entry.remark else ""
    doc, room = entry.doc, max(width - len(text) - len(marks) - len(remark), 0)
    if len(doc) > room:
        doc = f"{doc[: room - 3].rstrip()}..." if room > _LEAST_MESSAGE else ""
    text.append(doc, "" if entry.verdict or entry.marks else "dim").append(remark).append(marks, "bold cyan")


def details(page: Page, shown: Sequence[Revision], *, stamped: bool = False) -> None:
    """What is half there or unproved; of what was stamped, also what is absent."""
    in_detail = {Verdict.PARTIAL, Verdict.NOT_APPLIED} if stamped else {Verdict.PARTIAL}
    chosen = set(pictures.chosen(shown))
    reasons = Counter(_only_reason(revision) for revision in shown)
    for revision in shown:
        if revision.revision not in chosen:
            continue
        if revision.verdict in in_detail:
            _missing(page, revision)
        shared = reasons[_only_reason(revision)] > 1 and _only_reason(revision) is not None
        if revision.verdict in {*in_detail, Verdict.UNVERIFIABLE} and not shared:
            _unread(page, revision)
    for reason, number in reasons.items():
        if reason is not None and number > 1:
            page.line()
            page.line(f"{number} revisions are unverifiable: {reason}", "bold")
    if len(chosen) < len(shown):
        page.line()
        page.line(f"{len(shown) - len(chosen)} revisions are folded. To list all: `alembic-rescue --format json`")


def sent(page: Page, shown: Sequence[Revision]) -> None:
    """What revisions that nobody observed would have sent."""
    for revision in shown[:_SHOWN_SENT]:
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
