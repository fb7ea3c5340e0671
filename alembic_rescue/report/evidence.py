"""Report the evidence: below the chain, what is missing, with the SQL that creates it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from alembic_rescue.evidence import unread
from alembic_rescue.evidence.model import ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Revision
from alembic_rescue.report import picture as pictures
from alembic_rescue.report.page import Sheet

_SHOWN_SENT = 50
_SHOWN_OBJECTS = 10


def details(page: Sheet, shown: Sequence[Revision], *, stamped: bool = False) -> None:
    """What is partial or unproved; for stamped revisions, also what is absent."""
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
            page.title(f"{number} revisions are unverifiable: {reason}")
    if len(chosen) < len(shown):
        page.line()
        page.unlisted(f"{len(shown) - len(chosen)} revisions are folded.")


def sent(page: Sheet, shown: Sequence[Revision]) -> None:
    """What revisions that nobody observed would have sent."""
    for revision in shown[:_SHOWN_SENT]:
        for found in revision.objects:
            if found.presence is Presence.UNVERIFIABLE and found.sql:
                with page.folding(f"{revision.revision} would send"):
                    for line in found.sql.splitlines():
                        page.copied(Text(line, "cyan"), 2)


def _only_reason(revision: Revision) -> str | None:
    """Why nothing of it can be verified, if that is one reason without a place in its file."""
    if revision.verdict is Verdict.UNVERIFIABLE and len(revision.objects) == 1 and revision.objects[0].line is None:
        return revision.objects[0].detail
    return None


def _missing(page: Sheet, revision: Revision) -> None:
    with page.folding(
        f"{revision.revision} is incomplete. Missing or different, with the SQL to fix it", revision.path
    ):
        for found in revision.missing:
            page.indented(told(found))
            if found.sql:
                for line in found.sql.rstrip().splitlines():
                    page.copied(Text(line, "cyan"))


def _unread(page: Sheet, revision: Revision) -> None:
    reasons = list(unread.reasons(revision.unread, revision.revision))
    if not reasons:
        return
    with page.folding(f"{revision.revision} cannot be verified in full", revision.path):
        for reason in reasons[:_SHOWN_OBJECTS]:
            page.indented(reason)
        if len(reasons) > _SHOWN_OBJECTS:
            page.unlisted(f"and {len(reasons) - _SHOWN_OBJECTS} more.", 2)


def told(found: ObjectEvidence) -> str:
    """What is missing or different."""
    if found.presence is Presence.DIFFERENT:
        return f"{_line(found)}{found.named} is different: {found.detail}"
    return f"{_line(found)}{found.named} is {found.presence.value}, but should be {found.expected}"


def _line(found: ObjectEvidence) -> str:
    return f"line {found.line}: " if found.line else ""
