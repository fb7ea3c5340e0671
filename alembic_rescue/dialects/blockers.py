"""How other sessions are told."""

from __future__ import annotations

from collections.abc import Callable

NOT_SHOWN = "hidden from this role"
"""Servers show what a session does to its own role, and to those with a privilege for it."""
_QUERY_LENGTH = 120


def shortened(sql: str, hide: Callable[[str], str]) -> str:
    """Another session's query, on one line and without secrets."""
    words = " ".join(hide(sql).split())
    return words if len(words) <= _QUERY_LENGTH else words[: _QUERY_LENGTH - 3] + "..."
