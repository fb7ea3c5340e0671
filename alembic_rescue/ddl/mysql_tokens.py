"""MySQL's and MariaDB's words: the tokens of a statement, and what an expression is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | /\*!\d* | \*/ | /\*.*?\*/ | \#[^\n]* | --(?=\s|$)[^\n]* )
    | `(?P<name> (?:[^`]|``)* )`
    | (?P<string> '(?:[^'\\]|''|\\.)*' | "(?:[^"\\]|""|\\.)*" )
    | (?P<number> 0x[0-9a-fA-F]+ | (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w$]) )
    | (?P<word> [\w$@]+ )
    | (?P<op> <=> | << | >> | <> | != | <= | >= | := | && | \|\| | ->> | -> | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}
_WORDS = frozenset(
    ["and", "or", "not", "in", "between", "is", "like", "regexp", "rlike", "xor", "div", "mod", "interval", "case"]
    + ["when", "then", "else", "end", "exists", "binary", "as", "escape", "any", "all", "distinct"]
)
"""What stands for no column in an expression."""
_SAME_WORD = {"!=": "<>", "&&": "and", "||": "or", "!": "not", "rlike": "regexp", "%": "mod"}
_SAME_FUNCTION = {
    "lcase": "lower",
    "ucase": "upper",
    "octet_length": "length",
    "character_length": "char_length",
    "substr": "substring",
    "mid": "substring",
    "now": "current_timestamp",
    "localtime": "current_timestamp",
    "localtimestamp": "current_timestamp",
    "curdate": "current_date",
    "curtime": "current_time",
    "ceil": "ceiling",
    "pow": "power",
}
"""The server keeps some functions under another of their names."""
_BARE_FUNCTIONS = frozenset(["current_timestamp", "localtime", "localtimestamp", "current_date", "current_time"])
_OF_TEXT = re.compile(r"^_\w+$|^[bxn]$", re.IGNORECASE)


class Token(NamedTuple):
    """One word of a statement, and where it stands in the text."""

    kind: str
    """``name`` (in backticks), ``word``, ``string``, ``number`` or ``op``."""
    text: str
    """Without its quotes."""
    start: int
    end: int

    def says(self, *words: str) -> bool:
        """It is one of these words or signs, and no quoted name."""
        return self.kind in {"word", "op"} and self.text.lower() in words


def tokens(sql: str) -> list[Token]:
    """The statement's words, without comments; those that only some servers heed (``/*!50100 ... */``) are words."""
    return list(_tokens(sql))


def _tokens(sql: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(sql):
        kind = found.lastgroup
        assert kind is not None, "each way of the pattern has a name"
        if kind == "name":
            yield Token(kind, found[kind].replace("``", "`"), found.start(), found.end())
        elif kind == "string":
            yield Token(kind, _unquoted(found[kind]), found.start(), found.end())
        elif kind != "skip":
            yield Token(kind, found[kind], found.start(), found.end())


def _unquoted(literal: str) -> str:
    quote, inner = literal[0], literal[1:-1]
    inner = inner.replace(quote * 2, quote)
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner, flags=re.DOTALL)


def parts(of: Sequence[Token], sign: str) -> Iterator[list[Token]]:
    """`of`, cut at each `sign` that stands in no parentheses."""
    depth = 0
    part: list[Token] = []
    for token in of:
        depth += token.says("(") - token.says(")")
        if depth == 0 and token.says(sign):
            yield part
            part = []
        else:
            part.append(token)
    yield part


def leaves(of: Iterable[Token]) -> frozenset[str]:
    """What an expression is made of: columns, constants, operators, functions; never its parentheses."""
    return frozenset(_leaves([token for token in of if not token.says(")", ",")]))


def _leaves(of: Sequence[Token]) -> Iterator[str]:  # noqa: C901, PLR0912 - one branch for each kind of leaf
    skipped = 0
    for at, token in enumerate(of):
        following = of[at + 1] if at + 1 < len(of) else None
        before = of[at - 1] if at else None
        word = token.text.lower()
        if skipped:
            skipped -= 1
        elif token.says("(") or token.says("."):
            continue
        elif token.kind in {"string", "number"}:
            sign = "-" if before and before.says("-") and token.kind == "number" and _is_sign(of, at - 1) else ""
            prefix = f"{before.text.lower()}:" if before and before.kind == "word" and before.says("b", "x") else ""
            yield f"constant {prefix}{sign}{token.text}"
        elif token.kind == "name":
            if following is None or not following.says("."):
                yield f"column {word}"
        elif following is not None and following.kind == "string" and _OF_TEXT.match(word):
            continue  # _utf8mb4'...'
        elif word in {"charset", "collate"}:
            skipped = 1
        elif word == "character" and following is not None and following.says("set"):
            skipped = 2
        elif word in {"true", "false", "null"}:
            yield {"true": "constant 1", "false": "constant 0", "null": "constant NULL"}[word]
        elif word in _WORDS or (token.kind == "op" and token.text != "-"):
            yield f"operator {_SAME_WORD.get(word, word)}"
        elif token.kind == "op":
            if not _is_sign(of, at):
                yield "operator -"
        elif (following is not None and following.says("(")) or word in _BARE_FUNCTIONS:
            yield f"function {_SAME_FUNCTION.get(word, word)}"
        elif following is None or not following.says("."):
            yield f"column {word}"


def _is_sign(of: Sequence[Token], at: int) -> bool:
    """The minus there belongs to the number behind it."""
    if at + 1 >= len(of) or of[at + 1].kind != "number":
        return False
    before = of[at - 1] if at else None
    return before is None or before.kind == "op" or before.text.lower() in _WORDS
