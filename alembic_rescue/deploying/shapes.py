"""What a platform answers, read without trust.  Pure.

What is not as it was to be raises :class:`Odd`, and no text reaches a terminal that could steer it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_STYLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours, and the cursor of a bar of progress: nobody misses them."""
_STEERING = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])
"""Control characters, bidi marks, lone surrogates, separators of lines."""
_HARMLESS = frozenset("\t\u200c\u200d")
"""The last two join letters and emoji."""


class Odd(ValueError):  # noqa: N818 - it is told as what it makes of an answer
    """An answer, or a part of it, is none of those that were to be expected."""


def record(value: object, within: str | None = None) -> dict[str, Any]:
    """A JSON object; or the one at that key of it."""
    found = value if within is None or not isinstance(value, dict) else value.get(within)
    if not isinstance(found, dict):
        raise Odd(f"no object{f' {within}' if within else ''}")
    return found


def records(value: object) -> list[dict[str, Any]]:
    """A list of JSON objects."""
    if not isinstance(value, list):
        raise Odd("no list")
    return [record(one) for one in value]


def text(told: Mapping[str, Any], name: str) -> str:
    """The text at that key; empty where there is none."""
    value = told.get(name)
    return visible(value) if isinstance(value, str) else ""


def needed(told: Mapping[str, Any], name: str) -> str:
    """The text at that key."""
    if not (found := text(told, name)):
        raise Odd(f"no {name}")
    return found


def visible(line: str) -> str:
    """The same for a terminal: colours left out, and each character written out that would steer it."""
    plain = _STYLE.sub("", line)
    if plain.isprintable():
        return plain
    return "".join(_written(character) for character in plain)


def _written(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _STEERING:
        return character
    return character.encode("unicode_escape").decode("ascii")
