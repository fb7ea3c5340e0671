"""Statements in sentences."""

from __future__ import annotations

_FIRST_WORDS = 60


def one_line(sql: str) -> str:
    """The statement's first words, for a sentence."""
    words = " ".join(sql.split())
    return words if len(words) <= _FIRST_WORDS else words[: _FIRST_WORDS - 3] + "..."
