"""When a fact is the same on MySQL and MariaDB, which keep some things in a form of their own.  Pure.

Each comparison answers True, False, or CANNOT_TELL where the server's form may stand for what the migration wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Optional

from alembic_rescue.model_evidence import Facts

CANNOT_TELL = None
Answer = Optional[bool]

_TEXT = re.compile(r"^(?P<size>tiny|medium|long|)(?:text|blob)(?P<length>\(\d+\))?$")
_SIZES = ("tiny", "", "medium", "long")
_NUMBERS = re.compile(r"tinyint|smallint|mediumint|int|bigint|decimal|float|double|year|bit")
_TIMES = re.compile(r"date|time")
_MIDNIGHT = re.compile(r"[ T]00:00:00(?:\.0+)?$")
_PLAIN_OPERATORS = frozenset(f"operator {sign}" for sign in ("<", ">", "<=", ">=", "=", "<>", "and", "or", "not", "in"))
_QUERY_WORDS = frozenset(
    ["select", "from", "where", "join", "inner", "outer", "left", "right", "cross", "natural", "on", "using", "group"]
    + ["by", "order", "asc", "desc", "limit", "having", "union", "straight_join"]
)


def _type(expected: str, actual: Any, *_: Any) -> Answer:
    """A text grows along with its character set (CONVERT TO), and TEXT(n) becomes one that is large enough."""
    wanted, found = _TEXT.match(expected), _TEXT.match(str(actual))
    if not wanted or not found or expected.endswith("blob") != str(actual).endswith("blob"):
        return False
    return bool(wanted["length"]) or _SIZES.index(wanted["size"]) < _SIZES.index(found["size"])


def _default(expected: Any, actual: Any, facts: Facts, actually: Facts) -> Answer:
    """Two constants by what they are worth; calls in the server's own words cannot be told."""
    if expected is None or actual is None:
        return False
    both = [str(next(iter(x))) for x in (expected, actual) if len(x) == 1]
    values = [text.removeprefix("constant ") for text in both if text.startswith("constant ")]
    if len(values) != len((expected, actual)):
        return _expression(expected, actual, facts, actually)
    type_ = str(actually.get("type", facts.get("type", "")))
    if _NUMBERS.match(type_):
        with suppress(InvalidOperation):
            return Decimal(values[0].removeprefix("b:")) == Decimal(values[1].removeprefix("b:"))
    if _TIMES.match(type_):
        return _MIDNIGHT.sub("", values[0]) == _MIDNIGHT.sub("", values[1])
    return False


def _expression(expected: Any, actual: Any, *_: Any) -> Answer:
    """Another constant or column is another expression; a function or a cast may be the same one by another name."""
    if expected is None or actual is None:
        return False
    differing = expected ^ actual
    named = {leaf for leaf in differing if leaf.startswith("column ")}
    if differing <= _PLAIN_OPERATORS | {leaf for leaf in differing if leaf.startswith("constant ")} | named:
        return False
    return CANNOT_TELL


def _where_told(expected: Any, actual: Any, *_: Any) -> Answer:
    """The server leaves out what is the default."""
    return CANNOT_TELL if actual is None else bool(expected == actual)


def _columns(expected: Any, actual: Any, facts: Facts, _: Facts) -> Answer:
    """Of a check they follow from its expression; and older servers know no descending index."""
    if facts.get("constraint") == "check":
        return True
    if actual is None or tuple(c.removesuffix(" desc") for c in expected) != tuple(actual):
        return False
    return CANNOT_TELL


def _references(expected: Any, actual: Any, *_: Any) -> Answer:
    return actual is not None and expected[1] == actual[1] and None in {expected[0], actual[0]}


def _query(expected: Any, actual: Any, *_: Any) -> Answer:
    """Two queries with the same names and constants; the server writes a query anew, so nothing else can be told."""
    if actual is None:
        return CANNOT_TELL
    parts = ("column ", "constant ", "function ")
    wanted, found = ({leaf for leaf in x if leaf.startswith(parts)} for x in (expected, actual))
    noise = {f"column {word}" for word in _QUERY_WORDS}
    if "operator *" in expected and wanted - noise <= found:
        return True
    return True if wanted - noise == found - noise else CANNOT_TELL


COMPARED: Mapping[str, Callable[[Any, Any, Facts, Facts], Answer]] = {
    "type": _type,
    "default": _default,
    "generated": _expression,
    "expression": _expression,
    "set_on_update": _expression,
    "charset": _where_told,
    "collation": _where_told,
    "lengths": _where_told,
    "columns": _columns,
    "references": _references,
    "query": _query,
}
"""What to ask where a fact is not the very same."""
