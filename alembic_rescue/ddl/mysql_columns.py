"""A column's definition as MySQL and MariaDB write it: its type, and what else is said of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from alembic_rescue.ddl.mysql_tokens import Token, leaves


class UnreadableError(Exception):
    """Something that this reader does not know; never leaves :mod:`alembic_rescue.ddl`."""


_TYPES = {
    "integer": "int",
    "int4": "int",
    "int1": "tinyint",
    "int2": "smallint",
    "int3": "mediumint",
    "middleint": "mediumint",
    "int8": "bigint",
    "bool": "tinyint(1)",
    "boolean": "tinyint(1)",
    "dec": "decimal",
    "numeric": "decimal",
    "fixed": "decimal",
    "real": "double",
    "float4": "float",
    "float8": "double",
    "character": "char",
    "nchar": "char",
    "nvarchar": "varchar",
    "serial": "bigint unsigned",
}
_KNOWN = frozenset(
    ["tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "char", "varchar"]
    + [
        "binary",
        "varbinary",
        "tinyblob",
        "blob",
        "mediumblob",
        "longblob",
        "tinytext",
        "text",
        "mediumtext",
        "longtext",
    ]
    + ["enum", "set", "date", "time", "datetime", "timestamp", "year", "json", "uuid", "inet4", "inet6"]
    + ["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"]
    + ["geometrycollection", "vector"]
)
_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_DEFAULT_LENGTH = {"decimal": ("10", "0"), "char": ("1",), "binary": ("1",), "bit": ("1",)}
_SINGLE = 24
"""Bits of a FLOAT; with more it is a DOUBLE."""
_CHARSETS = {"utf8": "utf8mb3"}


class Cursor:
    """Walks over the tokens of one definition or clause."""

    def __init__(self, of: Sequence[Token]) -> None:
        self.of, self.at = list(of), 0

    @property
    def next(self) -> Token | None:
        """The token that comes; None at the end."""
        return self.of[self.at] if self.at < len(self.of) else None

    def accept(self, *words: str) -> bool:
        """Step over these words if they come next, all of them."""
        ahead = self.of[self.at : self.at + len(words)]
        if len(ahead) == len(words) and all(token.says(word) for token, word in zip(ahead, words, strict=True)):
            self.at += len(words)
            return True
        return False

    def any(self, *words: str) -> str | None:
        """Step over the one of these words that comes next."""
        return next((word for word in words if self.accept(word)), None)

    def take(self) -> Token:
        """The next token.

        Raises:
            UnreadableError: there is none.
        """
        token = self.next
        if token is None:
            raise UnreadableError("it ends too early")
        self.at += 1
        return token

    def name(self) -> str:
        """The next token as a name."""
        token = self.take()
        if token.kind not in {"word", "name", "string"}:
            raise UnreadableError(f"no name: {token.text}")
        return token.text

    def parentheses(self) -> list[Token]:
        """What stands between the parentheses that come next."""
        if not self.accept("("):
            raise UnreadableError(f"no parenthesis: {self.next.text if self.next else ''}")
        depth, start = 1, self.at
        while depth:
            token = self.take()
            depth += token.says("(") - token.says(")")
        return self.of[start : self.at - 1]

    def value(self) -> list[Token]:
        """A literal, a call, or an expression in parentheses."""
        start = self.at
        if self.next is not None and self.next.says("("):
            return self.parentheses()
        token = self.take()
        while token.says("-", "+") or (token.kind == "word" and self.next is not None and self.next.kind == "string"):
            token = self.take()
        if self.next is not None and self.next.says("("):
            self.parentheses()
        return self.of[start : self.at]


def type_facts(cursor: Cursor) -> dict[str, Any]:  # noqa: C901 - many ways to write one
    """The type that comes next, as the server would show it, with its character set and collation where given."""
    base = cursor.take().text.lower()
    if base == "double":
        cursor.accept("precision")
    if base in {"char", "character", "nchar"} and cursor.accept("varying"):
        base = "varchar"
    if base == "national":
        base = "varchar" if cursor.take().text.lower() == "varchar" or cursor.accept("varying") else "char"
    base = _TYPES.get(base, base)
    if base.split("(")[0].split()[0] not in _KNOWN:
        raise UnreadableError(f"its type {base} is not known here")
    arguments = tuple(token for token in cursor.parentheses() if not token.says(",")) if _opens(cursor) else ()
    facts: dict[str, Any] = {}
    shown, signs = _with_length(base, arguments), []
    while True:
        if word := cursor.any("unsigned", "zerofill"):
            signs.append(word)
        elif cursor.accept("character", "set") or cursor.accept("charset"):
            facts["charset"] = charset(cursor.take().text)
        elif cursor.accept("collate"):
            facts["collation"] = collation(cursor.take().text)
        elif not cursor.any("signed", "binary", "ascii", "unicode"):
            break
    if "zerofill" in signs:
        signs = ["unsigned", "zerofill"]
    facts["type"] = " ".join([shown, *dict.fromkeys(signs)])
    return facts


def charset(name: str) -> str:
    """A character set by the name that the server shows."""
    return _CHARSETS.get(name.lower(), name.lower())


def collation(name: str) -> str:
    """A collation by the name that the server shows."""
    return re.sub(r"^utf8_", "utf8mb3_", name.lower())


def column_facts(cursor: Cursor) -> dict[str, Any]:
    """All that is said of a column after its name.  What stands on it besides is in ``keys`` and ``checks``."""
    serial = cursor.next is not None and cursor.next.says("serial")
    facts: dict[str, Any] = {"nullable": True, "default": None, "auto_increment": False, "generated": None}
    facts["set_on_update"] = None
    facts.update(type_facts(cursor), keys=[], checks=[])
    said: set[str] = set()
    if serial:
        facts.update(nullable=False, auto_increment=True, keys=["unique"])
    while cursor.next is not None:
        said.add(_attribute(cursor, facts))
    if facts["type"].startswith("timestamp"):  # what it is without a word depends on the server's settings
        for fact in {"nullable", "default", "set_on_update"} - said:
            del facts[fact]
    return facts


def _attribute(cursor: Cursor, facts: dict[str, Any]) -> str:  # noqa: C901, PLR0912 - one branch for each attribute
    """Read one attribute into `facts`; the name of the fact that it settles."""
    if cursor.accept("not", "null"):
        facts["nullable"] = False
        return "nullable"
    if cursor.accept("null"):
        return "nullable"
    if cursor.accept("default"):
        found = leaves(cursor.value())
        facts["default"] = None if found == {"constant NULL"} else found
        return "default"
    if cursor.accept("on", "update"):
        facts["set_on_update"] = leaves(cursor.value())
        return "set_on_update"
    if cursor.any("auto_increment"):
        facts["auto_increment"] = True
    elif cursor.accept("primary", "key") or cursor.any("primary", "key"):
        facts["keys"].append("primary")
        facts["nullable"] = False
        return "nullable"
    elif cursor.accept("unique", "key") or cursor.accept("unique"):
        facts["keys"].append("unique")
    elif cursor.accept("comment"):
        facts["comment"] = cursor.take().text or None
    elif cursor.accept("collate"):
        facts["collation"] = collation(cursor.take().text)
    elif cursor.accept("generated", "always", "as") or cursor.accept("as"):
        facts["generated"] = leaves(cursor.parentheses())
    elif word := cursor.any("virtual", "stored", "persistent"):
        facts["stored"] = word != "virtual"
    elif cursor.accept("check"):
        checked = cursor.parentheses()
        if [token.text.lower() for token in checked[:1]] == ["json_valid"]:
            facts["type"] = "json"  # as MariaDB keeps it
            facts.pop("charset", None), facts.pop("collation", None)
        else:
            facts["checks"].append((None, leaves(checked)))
    elif cursor.accept("constraint"):
        name = None if cursor.next is not None and cursor.next.says("check") else cursor.name()
        if not cursor.accept("check"):
            raise UnreadableError("a constraint of a column that is no check")
        facts["checks"].append((name, leaves(cursor.parentheses())))
    elif cursor.accept("after"):
        cursor.name()
    elif cursor.accept("column_format") or cursor.accept("storage"):
        cursor.take()
    elif not cursor.any("first", "visible", "invisible", "enforced"):
        raise UnreadableError(f"{cursor.take().text} in the definition of a column is not known here")
    return ""


def _opens(cursor: Cursor) -> bool:
    return cursor.next is not None and cursor.next.says("(")


def _with_length(base: str, arguments: tuple[Token, ...]) -> str:
    texts = tuple(token.text for token in arguments)
    if base in _INTEGERS:  # how wide it is shown says nothing of what it holds, except for a boolean
        return "tinyint(1)" if base == "tinyint" and texts == ("1",) else base
    if base in {"enum", "set"}:
        return f"{base}({','.join(repr(text) for text in texts)})"
    if base == "float" and len(texts) == 1:
        return "float" if int(texts[0]) <= _SINGLE else "double"
    if base in {"year", "json"} or (base in {"datetime", "timestamp", "time"} and texts == ("0",)):
        return base
    if base == "decimal" and len(texts) == 1:
        texts = (*texts, "0")
    texts = texts or _DEFAULT_LENGTH.get(base, ())
    return f"{base}({','.join(texts)})" if texts else base
