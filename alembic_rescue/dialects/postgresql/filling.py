"""The tables that a statement fills with the rows of a query, by its text.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alembic_rescue.dialects.statements import POSTGRESQL, Sort, Token, statements

_BEFORE_A_NAME = frozenset(["TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL", "TABLE", "IF", "NOT", "EXISTS"])
_BEFORE_THE_QUERY = frozenset(["", "(", ")", "AS", "UNION", "ALL", "EXCEPT", "INTERSECT"])
_DOLLARS = re.compile(r"\A\$\w*\$|\$\w*\$\Z")


@dataclass(frozen=True)
class Fill:
    """A table that is filled."""

    table: str
    """Without schema and quotes."""
    schema: str
    """Empty if the statement does not name it."""
    mentioned: frozenset[str]
    """All other names in the statement, including those that it reads."""


def fills(sql: str) -> Iterator[Fill]:
    """Yield the tables filled by INSERT ... SELECT, CREATE TABLE AS and SELECT INTO, also in a DO block.

    A query without its own FROM is left out: its single row is in the text.
    """
    for statement in statements(sql, POSTGRESQL):
        first, makes = statement[0].word, {token.word for token in statement[1:4]}
        if first == "DO":
            for token in statement:
                if token.text.startswith("$"):
                    yield from fills(_DOLLARS.sub("", token.text))
        elif first != "PREPARE" and (first != "CREATE" or "TABLE" in makes):
            yield from _of(statement)


def _of(statement: Sequence[Token]) -> Iterator[Fill]:
    words = [token.word for token in statement]
    for at, word in enumerate(words):
        inserts = word == "INTO" and words[at - 1] == "INSERT"
        selects = word == "INTO" and words[0] in {"SELECT", "WITH"} and "INSERT" not in words
        makes = word == "CREATE" and "TABLE" in words[at + 1 : at + 4] and "AS" in words
        if (inserts or selects or makes) and words[-3:] != ["WITH", "NO", "DATA"]:
            yield from _into(statement, at + 1)


def _into(statement: Sequence[Token], at: int) -> Iterator[Fill]:
    """Yield the table whose name is at `at`, if the rest of the statement reads something."""
    while at < len(statement) and statement[at].word in _BEFORE_A_NAME:
        at += 1
    end = at + 3 if [token.word for token in statement[at + 1 : at + 2]] == ["."] else at + 1
    name = [_name(token) for token in statement[at:end:2]]
    if name and _reads(statement[end:]):
        mentioned = frozenset(map(_name, (*statement[:at], *statement[end:])))
        yield Fill(name[-1], name[0] if len(name) > 1 else "", mentioned)


def _reads(rest: Sequence[Token]) -> bool:
    """Whether there is a FROM or TABLE outside parentheses, except those around a whole query."""
    words = ["", *(token.word or token.text for token in rest), ""]
    within: list[bool] = []
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        if word == "(":
            within.append(before not in _BEFORE_THE_QUERY or after not in {"SELECT", "WITH", "TABLE", "("})
        elif word == ")" and not within:
            return False
        elif word == ")":
            within.pop()
        elif (word == "TABLE" or (word == "FROM" and before != "DISTINCT")) and not any(within):
            return True
    return False


def _name(token: Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.sort is Sort.NAME else token.text.lower()
