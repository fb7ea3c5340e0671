"""Hide the literals of SQL that are in a secret's place.  Pure, and linear in the text.

The SQL may stand in any text, may be in a string or a block, and may be cut off anywhere.  So a statement is looked
for, and read from there; a row that cannot be read to its end is hidden whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from alembic_rescue.redact.known import MASK
from alembic_rescue.redact.names import is_secret
from alembic_rescue.redact.shapes import LITERAL, STRING, says_nothing

_MASK = f"'{MASK}'"
_INSERT = re.compile(
    r"\b(?:INSERT|REPLACE)\b(?P<table>[^(;']{0,300}?)"
    r"(?:\((?P<columns>[^()';]*)\)\s*(?:OVERRIDING\s+\w+\s+VALUE\s*)?(?:\(\s*)?)?\b(?P<how>VALUES?\s*(?=\()|SELECT\b)",
    re.IGNORECASE,
)
_UPDATE = re.compile(r"\bUPDATE\b", re.IGNORECASE)
_TABLE_OF_SECRETS = re.compile(r"(?:password|secret|token|api_?key|credential)s?\W*\Z", re.IGNORECASE)
_CALL = re.compile(
    r"\b(?:crypt|hmac|digest|md5|sha\d{1,3}|pgp_(?:sym|pub)_(?:en|de)crypt(?:_bytea)?|(?:en|de)crypt(?:_iv)?"
    r"|aes_(?:en|de)crypt|create_secret)\s*(?=\()",
    re.IGNORECASE,
)
"""Functions that are given a secret in the clear: of pgcrypto, MySQL and Supabase's vault."""
_PAIRS = re.compile(r"\b(?:set_config|jsonb?_build_object|json_object|jsonb?_set|hstore)\s*(?=\()", re.IGNORECASE)
"""Functions that are given a name, and then its value."""
_PAIR = re.compile(rf"(?P<name>'[\w.{{}},-]{{1,200}}'(?:::\w+)?)\s*,\s*(?=(?P<value>{LITERAL}))", re.DOTALL)
_ALGORITHM = re.compile(
    r"'+(?:md5|sha\d*|bf|x?des|3des|aes\d*|blowfish|cast5|hex|base64|escape|utf-?8)(?:[-/]\w+)*(?::\w+)?'+",
    re.IGNORECASE,
)
_NAME = re.compile(r"['\"]+[\w.{},-]+['\"]+")
_REST = r"|(?P<skip>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<word>[^\W\d]\w*)|(?P<sign>[(),;])"
_DOUBLE = r"\"[^\"\\]*(?:(?:\\.|\"\")[^\"\\]*)*(?:\"|\\?\Z)"
"""A name, or a string of MySQL's: in a value's place it is hidden, too."""
_TOKEN = re.compile(rf"(?P<literal>{LITERAL}|{_DOUBLE}){_REST}", re.DOTALL)
_WITHIN_BODIES = re.compile(rf"(?P<literal>{STRING}|{_DOUBLE}){_REST}", re.DOTALL)
_ENDS_LIST = frozenset(["FROM", "WHERE", "RETURNING", "ON", "LIMIT", "ORDER", "GROUP"])
_BEGINS = frozenset(["INSERT", "UPDATE"])
_MOST_TOKENS = 200
"""Of arguments, and of a statement that has no list."""

Hidden = tuple[int, int, str]
"""From, to, and what is shown instead."""


@dataclass
class _List:
    """What stands in parentheses, or behind SELECT, between commas."""

    start: int
    end: int
    whole: bool = False
    """It was read to its end."""
    items: list[list[re.Match[str]]] = field(default_factory=lambda: [[]])
    """Of each, its literals."""


def values(text: str) -> str:
    """Hide the values of columns, and the arguments of functions, that are secret."""
    return _calls(_updates(_inserts(text))) if "(" in text or "'" in text else text


def literals(text: str) -> str:
    """Hide all literals."""
    return _with(text, _masked(one for one in _TOKEN.finditer(text) if one["literal"]))


def spans(sql: str) -> list[tuple[int, int]]:
    """Where literals and comments are; what is between dollars is read as SQL, too."""
    return [one.span() for one in _WITHIN_BODIES.finditer(sql) if one["literal"] or one["skip"]]


