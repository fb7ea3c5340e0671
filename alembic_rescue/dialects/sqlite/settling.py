"""Decide whether two spellings of an SQLite definition mean the same.  Pure: SQLite keeps the text as it was given."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.dialects.statements import SQLITE, Sort, Token, tokens
from alembic_rescue.evidence.observation import CatalogObject

_MAY_GO_WITHOUT_SAYING = frozenset(
    ["ASC", "NO", "MATCH", "COLLATE", "DEFERRABLE", "INITIALLY", "RESTRICT", "AUTOINCREMENT", "CHECK", "WHERE"]
)
"""Words that may be redundant, or that precede an expression."""


def same(one: CatalogObject, fact: str, text: str, other: str) -> bool | None:
    """Return True or False if the text alone decides it; None if it depends on the meaning of expressions."""
    of, others = list(tokens(text, SQLITE)), list(tokens(other, SQLITE))
    if [_folded(token) for token in of] == [_folded(token) for token in others]:
        return True
    if one.kind in {"index", "table constraint"} and _lists_only_names(of) and _lists_only_names(others):
        return False
    if fact == "default" and len(of) == len(others) == 1:
        return _same_constant(of[0], others[0])
    return None


def _folded(token: Token) -> str:
    """Fold the case of names and keywords, which SQLite ignores."""
    return token.text if token.sort is Sort.STRING else token.text.lower()


def _lists_only_names(of: Sequence[Token]) -> bool:
    depth = deepest = 0
    for token in of:
        if token.word in _MAY_GO_WITHOUT_SAYING or token.sort not in {Sort.WORD, Sort.NAME, Sort.SIGN}:
            return False
        if token.sort is Sort.SIGN and token.word not in {"(", ")", ",", "*"}:
            return False
        depth += (token.word == "(") - (token.word == ")")
        deepest = max(deepest, depth)
    return deepest == 1


def _same_constant(one: Token, other: Token) -> bool | None:
    if one.sort is other.sort is Sort.STRING:
        return False
    if one.sort is other.sort is Sort.NUMBER and not {"x", "X"} & {*one.text, *other.text}:
        return float(one.text) == float(other.text)
    return None
