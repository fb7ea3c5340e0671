"""How other sessions are shown."""

from __future__ import annotations

from collections.abc import Callable

NOT_SHOWN = "hidden from this role"
"""A server shows a session's activity only to its own role and to privileged roles."""
_QUERY_LENGTH = 120


def shortened(sql: str, hide: Callable[[str], str]) -> str:
    """Return another session's query on one line, without secrets."""
    words = " ".join(hide(sql).split())
    return words if len(words) <= _QUERY_LENGTH else words[: _QUERY_LENGTH - 3] + "..."
