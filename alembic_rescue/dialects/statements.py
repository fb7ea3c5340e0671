"""SQL split into tokens and statements, to classify statements by their first words.

There is no grammar: only quotes and comments.  Each dialect has its own :class:`Lexis`.  An unclosed quote or comment
extends to the end of the text, as on the servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from alembic_rescue.evidence.observation import StatementKind


class Sort(str, Enum):
    """The sort of a token."""

    WORD = "word"
    """A keyword or an unquoted name."""
    NAME = "name"
    """A quoted name."""
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True)
class Token:
    """One token of a text; comments and white space are not tokens."""

    sort: Sort
    text: str
    """The source text, including quotes."""
    start: int
    end: int

    @property
    def word(self) -> str:
        """The text of a keyword, unquoted name or sign, in upper case; empty for other tokens."""
        return self.text.upper() if self.sort in {Sort.WORD, Sort.SIGN} else ""


@dataclass(frozen=True)
class Lexis:
    """How a dialect writes quotes and comments, as regular expressions."""

    strings: str
    names: str
    comments: str
    nested_comments: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of one token, with a group for each sort.  The cache of ``re`` compiles it once."""
        return re.compile(
            rf"""
              (?P<skip> \s+ | {self.comments} )
            | (?P<open> /\* )
            | (?P<string> {self.strings} )
            | (?P<name> {self.names} )
            | (?P<number> 0[xX][0-9a-fA-F]+ | (?: \d+ (?: \.\d* )? | \.\d+ ) (?: [eE][+-]?\d+ )? (?! [\w$] ) )
            | (?P<word> [\w$]+ )
            | (?P<sign> :: | <= | >= | <> | != | \|\| | -> >? | . )
            """,
            re.VERBOSE | re.DOTALL,
        )


_PLAIN = "'(?: [^'] | '' )* (?: ' | \\Z )"
_BACKSLASHED = r"'(?: [^'\\] | '' | \\. )* (?: ' | \Z )"
_DOUBLE = '"(?: [^"] | "" )* (?: " | \\Z )'
_BACKTICKS = r"`(?: [^`] | `` )* (?: ` | \Z )"
_DOLLARS = r"(?<![\w$]) \$ (?P<tag> (?: [^\W\d] \w* )? ) \$ .*? (?: \$ (?P=tag) \$ | \Z )"

POSTGRESQL = Lexis(
    strings=rf"[eE] {_BACKSLASHED} | (?: [bBxXnN] | [uU]& )? {_PLAIN} | {_DOLLARS}",
    names=rf"(?: [uU]& )? {_DOUBLE}",
    comments=r"-- [^\n]*",
    nested_comments=True,
)
MYSQL = Lexis(
    strings=rf"(?: [bBxXnN] )? {_BACKSLASHED} | {_BACKSLASHED.replace(chr(39), chr(34))}",
    names=_BACKTICKS,
    comments=r"-- (?= \s | \Z ) [^\n]* | \# [^\n]* | /\*M?! \d* | \*/",
)
"""The server runs the content of ``/*! ... */``, so it counts as normal tokens.  With ANSI_QUOTES, ``"`` quotes names;
it is read as a string here."""
SQLITE = Lexis(
    strings=rf"[xX]? {_PLAIN}",
    names=rf"{_DOUBLE} | {_BACKTICKS} | \[ [^\]]* (?: \] | \Z )",
    comments=r"-- [^\n]*",
)

_ROUTINES = frozenset(["FUNCTION", "PROCEDURE", "TRIGGER", "EVENT", "PACKAGE"])
"""Objects whose definition contains statements, between BEGIN and END."""
_ENDS_NO_BLOCK = frozenset(["IF", "LOOP", "WHILE", "REPEAT", "FOR"])
"""Words after END in MySQL.  The start of these blocks is not counted, because the words are also functions and
clauses."""


def tokens(sql: str, lexis: Lexis) -> Iterator[Token]:
    """Yield the tokens of a text, without comments and white space."""
    pattern, at = lexis.pattern, 0
    while found := pattern.match(sql, at):
        at = found.end()
        sort = found.lastgroup if found.lastgroup != "tag" else "string"
        if sort == "open":
            at = _past_comment(sql, at, lexis)
        elif sort != "skip":
            yield Token(Sort(sort), found[0], found.start(), at)


def _past_comment(sql: str, at: int, lexis: Lexis) -> int:
    depth = 1
    for found in re.compile(r"/\*|\*/").finditer(sql, at):
        depth += (found[0] == "/*" and lexis.nested_comments) - (found[0] == "*/")
        if not depth:
            return found.end()
    return len(sql)


def split(sql: str, lexis: Lexis) -> list[str]:
    """Split a script into statements, without their semicolons; comments alone are not a statement.

    A semicolon in parentheses (as in a rule) or between BEGIN and END of a routine's body ends no statement.
    """
    return [sql[part[0].start : part[-1].end] for part in statements(sql, lexis)]


def words(statement: str, lexis: Lexis) -> list[str]:
    """Return the keywords and unquoted names of a statement in upper case: no quoted names, constants or signs."""
    return [token.word for token in tokens(statement, lexis) if token.sort is Sort.WORD]


def statements(sql: str, lexis: Lexis) -> Iterator[list[Token]]:
    """Split as :func:`split` does; yield each statement as its tokens, at least one."""
    part: list[Token] = []
    parentheses = blocks = 0
    in_routine = False
    of = list(tokens(sql, lexis))
    before = ""
    for token, following in zip(of, [*(token.word for token in of[1:]), ""], strict=False):
        word = token.word
        if word == ";" and parentheses <= 0 and blocks <= 0:
            if part:
                yield part
            part, parentheses, blocks, in_routine, before = [], 0, 0, False, ""
            continue
        part.append(token)
        parentheses += (word == "(") - (word == ")")
        if word == "END" and blocks:
            blocks -= following not in _ENDS_NO_BLOCK
        elif word == "CASE" and blocks:
            blocks += before != "END"
        elif word == "BEGIN" and parentheses <= 0:
            blocks += in_routine
        in_routine = in_routine or (word in _ROUTINES and part[0].word in {"CREATE", "ALTER"})
        before = word
    if part:
        yield part


def strongest(kinds: Iterable[StatementKind]) -> StatementKind:
    """Return the strongest kind: DATA, CATALOG, SESSION, QUERY; QUERY if there is none."""
    order = list(StatementKind)
    return max(kinds, key=order.index, default=StatementKind.QUERY)


def main_verb(statement: Sequence[Token], verbs: frozenset[str]) -> str:
    """Return the first of `verbs` outside parentheses: the action of a statement that starts with WITH.

    Valid only where a common table expression cannot write: in every dialect but PostgreSQL.
    """
    depth = 0
    for token in statement:
        depth += (token.word == "(") - (token.word == ")")
        if not depth and token.word in verbs:
            return token.word
    return ""


def fills(statement: Sequence[Token]) -> bool:
    """Whether the statement creates a table from a query: that the table exists does not prove that its rows do."""
    return any(token.word == "SELECT" for token in statement) or bool(main_verb(statement, frozenset(["AS"])))
