"""The source lines around each failure, for reports that show them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alembic_rescue.evidence.model import Cause
from alembic_rescue.model import DatabaseReport, Excerpt
from alembic_rescue.redact import Secrets

_AROUND = 4
"""Lines before and after."""


def of(parts: Iterable[DatabaseReport], secrets: Secrets) -> tuple[Excerpt, ...]:
    """The lines around each cause, once each and without secrets.  Skip files that cannot be read."""
    causes = (cause for part in parts for cause in part.causes)
    found = {(cause.path, cause.line): _around(cause, secrets) for cause in causes if cause.line}
    return tuple(one for one in found.values() if one is not None)


def _around(cause: Cause, secrets: Secrets) -> Excerpt | None:
    try:
        text = Path(cause.path).read_text("utf-8", "replace")
    except OSError:
        return None
    lines = secrets.hide(text).split("\n")
    if len(lines) != text.count("\n") + 1:  # a hidden secret spanned several lines: the numbers no longer fit
        return None
    first, last = max(cause.line - _AROUND, 1), max(cause.line, cause.handler_line or 0) + _AROUND
    return Excerpt(cause.path, cause.line, tuple(enumerate(lines, 1))[first - 1 : last])
