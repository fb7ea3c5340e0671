"""SQL as tokens, and how to hide its literals.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alembic_rescue.redact.known import MASK
from alembic_rescue.redact.names import is_secret
from alembic_rescue.redact.shapes import LITERAL, STRING, says_nothing

QUOTED_MASK = f"'{MASK}'"
_REST = r"|(?P<skip>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<word>[^\W\d]\w*)|(?P<sign>[][(),;])"
_DOUBLE = r"\"[^\"\\]*(?:(?:\\.|\"\")[^\"\\]*)*(?:\"|\\?\Z)"
"""A name, or a MySQL string: in a value's place it is hidden, too."""
TOKEN = re.compile(rf"(?P<literal>{LITERAL}|{_DOUBLE}){_REST}", re.DOTALL)
_WITHIN_BODIES = re.compile(rf"(?P<literal>{STRING}|{_DOUBLE}){_REST}", re.DOTALL)
_ALGORITHM = re.compile(
    r"'+(?:md5|sha\d*|bf|x?des|3des|aes\d*|blowfish|cast5|hex|base64|escape|utf-?8)(?:[-/]\w+)*(?::\w+)?'+",
    re.IGNORECASE,
)
_NAME = re.compile(r"['\"]+[\w.{},-]+['\"]+")

Token = re.Match[str]
Hidden = tuple[int, int, str]
"""From, to, and the replacement."""


def spans(sql: str) -> list[tuple[int, int]]:
    """Return where literals and comments are; the contents of dollar quotes are read as SQL, too."""
    return [one.span() for one in _WITHIN_BODIES.finditer(sql) if one["literal"] or one["skip"]]


def literals(text: str) -> str:
    """Hide all literals."""
    return shown(text, masked(one for one in TOKEN.finditer(text) if one["literal"]))


def masked(found: Iterable[Token]) -> list[Hidden]:
    """Return the mask of each literal that has a meaningful value."""
    return [(*one.span(), f"{q}{MASK}{q}") for one in found if not says_nothing(one[0]) for q in [one["run"] or "'"]]


def shown(text: str, hidden: Iterable[Hidden]) -> str:
    """Return the text with the hidden spans replaced; of two that overlap, the first."""
    pieces, at = [], 0
    for start, end, instead in sorted(hidden):
        if start >= at:
            pieces += [text[at:start], instead]
            at = end
    return "".join([*pieces, text[at:]])


def is_name(literal: str) -> bool:
    """Return whether a literal is the name of a secret setting: ``'smtp_password'``."""
    return _NAME.fullmatch(literal) is not None and is_secret(literal)


def is_algorithm(literal: str) -> bool:
    """Return whether a literal names an encryption or encoding method."""
    return _ALGORITHM.fullmatch(literal) is not None
