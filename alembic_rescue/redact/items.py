"""Hide the literals of items that name a secret, whatever the item contains.  Pure, and linear.

An item is what is between commas, AND, WHERE and the like.  If it names a secret, all its literals are hidden:
``password = lower('x' || 'y')``, ``api_key IN ('x', 'y')``, ``'x'::text AS token``, ``(login, password) = ('x', 'y')``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from alembic_rescue.redact.names import NAME, is_in, is_secret
from alembic_rescue.redact.tokens import TOKEN, Hidden, Token, is_algorithm, is_name, masked, shown

_STATEMENT = re.compile(
    r"\b(?:SELECT|PERFORM|CALL|DELETE\s+FROM|MERGE\s+INTO|UPDATE\b[^;'()]{0,200}?\bSET\b(?!\s+(?:NULL|DEFAULT)\b)"
    r"|WITH\s+(?:RECURSIVE\s+)?(?=[\w\"`]{1,130}\s*(?:\([^()';]{0,300}\)\s*)?AS\b))",
    re.IGNORECASE,
)
"""The beginning of a statement that has items; it may be inside a string or a block."""
_SETS = ("UPDATE", "MERGE")
_GIVEN = re.compile(
    rf"{NAME}\\*['\"`\]]{{0,4}}[)\s]{{0,3}}(?:::\w{{1,60}}(?:\s\w{{1,60}})?)?(?:,\s*(?:true|false))?[)\s]{{0,3}}"
    r"(?:(?:=>|==?|<>|!=|\bIS\s+(?:NOT\s+)?DISTINCT\s+FROM\b)(?!\s*(?:ANY|ALL)\b)"
    r"|(?:[^,;'\"()$:]|\([^()']{0,60}\)|:(?!=)){0,200}?(?::=|\bDEFAULT\b))",
    re.IGNORECASE,
)
"""What gives a secret its value, or compares it, anywhere.  A list of values that a CHECK allows is not secret."""
_ENDS_ITEM = frozenset(
    [
        "AND",
        "OR",
        "WHERE",
        "FROM",
        "SET",
        "ON",
        "USING",
        "HAVING",
        "GROUP",
        "ORDER",
        "LIMIT",
        "RETURNING",
        "JOIN",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "SELECT",
        "VALUES",
        "THEN",
        "WHEN",
        "ELSE",
        "ELSIF",
        "LOOP",
    ]
)
_BEFORE_A_STRING = frozenset(
    ["N", "B", "X", "DATE", "TIME", "TIMESTAMP", "INTERVAL", "LIKE", "ILIKE", "THEN", "ELSE", "SELECT", "AS", "IS"]
)
_MOST_TOKENS = 200
"""The maximum for an expression."""
_MOST_WITHIN = 30
"""Literals to read as statements; any further ones are hidden completely."""


@dataclass
class _Group:
    """What is read in one pair of parentheses, or between CASE and END."""

    first: int
    """The index of the first literal of its current item."""
    named: bool = False
    """The current item names a secret."""
    any_named: bool = False
    is_query: bool = False
    """The names in it are its own: ``(SELECT token FROM ...)``."""


@dataclass
class _Items:
    """What has been read of a statement."""

    at: int
    literals: list[Token] = field(default_factory=list)
    hidden: list[tuple[int, int]] = field(default_factory=list)
    """From the first literal's index up to, not including, the second."""
    groups: list[_Group] = field(default_factory=lambda: [_Group(0)])

    def end_item(self) -> None:
        group = self.groups[-1]
        if group.named:
            self.hidden.append((group.first, len(self.literals)))
        group.first, group.named, group.any_named = len(self.literals), False, group.any_named or group.named

    def end_group(self) -> None:
        self.end_item()
        group = self.groups.pop()
        self.groups[-1].named |= group.any_named and not group.is_query

    def divided(self) -> tuple[list[Token], list[Token]]:
        """Return the literals of items that name a secret, and the others."""
        steps = [0] * (len(self.literals) + 1)
        for first, end in self.hidden:
            steps[first] += 1
            steps[end] -= 1
        divided: tuple[list[Token], list[Token]] = [], []
        for one, depth in zip(self.literals, accumulate(steps), strict=False):
            divided[not depth].append(one)
        return divided


