"""Read a platform's answers without trust.  Pure.

Anything unexpected raises :class:`Odd`, and no text reaches a terminal that could control it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_STYLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours, and the cursor movements of progress bars: dropped."""
_STEERING = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])
"""Control characters, bidi marks, lone surrogates, line separators."""
_HARMLESS = frozenset("\t\u200c\u200d")
"""The last two join letters and emoji."""


class Odd(ValueError):  # noqa: N818 - it is told as what it makes of an answer
    """An answer, or a part of it, is not as expected."""


def record(value: object, within: str | None = None) -> dict[str, Any]:
    """Check that this is a JSON object; or, given a key, that its value is one."""
    found = value if within is None or not isinstance(value, dict) else value.get(within)
    if not isinstance(found, dict):
        raise Odd(f"no object{f' {within}' if within else ''}")
    return found


def records(value: object) -> list[dict[str, Any]]:
    """Check that this is a list of JSON objects."""
    if not isinstance(value, list):
        raise Odd("no list")
    return [record(one) for one in value]


def text(told: Mapping[str, Any], name: str) -> str:
    """The text under that key; empty if there is none."""
    value = told.get(name)
    return visible(value) if isinstance(value, str) else ""


def needed(told: Mapping[str, Any], name: str) -> str:
    """The text under that key, which has to be there."""
    if not (found := text(told, name)):
        raise Odd(f"no {name}")
    return found


def visible(line: str) -> str:
    """The same, safe for a terminal: without colours, and with control characters escaped."""
    plain = _STYLE.sub("", line)
    if plain.isprintable():
        return plain
    return "".join(_written(character) for character in plain)


def _written(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _STEERING:
        return character
    return character.encode("unicode_escape").decode("ascii")
