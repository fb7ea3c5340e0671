"""SQL cut into words and statements, for what tells a statement by its first words.  No grammar: quotes and comments.

Each dialect has its own :class:`Lexis`; what is not closed goes on to the end of the text, as the servers have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from alembic_rescue.evidence.observation import StatementKind


class Sort(str, Enum):
    """What a token is."""

    WORD = "word"
    """A keyword or a bare name."""
    NAME = "name"
    """A quoted name."""
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True)
class Token:
    """One token of a text; comments and white space are none."""

    sort: Sort
    text: str
    """As it stands there, quotes included."""
    start: int
    end: int

    @property
    def word(self) -> str:
        """In upper case, of a keyword or bare name and of a sign; what is quoted says no word."""
        return self.text.upper() if self.sort in {Sort.WORD, Sort.SIGN} else ""


@dataclass(frozen=True)
class Lexis:
    """How a dialect writes quotes and comments.  Each is a regular expression of its own names."""

    strings: str
    names: str
    comments: str
    nested_comments: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """Of one token, with a group for each sort.  Compiled once by the module ``re``'s own cache."""
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
"""What stands in ``/*! ... */`` is run by the server: words like others.  With ANSI_QUOTES ``"`` quotes names, and is
read as a string here."""
SQLITE = Lexis(
    strings=rf"[xX]? {_PLAIN}",
    names=rf"{_DOUBLE} | {_BACKTICKS} | \[ [^\]]* (?: \] | \Z )",
    comments=r"-- [^\n]*",
)

_ROUTINES = frozenset(["FUNCTION", "PROCEDURE", "TRIGGER", "EVENT", "PACKAGE"])
"""What has statements of its own in it, between BEGIN and END."""
_ENDS_NO_BLOCK = frozenset(["IF", "LOOP", "WHILE", "REPEAT", "FOR"])
"""Behind END, in MySQL: their beginnings are not counted, because they are functions and clauses, too."""


def tokens(sql: str, lexis: Lexis) -> Iterator[Token]:
    """The tokens of a text, without comments and white space."""
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
    """The statements of a script, without their semicolons; what has only comments is none.

    A semicolon in parentheses (a rule's) or between BEGIN and END of a routine's body ends nothing.
    """
    return [sql[part[0].start : part[-1].end] for part in statements(sql, lexis)]


def words(statement: str, lexis: Lexis) -> list[str]:
    """The keywords and bare names of a statement in upper case: no quoted name, no constant, no sign."""
    return [token.word for token in tokens(statement, lexis) if token.sort is Sort.WORD]


def statements(sql: str, lexis: Lexis) -> Iterator[list[Token]]:
    """As :func:`split`, each as its tokens, which are at least one."""
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
    """DATA before CATALOG before SESSION before QUERY, which nothing at all is, too."""
    order = list(StatementKind)
    return max(kinds, key=order.index, default=StatementKind.QUERY)


def main_verb(statement: Sequence[Token], verbs: frozenset[str]) -> str:
    """The first of `verbs` that stands in no parentheses: what a statement does that begins with WITH.

    Only where a common table expression cannot write, as in all dialects but PostgreSQL's.
    """
    depth = 0
    for token in statement:
        depth += (token.word == "(") - (token.word == ")")
        if not depth and token.word in verbs:
            return token.word
    return ""


def fills(statement: Sequence[Token]) -> bool:
    """It makes a table from the rows of a query: where the table is there, they need not be."""
    return any(token.word == "SELECT" for token in statement) or bool(main_verb(statement, frozenset(["AS"])))