def values(text: str) -> str:
    """Hide the literals of items that name a secret, and what a secret is set to."""
    hidden: list[Hidden] = []
    spans = [(0, len(text))]
    for span in spans:
        for found, read in _statements(text, *span):
            secret, others = read.divided()
            if found[0].upper().startswith(_SETS) and any(is_name(one[0]) for one in read.literals):
                secret, others = read.literals, []  # SET value = 'x' WHERE name = 'smtp_password'
            hidden += _masked(secret)
            within = [one for one in others if _STATEMENT.search(one[0])]
            if len(spans) + len(within) > _MOST_WITHIN:
                hidden += masked(within)
            else:
                spans += map(_inside, within)
    return _given(shown(text, hidden))


def _statements(text: str, at: int, end: int) -> Iterator[tuple[Token, _Items]]:
    """Yield each statement's beginning, with what was read of it."""
    while found := _STATEMENT.search(text, at, end):
        read = _read(text, found.end(), end)
        yield found, read
        at = max(found.end(), read.at)


def _given(text: str) -> str:
    hidden: list[Hidden] = []
    at = 0 if is_in(text) else len(text)
    while found := _GIVEN.search(text, at):
        read = _Items(found.end())
        for token in _tokens(text, found.end(), len(text), _MOST_TOKENS):
            if len(read.groups) == 1 and _ends_item(token):
                break
            _take(read, token)
        hidden += _masked(read.literals)
        at = max(found.end(), read.at)
    return shown(text, hidden)


def _masked(literals: list[Token]) -> list[Hidden]:
    return masked(one for one in literals if not is_name(one[0]) and not is_algorithm(one[0]))


def _inside(literal: Token) -> tuple[int, int]:
    opening = literal["run"] or (f"${literal['tag']}$" if literal["tag"] is not None else literal[0].lstrip("eEuU&")[0])
    start = literal[0].index(opening) + len(opening)
    closed = len(literal[0]) >= start + len(opening) and literal[0].endswith(opening)
    return literal.start() + start, literal.end() - closed * len(opening)


def _read(text: str, at: int, end: int) -> _Items:
    """Return the items of the statement that continues at `at`, up to its end."""
    read = _Items(at)
    for token in _tokens(text, at, end):
        _take(read, token)
    while len(read.groups) > 1:
        read.end_group()
    read.end_item()
    return read


def _tokens(text: str, at: int, end: int, most: int | None = None) -> Iterator[Token]:
    """Yield tokens up to the statement's end: a semicolon, or the end of the parentheses or the string around it."""
    depth, last = 0, ""
    for number, token in enumerate(TOKEN.finditer(text, at, end)):
        depth += _opens(token) - _closes(token)
        ends = token[0] == ";" or depth < 0 or number == most
        if ends or (token["literal"] and _ends_string(text, token, last)):
            return
        last = token[0]
        yield token


def _take(read: _Items, token: Token) -> None:
    read.at = token.end()
    if token["literal"] and not (token[0][0] == '"' and is_secret(token[0])):
        read.literals.append(token)
    elif _opens(token):
        read.groups.append(_Group(len(read.literals)))
    elif _closes(token):
        read.end_group()
    elif _ends_item(token):
        read.end_item()
        read.groups[-1].is_query |= token[0].upper() == "SELECT"
    elif not token["skip"]:
        read.groups[-1].named |= is_secret(token[0])


def _opens(token: Token) -> bool:
    return token[0] in {"(", "["} or (token["word"] or "").upper() == "CASE"


def _closes(token: Token) -> bool:
    return token[0] in {")", "]"} or (token["word"] or "").upper() == "END"


def _ends_item(token: Token) -> bool:
    return token[0] == "," or (token["word"] or "").upper() in _ENDS_ITEM


def _ends_string(text: str, literal: Token, last: str) -> bool:
    """Return whether the quote ends the string around the statement: no literal can be there, judging by its sides."""
    before = text[literal.start() - 1]
    if literal[0][0] != "'" or last.upper() in _BEFORE_A_STRING:
        return False
    return before in ");" or before.isalnum() or literal[0][1:].lstrip()[:1] in {";", ")"}
