"""The text that makes a table, cut into its parts and these into clauses.  Pure.

Nothing is left out: what begins no clause belongs to the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

from alembic_rescue.dialects.statements import Token
from alembic_rescue.evidence.observation import CatalogObject

GoesOn = Callable[[Sequence[Token], str, str], bool]
"""Whether a word begins no clause: told by the clause so far, the word, and the word that follows."""
TRUE = "true"
"""The text of a fact that only is so."""


def quoted(name: str) -> str:
    """A name as part of a qualified one: in quotes only where it could not be read without."""
    return name if re.fullmatch(r"[\w$]+", name) else '"' + name.replace('"', '""') + '"'


def unquoted(name: str) -> str:
    """The name that :func:`quoted` was given."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def roots(objects: Collection[CatalogObject]) -> set[str]:
    """The names of what must be read for these objects: their tables', or their own.

    One without a kind is a name that somebody mentions, behind the name of a schema, of which these dialects have none.
    """
    return {one.parent or (one.name if one.kind else one.name.rpartition(".")[2]) for one in objects}


def parts(of: Sequence[Token], start: int) -> tuple[list[list[Token]], int]:
    """What stands between the commas behind the token at `start`, and where the parenthesis closes, if one does."""
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
    """What begins with one of the words of `starts` outside of parentheses, and what stands before the first."""
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
    """Where the first parenthesis opens."""
    return next(at for at, token in enumerate(of) if token.word == "(")
