"""Hide the literals of SQL that are in a secret's place.  Pure, and linear in the text.

The SQL may be anywhere in a text, inside a string or a block, and cut off anywhere.  So the code searches for a
statement, and reads from there; a row that cannot be read to its end is hidden completely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from alembic_rescue.redact import items
from alembic_rescue.redact.names import is_secret
from alembic_rescue.redact.shapes import LITERAL, says_nothing
from alembic_rescue.redact.tokens import QUOTED_MASK, TOKEN, Hidden, Token, is_algorithm, is_name, masked, shown

_INSERT = re.compile(
    r"\b(?:INSERT|REPLACE)\b(?P<table>[^(;']{0,300}?)"
    r"(?:\((?P<columns>[^()';]*)\)\s*(?:OVERRIDING\s+\w+\s+VALUE\s*)?(?:\(\s*)?)?\b(?P<how>VALUES?\s*(?=\()|SELECT\b)",
    re.IGNORECASE,
)
_INTO = re.compile(r"[\w\s]{0,30}?\bINTO\b", re.IGNORECASE)
_TABLE_OF_SECRETS = re.compile(r"(?:password|secret|token|api_?key|credential)s?\W*\Z", re.IGNORECASE)
_DEFINES = re.compile(r"\b(?:FUNCTION|PROCEDURE|RULE)\b", re.IGNORECASE)
"""What follows it is code, whose literals are seldom data: ``INSERT INTO audit VALUES ('U', now(), NEW.*)``."""
_CALL = re.compile(
    r"\b(?:crypt|hmac|digest|md5|sha\d{1,3}|pgp_(?:sym|pub)_(?:en|de)crypt(?:_bytea)?|(?:en|de)crypt(?:_iv)?"
    r"|aes_(?:en|de)crypt|create_secret)\s*(?=\()",
    re.IGNORECASE,
)
"""Functions that take a secret in clear text: of pgcrypto, MySQL and Supabase's vault."""
_PAIRS = re.compile(r"\b(?:set_config|jsonb?_build_object|json_object|jsonb?_set|hstore)\s*(?=\()", re.IGNORECASE)
"""Functions that take a name, and then its value."""
_PAIR = re.compile(rf"(?P<name>'[\w.{{}},-]{{1,200}}'(?:::\w+)?)\s*,\s*(?=(?P<value>{LITERAL}))", re.DOTALL)
_ENDS_LIST = frozenset(["FROM", "WHERE", "RETURNING", "ON", "LIMIT", "ORDER", "GROUP"])
_BEGINS = frozenset(["INSERT", "UPDATE"])
_MOST_TOKENS = 200
"""The maximum for arguments, and for a statement without a list."""


@dataclass
class _List:
    """The items between commas, in parentheses or after SELECT."""

    start: int
    end: int
    whole: bool = False
    """It was read to its end."""
    items: list[list[Token]] = field(default_factory=lambda: [[]])
    """The literals of each item."""


def values(text: str) -> str:
    """Hide the secret values of columns, and the secret arguments of functions."""
    if "'" not in text and "$" not in text and '"' not in text:
        return text
    return _calls(items.values(_inserts(text)))


# --- statements ----------------------------------------------------------------------------------------------------


def _inserts(text: str) -> str:
    hidden: list[Hidden] = []
    at = 0
    defines = _DEFINES.search(text)
    code = defines.end() if defines else len(text)
    while found := _INSERT.search(text, at):
        at = found.end()
        columns = [name.strip() for name in (found["columns"] or "").split(",") if name.strip()]
        secret = {number for number, name in enumerate(columns) if is_secret(name)}
        of_secrets = _TABLE_OF_SECRETS.search(found["table"].rstrip()[-80:]) is not None or (
            found["columns"] is None and _INTO.match(found["table"]) is not None and at < code
        )
        selects = found["how"].upper() == "SELECT"
        for one in _selected(text, at) if selects else _rows(text, at):
            misread = not selects and (not one.whole or (columns and len(one.items) != len(columns)))
            if misread and (secret or of_secrets):
                hidden.append((one.start, one.end - one.whole, QUOTED_MASK))
            else:
                hidden += _of_row(one, set(range(len(one.items))) if of_secrets else secret)
            at = max(at, one.end)
    return shown(text, hidden)


def _of_row(row: _List, secret: set[int]) -> list[Hidden]:
    names = {number for number, item in enumerate(row.items) if len(item) == 1 and is_name(item[0][0])}
    chosen = (secret or set(range(len(row.items)))) - names if names else secret  # ('smtp_password', 'x')
    hidden = []
    for number, item in enumerate(row.items):
        if number in chosen:
            hidden += masked(iter(item))
        else:  # an SQL statement stored in a row
            hidden += [(*one.span(), one[0][0] + told) for one in item if (told := values(one[0][1:])) != one[0][1:]]
    return hidden


def _rows(text: str, at: int) -> Iterator[_List]:
    """Yield the rows ``(...), (...)``, from the first parenthesis on."""
    follows: Token | None
    while True:
        row = _in_parentheses(text, at)
        yield row
        follows = _NEXT_ROW.match(text, row.end)
        if follows is None or not row.whole:
            return
        at = follows.end()


_NEXT_ROW = re.compile(r"\s*,\s*(?=\()")


def _in_parentheses(text: str, at: int, most: int | None = None) -> _List:
    row, depth = _List(at + 1, len(text)), 0
    for token in islice(TOKEN.finditer(text, at), most):
        word = token["word"] or ""
        if token["literal"]:
            row.items[-1].append(token)
        depth += (token[0] == "(") - (token[0] == ")")
        if token[0] == "," and depth == 1:
            row.items.append([])
        row.end = token.end()
        if not depth or token[0] == ";" or word.upper() in _BEGINS:
            row.whole = not depth
            return row
    row.end = len(text) if most is None else row.end
    return row


def _selected(text: str, at: int) -> Iterator[_List]:
    """Yield the lists after SELECT, up to the end of the statement."""
    row, depth, reading = _List(at, at), 0, True
    for token in TOKEN.finditer(text, at):
        depth += (token[0] == "(") - (token[0] == ")")
        word = (token["word"] or "").upper()
        row.end = token.start()
        if token[0] == ";" or depth < 0 or word in _BEGINS:
            break
        if not depth and word == "SELECT":
            yield row
            row, reading = _List(token.end(), token.end()), True
        reading = reading and (bool(depth) or word not in _ENDS_LIST)
        if reading and token["literal"]:
            row.items[-1].append(token)
        elif reading and not depth and token[0] == ",":
            row.items.append([])
    yield row


# --- calls ---------------------------------------------------------------------------------------------------------


def _calls(text: str) -> str:
    hidden: list[Hidden] = []
    at = 0
    while found := _CALL.search(text, at):
        arguments = _in_parentheses(text, found.end(), _MOST_TOKENS)
        told = chain.from_iterable(arguments.items)
        hidden += masked(one for one in told if not is_algorithm(one[0]))
        at = max(found.end(), arguments.end)
    at = 0
    while found := _PAIRS.search(text, at):
        at = max(found.end(), _in_parentheses(text, found.end(), _MOST_TOKENS).end)
        for pair in _PAIR.finditer(text, found.end(), at):
            if is_secret(pair["name"]) and not says_nothing(pair["value"]):
                hidden.append((*pair.span("value"), QUOTED_MASK))
    return shown(text, hidden)
