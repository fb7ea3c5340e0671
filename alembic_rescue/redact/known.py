"""Find known secrets, in any spelling.  Pure, and linear in the text."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

MASK = "***"
_SHORTEST = 3
"""A shorter known secret is left to the shapes: masking every ``a`` would hide the message instead."""
_SHORTEST_CUT = 5
"""The shortest beginning of a known secret to look for where a text was cut off."""
_NEVER_ENCODED = frozenset(string.ascii_letters + string.digits)
_LONGEST_ENCODED = 200
"""A longer secret is a token or a key: only its exact form is searched for."""
_UNMISTAKABLE = 8
"""From this length on, a secret that is not only letters or only digits is no ordinary word."""


def is_ordinary(secret: str) -> bool:
    """Return whether a text may contain this secret by chance: it is short, or a word, or a number."""
    return len(secret) < _UNMISTAKABLE or secret.isalpha() or secret.isdigit()


@lru_cache(maxsize=64)
def patterns(secrets: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns for `secrets`, the longest first."""
    plain = {form for secret in secrets for form in (secret, unquote(secret)) if len(form) >= _SHORTEST}
    return tuple(_pattern(secret) for secret in sorted(plain, key=lambda secret: (-len(secret), secret)))


def without_cut(text: str, secrets: Iterable[str]) -> str:
    """Hide secrets of which only the beginning is left, because the text, or a part of it, was truncated."""
    whole = sorted(s for s in secrets if not is_ordinary(s))
    if not whole:
        return text
    return "...".join(_without_end(piece, whole) if len(piece) >= _SHORTEST_CUT else piece
                      for piece in text.split("..."))  # fmt: skip


def _without_end(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        at = max(0, len(text) - len(secret) + 1)
        while (at := text.find(secret[:_SHORTEST_CUT], at)) >= 0:
            if secret.startswith(text[at:]):
                return text[:at] + MASK
            at += 1
    return text


def _pattern(secret: str) -> re.Pattern[str]:
    if len(secret) > _LONGEST_ENCODED:
        return re.compile(re.escape(secret))
    written = "".join(
        character if character in _NEVER_ENCODED else f"(?:{'|'.join(_spellings(character))})" for character in secret
    )
    return re.compile(rf"(?<![A-Za-z0-9]){written}(?![A-Za-z0-9])" if is_ordinary(secret) else written)


def _spellings(character: str) -> list[str]:
    """Return a character's spellings: percent-encoded, even repeatedly; doubled for ini files; escaped for repr."""
    encoded = "".join(f"%(?:25|%){{0,6}}(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    spellings = [encoded, re.escape(character)]  # the longest first: the first match wins
    if character == "%":
        spellings[1:1] = ["%%"]
    elif character == " ":
        spellings[1:1] = [r"\+"]
    elif character in "'\"\\":
        spellings[1:1] = [r"\\{1,2}" + re.escape(character), re.escape(character * 2)]
    elif not character.isascii() or not character.isprintable():
        spellings[1:1] = [re.escape(form(character)[1:-1]) for form in (json.dumps, ascii, repr)]
    return spellings
