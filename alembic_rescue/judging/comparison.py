"""What is expected of one object, held against the catalog.  Pure.

Facts are compared by what they mean: types as ``format_type`` shows them, expressions by what they are made of, the
labels of an enum in their order.  What cannot be compared is not held against the object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from alembic_rescue.catalog.snapshot import Snapshot
from alembic_rescue.ddl import MYSQL
from alembic_rescue.judging import comparison_mysql
from alembic_rescue.judging.comparison_mysql import CANNOT_TELL, Answer
from alembic_rescue.model_evidence import Expectation, Facts, Key, Kind, Presence

_NOT_COMPARED = frozenset(["unnamed", "including", "partial", "before", "after"])
_TRUE = frozenset(["true", "t", "1", "yes", "on"])
_TEXTS = ("character", "text", "citext", "name")
_NUMBERS = ("integer", "bigint", "smallint", "numeric", "real", "double precision")
_OTHER_LITERALS = re.compile(r"timestamp|time|date|interval|json|uuid|inet|cidr|bytea|\[\]$|bit|money|xml|vector|range")
_SAME_NAMESPACE = {
    Kind.ENUM: (Kind.ENUM, Kind.DOMAIN, Kind.TYPE),
    Kind.TABLE: (Kind.TABLE, Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.SEQUENCE),
}


@dataclass(frozen=True)
class Assessment:
    """Whether an expectation holds."""

    presence: Presence
    detail: str | None = None
    found: Key | None = None
    actual: Facts | None = None
    mismatched: tuple[str, ...] = ()
    """The facts that differ."""
    former_is_there: bool = False
    """It is not there, but under its name before the rename it is."""


def assess(expectation: Expectation, snapshot: Snapshot) -> Assessment:
    """Hold one expectation against the catalog."""
    key = expectation.key
    table = key if key.kind is Kind.TABLE else key.table
    if table is not None and table in snapshot.unread:
        return Assessment(Presence.UNVERIFIABLE, f"the catalog's {table.name} cannot be read: {snapshot.unread[table]}")
    found = find(snapshot, key, expectation.facts)
    if not expectation.present:
        if found is None:
            return Assessment(Presence.ABSENT)
        return Assessment(Presence.PRESENT, "it is still there", found[0], found[1])
    if found is None:
        return _absent(expectation, snapshot)
    actual = found[1]
    same = {fact: _same(fact, expectation.facts, actual, snapshot.dialect) for fact in expectation.facts}
    mismatched = tuple(fact for fact, answer in same.items() if answer is False)
    unsure = [fact for fact, answer in same.items() if answer is CANNOT_TELL]
    if unsure and not mismatched:
        told = "; ".join(_difference(f, expectation.facts[f], actual.get(f)) for f in unsure)
        return Assessment(Presence.UNVERIFIABLE, f"it cannot be compared: {told}", found[0], actual)
    if not mismatched:
        return Assessment(Presence.PRESENT, None, found[0], actual)
    details = [_difference(f, expectation.facts[f], actual.get(f)) for f in mismatched]
    return Assessment(Presence.DIFFERENT, "; ".join(details), found[0], actual, mismatched)


def find(snapshot: Snapshot, key: Key, facts: Facts) -> tuple[Key, Facts] | None:
    """The object in the catalog: by its name, or by what it is where the migration gave it no name."""
    for kind in _SAME_NAMESPACE.get(key.kind, (key.kind,)) if not facts else (key.kind,):
        if found := snapshot.find(replace(key, kind=kind)):
            return found
    if key.kind is Kind.FUNCTION and "(" not in key.name:
        named = (item for item in snapshot.objects.items() if item[0].kind is Kind.FUNCTION)
        return next((i for i in named if i[0].name.split("(")[0] == key.name), None)
    if facts.get("unnamed"):
        table = key.table or Key(Kind.TABLE, key.schema, None, facts["table"])
        for other, actual in snapshot.on(table, key.kind):
            if all(_same(fact, facts, actual, snapshot.dialect) is not False for fact in facts):
                return other, actual
    return None


def _absent(expectation: Expectation, snapshot: Snapshot) -> Assessment:
    former = expectation.former
    if former is not None and find(snapshot, former, {}):
        return Assessment(Presence.ABSENT, f"it is still called {former.name}", former_is_there=True)
    table = expectation.key.table
    if table is not None and snapshot.find(table) is None:
        return Assessment(Presence.ABSENT, f"there is no table {table.name}")
    guarded = expectation.history and all(statement.hypothetical for statement in expectation.history)
    if guarded and (table is None or expectation.within is None):
        return Assessment(Presence.UNVERIFIABLE, "it is not there, and the migration's guards would not make it here")
    return Assessment(Presence.ABSENT, "it does not exist")


def _difference(fact: str, expected: Any, actual: Any) -> str:
    if fact == "valid":
        return "it is invalid: an interrupted CREATE INDEX CONCURRENTLY left it, and nothing uses it"
    if fact == "validated":
        return "it is not validated"
    if fact == "labels":
        missing = [label for label in expected if label not in (actual or ())]
        return f"it lacks {', '.join(map(repr, missing))}" if missing else f"its labels are in another order: {actual}"
    return f"{fact.replace('_', ' ')} is {_shown(actual)}, expected {_shown(expected)}"


def _shown(value: Any) -> str:
    if isinstance(value, frozenset):
        return "(" + ", ".join(sorted(str(v).removeprefix("constant ") for v in value)) + ")"
    if isinstance(value, tuple):
        return "(" + ", ".join(str(v) for v in value if v is not None) + ")"
    return "none" if value in (None, "") else str(value)


def _same(fact: str, facts: Facts, actual: Facts, dialect: str) -> Answer:
    if fact in _NOT_COMPARED or facts[fact] == actual.get(fact):
        return True
    compare = (comparison_mysql.COMPARED if dialect in MYSQL else _COMPARED).get(fact)
    return compare(facts[fact], actual.get(fact), facts, actual) if compare is not None else False


def _type(expected: Any, actual: Any, *_: Any) -> bool:
    """A name with its schema, and the same one found on the search path."""
    if not isinstance(expected, str) or not isinstance(actual, str):
        return False
    one_is_bare = ("." in expected) != ("." in actual)
    return one_is_bare and expected.rpartition(".")[2] == actual.rpartition(".")[2]


def _default(expected: Any, actual: Any, facts: Facts, actually: Facts) -> bool:
    if expected is None or actual is None:
        return False
    if "function nextval" in expected and "function nextval" in actual:
        return True
    type_ = str(actually.get("type", facts.get("type", "")))
    literals = [next(iter(x)).removeprefix("constant ") for x in (expected, actual) if len(x) == 1]
    if len(literals) != len((expected, actual)) or not all(x.startswith("constant ") for x in (*expected, *actual)):
        return False
    return _same_literal(literals[0], literals[1], type_)


def _same_literal(expected: str, actual: str, type_: str) -> bool:
    """Two constants of one type; the server folds some into another form, and then they cannot be told apart here."""
    if type_ == "boolean":
        return (expected.lower() in _TRUE) == (actual.lower() in _TRUE)
    if type_.startswith(_NUMBERS):
        with suppress(InvalidOperation):
            return Decimal(expected) == Decimal(actual)
    if type_.startswith(_TEXTS):
        return False
    return bool(_OTHER_LITERALS.search(type_))


def _references(expected: Any, actual: Any, *_: Any) -> bool:
    return actual is not None and expected[1] == actual[1] and None in (expected[0], actual[0])


def _labels(expected: Any, actual: Any, *_: Any) -> bool:
    """The expected ones in their order; more of them do no harm."""
    return actual is not None and tuple(label for label in actual if label in set(expected)) == tuple(expected)


def _definition(expected: Any, actual: Any, _: Facts, actually: Facts) -> bool:
    """Two queries that read the same columns of the same tables with the same functions and texts."""
    if actual is None:  # the server tells it with a star
        return {leaf for leaf in expected if leaf.startswith("table ")} == actually.get("tables")

    def part(leaves: frozenset[str], word: str) -> set[str]:
        return {leaf.removeprefix(word) for leaf in leaves if leaf.startswith(word)}

    if any(part(expected, word) != part(actual, word) for word in ("table ", "function ")):
        return False
    texts = [{c for c in part(x, "constant ") if not c.isdigit()} for x in (expected, actual)]
    named = part(expected, "alias ") | part(actual, "alias ")
    return texts[0] == texts[1] and not (part(expected, "column ") ^ part(actual, "column ")) - named


def _within(expected: Any, actual: Any, *_: Any) -> bool:
    return actual is not None and expected <= actual


def _anything(*_: Any) -> bool:
    return True


def _columns(expected: Any, actual: Any, facts: Facts, _: Facts) -> bool:
    """Of a check they follow from its expression; the server's order is another."""
    if facts.get("constraint") == "check":
        return True
    return bool(expected == actual)


def _more_checks(expected: Any, _: Any, __: Facts, actually: Facts) -> bool:
    return expected in actually.get("checks", ())


def _where(expected: Any, actual: Any, *_: Any) -> bool:
    return bool(expected == actual)


def _returns(_: Any, actual: Any, *__: Any) -> bool:
    """The server tells a table or a set in words of its own."""
    return actual is None or str(actual).startswith(("TABLE", "SETOF"))


def _owner(expected: Any, *_: Any) -> bool:
    return not expected  # CURRENT_USER and the like: whoever ran it


def _number(expected: Any, *_: Any) -> bool:
    return expected is None


_COMPARED: Mapping[str, Callable[[Any, Any, Facts, Facts], Answer]] = {
    "type": _type,
    "default": _default,
    "references": _references,
    "labels": _labels,
    "definition": _definition,
    "tables": _within,
    "columns": _columns,
    "more_checks": _more_checks,
    "returns": _returns,
    "owner": _owner,
    "start": _number,
    "increment": _number,
    "schema": _anything,
}