def _with(text: str, hidden: Sequence[Hidden]) -> str:
    pieces, at = [], 0
    for start, end, shown in sorted(hidden):
        if start >= at:
            pieces += [text[at:start], shown]
            at = end
    return "".join([*pieces, text[at:]])


def _masked(found: Iterator[re.Match[str]]) -> list[Hidden]:
    return [(*one.span(), f"{q}{MASK}{q}") for one in found if not says_nothing(one[0]) for q in [one["run"] or "'"]]


def _is_name(literal: str) -> bool:
    """Whether it is the name of a setting that is secret: ``'smtp_password'``."""
    return _NAME.fullmatch(literal) is not None and is_secret(literal)


# --- statements ----------------------------------------------------------------------------------------------------


def _inserts(text: str) -> str:
    hidden: list[Hidden] = []
    at = 0
    while found := _INSERT.search(text, at):
        at = found.end()
        columns = [name.strip() for name in (found["columns"] or "").split(",") if name.strip()]
        secret = {number for number, name in enumerate(columns) if is_secret(name)}
        of_secrets = _TABLE_OF_SECRETS.search(found["table"].rstrip()[-80:]) is not None
        selects = found["how"].upper() == "SELECT"
        for one in _selected(text, at) if selects else _rows(text, at):
            misread = not selects and (not one.whole or (columns and len(one.items) != len(columns)))
            if misread and (secret or of_secrets):
                hidden.append((one.start, one.end - one.whole, _MASK))
            else:
                hidden += _of_row(one, set(range(len(one.items))) if of_secrets else secret)
            at = max(at, one.end)
    return _with(text, hidden)


def _of_row(row: _List, secret: set[int]) -> list[Hidden]:
    names = {number for number, item in enumerate(row.items) if len(item) == 1 and _is_name(item[0][0])}
    chosen = (secret or set(range(len(row.items)))) - names if names else secret  # ('smtp_password', 'x')
    hidden = []
    for number, item in enumerate(row.items):
        if number in chosen:
            hidden += _masked(iter(item))
        else:  # a statement that is kept in a row
            hidden += [(*one.span(), one[0][0] + told) for one in item if (told := values(one[0][1:])) != one[0][1:]]
    return hidden


def _rows(text: str, at: int) -> Iterator[_List]:
    """``(...), (...)``, from the first parenthesis on."""
    follows: re.Match[str] | None
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
    for token in islice(_TOKEN.finditer(text, at), most):
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
    """The lists behind SELECT, up to the end of the statement."""
    row, depth, reading = _List(at, at), 0, True
    for token in _TOKEN.finditer(text, at):
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


def _updates(text: str) -> str:
    """``UPDATE settings SET value = 'x' WHERE name = 'smtp_password'``."""
    hidden: list[Hidden] = []
    for found in _UPDATE.finditer(text):
        told = []
        for token in islice(_TOKEN.finditer(text, found.end()), _MOST_TOKENS):
            if token[0] == ";" or (token["word"] or "").upper() in _BEGINS:
                break
            told += [token] if token["literal"] else []
        if any(_is_name(one[0]) for one in told):
            hidden += _masked(one for one in told if not _is_name(one[0]))
    return _with(text, hidden)


# --- calls ---------------------------------------------------------------------------------------------------------


def _calls(text: str) -> str:
    hidden: list[Hidden] = []
    at = 0
    while found := _CALL.search(text, at):
        arguments = _in_parentheses(text, found.end(), _MOST_TOKENS)
        told = chain.from_iterable(arguments.items)
        hidden += _masked(one for one in told if not _ALGORITHM.fullmatch(one[0]))
        at = max(found.end(), arguments.end)
    at = 0
    while found := _PAIRS.search(text, at):
        at = max(found.end(), _in_parentheses(text, found.end(), _MOST_TOKENS).end)
        for pair in _PAIR.finditer(text, found.end(), at):
            if is_secret(pair["name"]) and not says_nothing(pair["value"]):
                hidden.append((*pair.span("value"), _MASK))
    return _with(text, hidden)
