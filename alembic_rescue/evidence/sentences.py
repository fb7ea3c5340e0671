"""How messages begin.  Imports nothing, because errors are loaded at every start.  Pure."""

from __future__ import annotations


def sentence(text: str) -> str:
    """Return the text with a capital first letter, unless it begins with an id, a name or a command's option."""
    first = text.partition(" ")[0]
    return text[0].upper() + text[1:] if first.isalpha() else text
