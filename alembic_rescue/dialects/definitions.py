"""The text of CREATE TABLE, split into parts, and the parts into clauses.  Pure.

Nothing is left out: a token that starts no clause belongs to the previous one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

from alembic_rescue.dialects.statements import Token
from alembic_rescue.evidence.observation import CatalogObject

GoesOn = Callable[[Sequence[Token], str, str], bool]
"""Whether a word continues the clause, given the clause so far, the word, and the next word."""
TRUE = "true"
"""The text of a fact without a value."""


def quoted(name: str) -> str:
    """Return a name as part of a qualified one, quoted only if it would be ambiguous without quotes."""
    return name if re.fullmatch(r"[\w$]+", name) else '"' + name.replace('"', '""') + '"'


def unquoted(name: str) -> str:
    """Reverse :func:`quoted`."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def roots(objects: Collection[CatalogObject]) -> set[str]:
    """Return the names to read for these objects: their tables' names, or their own.

    An object without a kind is a name mentioned somewhere, prefixed with a schema; these dialects have no schemas.
    """
    return {one.parent or (one.name if one.kind else one.name.rpartition(".")[2]) for one in objects}


def parts(of: Sequence[Token], start: int) -> tuple[list[list[Token]], int]:
    """Return the comma-separated parts after the token at `start`, and the index of the closing parenthesis.

    Without one, the index is the number of tokens.
    """
    found: list[list[Token]] = [[]]
    depth = 0
    for at in range(start + 1, len(of)):
        word = of[at].word
        depth += (word == "(") - (word == ")")
        if depth < 0:
            return found, at
        if word == "," and not depth:
            found.append([])
        else:
            found[-1].append(of[at])
    return found, len(of)


def clauses(of: Sequence[Token], starts: frozenset[str], goes_on: GoesOn) -> Iterator[list[Token]]:
    """Yield the tokens before the first clause, then each clause.

    A clause starts with a word of `starts` outside parentheses.
    """
    clause: list[Token] = []
    depth = 0
    for token, following in zip(of, [*(token.word for token in of[1:]), ""], strict=False):
        if token.word in starts and not depth and clause and not goes_on(clause, token.word, following):
            yield clause
            clause = []
        depth += (token.word == "(") - (token.word == ")")
        clause.append(token)
    if clause:
        yield clause


def opening(of: Sequence[Token]) -> int:
    """Return the index of the first opening parenthesis."""
    return next(at for at, token in enumerate(of) if token.word == "(")
