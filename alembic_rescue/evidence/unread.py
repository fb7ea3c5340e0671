"""The parts of a revision that cannot be verified, in words.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic_rescue.evidence.model import ObjectEvidence

_MANY = 3
"""At this many lines with the same reason, only their numbers are listed."""


def reasons(unread: Sequence[ObjectEvidence], revision: str) -> Iterator[str]:
    """Yield each part of a revision that cannot be verified, and why."""
    alike: dict[tuple[str | None, str | None], list[ObjectEvidence]] = {}
    for found in unread:
        alike.setdefault((found.detail, found.path), []).append(found)
    for (detail, _), members in alike.items():
        lines = sorted({found.line for found in members if found.line})
        if len(lines) >= _MANY:
            yield f"lines {', '.join(map(str, lines))}: {detail}"
        else:
            yield from (_one(found, revision) for found in members)


def _one(found: ObjectEvidence, revision: str) -> str:
    where = f"line {found.line}: " if found.line else ""
    named = "" if found.name == revision else f"{found.named}: "
    return f"{where}{named}{found.detail}"
