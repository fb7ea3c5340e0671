"""The net effect: what must hold of each object once a range of revisions has run.  Pure.

Statements are folded one after the other: a later drop cancels an earlier create, a rename re-keys an object with
everything on it, a change of type replaces the type.  Each expectation remembers the statements that it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from alembic_rescue.model_evidence import (
    Alter,
    Create,
    Drop,
    Effect,
    Expectation,
    Footprint,
    Key,
    Kind,
    Opaque,
    Rename,
    Statement,
)

_TYPES = frozenset([Kind.ENUM, Kind.DOMAIN, Kind.TYPE])
_NUMBERED = re.compile(r"(?:constraint|.*_(?:(?P<foreign>ibfk)|chk))_(?P<number>[1-9]\d*)")
_VIEWS = frozenset([Kind.VIEW, Kind.MATERIALIZED_VIEW])


@dataclass(frozen=True)
class Net:
    """What must hold after the revisions up to and including the last one folded."""

    expectations: Mapping[Key, Expectation] = field(default_factory=dict)
    opaque: tuple[tuple[Statement, Opaque], ...] = ()
    """What cannot be held against the catalog."""
    cancelled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each revision, the later ones that took back or replaced effects of it."""


def fold(footprints: Sequence[Footprint]) -> list[Net]:
    """The net effect after none of the revisions, after the first, after the first two, and so on."""
    state = _State()
    nets = [Net()]
    for footprint in footprints:
        for statement in footprint.statements:
            for effect in statement.effects:
                state.apply(effect, statement)
        if footprint.failure is not None:
            where = Statement(footprint.revision, "", (), footprint.path, footprint.failure_line)
            state.opaque.append((where, Opaque(f"its replay could not be finished: {footprint.failure}")))
        cancelled = {revision: tuple(dict.fromkeys(by)) for revision, by in state.cancelled.items()}
        nets.append(Net(dict(state.objects), tuple(state.opaque), cancelled))
    return nets


class _State:
    """The expectations so far."""

    def __init__(self) -> None:
        self.objects: dict[Key, Expectation] = {}
        self.opaque: list[tuple[Statement, Opaque]] = []
        self.cancelled: dict[str, list[str]] = {}

    def apply(self, effect: Effect, statement: Statement) -> None:
        if isinstance(effect, Create):
            self._create(effect, statement)
        elif isinstance(effect, Alter):
            self._alter(effect, statement)
        elif isinstance(effect, Drop):
            self._drop(effect, statement)
        elif isinstance(effect, Rename):
            self._rename(effect, statement)
        else:
            self.opaque.append((statement, effect))

    def _create(self, effect: Create, statement: Statement) -> None:
        before = self.objects.get(effect.key)
        if before is not None and before.present and (effect.conditional or statement.hypothetical):
            return
        if before is not None and before.present:
            self._note_cancelled(before, statement)
        table = effect.key.table
        owner = self.objects.get(table) if table else None
        facts, index = self._from_index(effect)
        self.objects[effect.key] = Expectation(
            key=effect.key,
            present=True,
            facts=facts,
            created=True,
            born=effect.key,
            history=tuple(dict.fromkeys([*(index.history if index else ()), statement])),
            renames=index.renames if index else (),
            origin=dict.fromkeys(effect.facts, statement),
            within=statement if owner is not None and owner.history[:1] == (statement,) else None,
        )

    def _from_index(self, effect: Create) -> tuple[Mapping[str, Any], Expectation | None]:
        """The facts; a constraint ``USING INDEX`` takes that index over, where it is known, with its columns."""
        facts = effect.facts
        if "constraint" not in facts or "columns" in facts:
            return facts, None
        index = self.objects.pop(Key(Kind.INDEX, effect.key.schema, None, effect.key.name), None)
        if index is None or "columns" not in index.facts:
            return facts, None
        return {**facts, "columns": index.facts["columns"]}, index

    def _alter(self, effect: Alter, statement: Statement) -> None:
        before = self.objects.get(effect.key)
        if before is None or not before.present:
            before = Expectation(effect.key, present=True)
        changed = {f: v for f, v in effect.facts.items() if f not in before.facts or before.facts[f] != v}
        if changed:
            self.objects[effect.key] = before.with_facts(changed, statement)

    def _drop(self, effect: Drop, statement: Statement) -> None:
        key = self._resolved(effect.key)
        before = self.objects.pop(self._numbered(key) or key, None)
        for dependent in list(self._dependents(key)):
            self._note_cancelled(self.objects.pop(dependent), statement)
        if key.kind is Kind.TABLE:
            self.opaque = [(s, o) for s, o in self.opaque if o.table != key]
        if before is not None and before.present:
            self._note_cancelled(before, statement)
        never_there = before is not None and (before.created or before.vacuous)
        self.objects[key] = Expectation(
            key=key,
            present=False,
            vacuous=never_there or effect.conditional or statement.hypothetical or key.kind is Kind.GRANT,
            history=(statement,),
        )

    def _rename(self, effect: Rename, statement: Statement) -> None:
        key = self._resolved(effect.key)
        to = replace(effect.to, kind=key.kind)
        if key.kind is Kind.ENUM_LABEL:
            self._relabel_defaults(key, to)
        if key.kind is Kind.ENUM_LABEL and self._relabel(key, to, statement):
            return
        dependents = list(self._dependents(key)) if key.kind in {Kind.TABLE, Kind.SCHEMA, Kind.ENUM} else []
        for dependent in dependents:
            moved = _moved(dependent, key, to)
            expectation = self.objects.pop(dependent)
            facts = expectation.facts
            if moved.kind is Kind.INDEX and key.kind is Kind.TABLE:
                facts = {**facts, "table": to.name}
            self.objects[moved] = _mentioning(replace(expectation, key=moved, facts=facts), key, to)
        self.opaque = [(s, replace(o, table=to) if o.table == key else o) for s, o in self.opaque]
        before = self.objects.pop(key, None)
        if before is None or not before.present:
            before = Expectation(key, present=True)
        self.objects[to] = replace(
            before,
            key=to,
            history=(*before.history, statement),
            former=key,
            origin={**before.origin, "name": statement},
        )
        for other, expectation in list(self.objects.items()):
            renamed = _renamed_facts(expectation, key, to)
            if renamed is not expectation.facts:
                self.objects[other] = _mentioning(replace(expectation, facts=renamed), key, to)

    def _relabel(self, key: Key, to: Key, statement: Statement) -> bool:
        """Rename a label within the enum that the range created; False where it did not create it."""
        enum = Key(Kind.ENUM, key.schema, None, str(key.parent))
        owner = self.objects.get(enum)
        if owner is None or key.name not in owner.facts.get("labels", ()):
            return False
        labels = tuple(to.name if label == key.name else label for label in owner.facts["labels"])
        self.objects[enum] = owner.with_facts({"labels": labels}, statement)
        return True

    def _relabel_defaults(self, key: Key, to: Key) -> None:
        enum = Key(Kind.ENUM, key.schema, None, str(key.parent))
        for other, expectation in list(self.objects.items()):
            facts = expectation.facts
            of_type = other.kind is Kind.COLUMN and facts.get("type") in _spellings(enum)
            if of_type and facts.get("default") == {f"constant {key.name}"}:
                facts = {**facts, "default": frozenset({f"constant {to.name}"})}
                self.objects[other] = replace(expectation, facts=facts)

    def _resolved(self, key: Key) -> Key:
        """The key of the object that a statement means where it cannot name its kind or its arguments."""
        if key in self.objects:
            return key
        if key.kind in _TYPES:
            same = (replace(key, kind=kind) for kind in _TYPES)
            return next((k for k in same if k in self.objects), key)
        if key.kind is Kind.FUNCTION and "(" not in key.name:
            return next((k for k in self.objects if _is_function(k, key)), key)
        if key.kind is Kind.TABLE:  # ALTER TABLE takes views and sequences too
            same = (replace(key, kind=kind) for kind in (*_VIEWS, Kind.SEQUENCE))
            return next((k for k in same if k in self.objects), key)
        return key

    def _numbered(self, key: Key) -> Key | None:
        """The constraint without a name that MySQL or MariaDB called so: they number those of a kind on a table."""
        found = _NUMBERED.fullmatch(key.name) if key.kind is Kind.CONSTRAINT and key not in self.objects else None
        if found is None:
            return None
        kind = "foreign-key" if found["foreign"] else "check"
        unnamed = [
            other
            for other, expectation in self.objects.items()
            if (other.kind, other.schema, other.parent) == (key.kind, key.schema, key.parent)
            and expectation.facts.get("unnamed")
            and expectation.facts.get("constraint") == kind
        ]
        number = int(found["number"])
        return unnamed[number - 1] if number <= len(unnamed) else None

    def _dependents(self, owner: Key) -> Iterator[Key]:
        for key, expectation in self.objects.items():
            if key != owner and _depends(key, expectation.facts, owner):
                yield key

    def _note_cancelled(self, expectation: Expectation, statement: Statement) -> None:
        for revision in expectation.revisions:
            if revision != statement.revision:
                self.cancelled.setdefault(revision, []).append(statement.revision)


def _mentioning(expectation: Expectation, old: Key, new: Key) -> Expectation:
    """The same, with a note that its statements so far know the old name."""
    note = (len(expectation.history), old, new)
    return expectation if note in expectation.renames else replace(expectation, renames=(*expectation.renames, note))


def _is_function(key: Key, named: Key) -> bool:
    return key.kind is Kind.FUNCTION and key.schema == named.schema and key.name.split("(")[0] == named.name


def _depends(key: Key, facts: Mapping[str, Any], owner: Key) -> bool:  # noqa: C901 - by kind of owner
    """The object goes where `owner` goes: it is part of it, or cannot exist without it."""
    if owner.kind is Kind.SCHEMA:
        return key.schema == owner.name
    if key.schema != owner.schema and not (key.kind is Kind.CONSTRAINT or key.kind is Kind.COLUMN):
        return False
    if owner.kind is Kind.TABLE:
        of_it = key.parent == owner.name and key.schema == owner.schema and key.kind is not Kind.ENUM_LABEL
        return of_it or _index_of(key, facts, owner.name) or _built_on(key, facts, owner)
    if owner.kind in _VIEWS:
        return _built_on(key, facts, owner)
    if owner.kind is Kind.COLUMN:
        constrained = key.kind is Kind.CONSTRAINT and key.parent == owner.parent and key.schema == owner.schema
        if constrained:
            return owner.name in facts.get("columns", ())
        if key.kind is Kind.CONSTRAINT and facts.get("references", (None, None))[1] == owner.parent:
            return owner.name in facts.get("referenced_columns", (owner.name,))
        return _index_of(key, facts, str(owner.parent)) and any(_names(e, owner.name) for e in facts["columns"])
    if owner.kind in _TYPES:
        if key.kind is Kind.ENUM_LABEL:
            return key.parent == owner.name
        return key.kind is Kind.COLUMN and facts.get("type", "").removesuffix("[]") in _spellings(owner)
    if owner.kind is Kind.CONSTRAINT:
        return key.kind is Kind.INDEX and key.name == owner.name
    if owner.kind is Kind.FUNCTION:
        return key.kind is Kind.TRIGGER and facts.get("function") == owner.name.split("(")[0]
    return False


def _index_of(key: Key, facts: Mapping[str, Any], table: str) -> bool:
    return key.kind is Kind.INDEX and facts.get("table") == table


def _built_on(key: Key, facts: Mapping[str, Any], owner: Key) -> bool:
    if key.kind in _VIEWS:
        return f"table {owner.name}" in facts.get("definition", facts.get("tables", ()))
    return key.kind is Kind.CONSTRAINT and facts.get("references", (None, None))[1] == owner.name


def _names(element: str, column: str) -> bool:
    """An index element is, or computes with, this column."""
    return element.removesuffix(" desc") == column or f"column {column}" in element


def _spellings(type_: Key) -> tuple[str, ...]:
    return (type_.name, f"{type_.schema}.{type_.name}")


def _moved(key: Key, owner: Key, to: Key) -> Key:
    """The key of what belongs to `owner`, after that became `to`."""
    if owner.kind is Kind.SCHEMA:
        return replace(key, schema=to.name)
    if key.parent == owner.name:
        return replace(key, schema=to.schema, parent=to.name)
    if key.kind is Kind.INDEX:
        return replace(key, schema=to.schema)
    return key


def _renamed_facts(expectation: Expectation, key: Key, to: Key) -> Mapping[str, Any]:  # noqa: C901, PLR0912 - by kind
    """The facts of another object after this rename; the very same mapping where they do not mention it."""
    facts, other = expectation.facts, expectation.key
    changed: dict[str, Any] = {}
    if key.kind is Kind.COLUMN:
        if other.kind is Kind.CONSTRAINT and other.parent == key.parent and other.schema == key.schema:
            if key.name in facts.get("columns", ()):
                changed["columns"] = tuple(to.name if c == key.name else c for c in facts["columns"])
            if f"column {key.name}" in facts.get("expression", ()):
                changed["expression"] = _swapped(facts["expression"], key, to)
        elif other.kind is Kind.CONSTRAINT and facts.get("references", (None, None))[1] == key.parent:
            names = facts.get("referenced_columns", ())
            if key.name in names:
                changed["referenced_columns"] = tuple(to.name if c == key.name else c for c in names)
        elif _index_of(other, facts, str(key.parent)):
            changed["columns"] = tuple(_in_element(e, key.name, to.name) for e in facts["columns"])
            if facts.get("where") and f"column {key.name}" in facts["where"]:
                changed["where"] = _swapped(facts["where"], key, to)
    elif key.kind is Kind.TABLE:
        if facts.get("references", (None, None))[1] == key.name:
            changed["references"] = (to.schema, to.name)
        for fact in ("definition", "tables"):
            if other.kind in _VIEWS and f"table {key.name}" in facts.get(fact, ()):
                changed[fact] = (facts[fact] - {f"table {key.name}"}) | {f"table {to.name}"}
    elif key.kind in _TYPES and other.kind is Kind.COLUMN:
        if facts.get("type", "").removesuffix("[]") in _spellings(key):
            changed["type"] = to.name + ("[]" if facts["type"].endswith("[]") else "")
    elif key.kind is Kind.FUNCTION and facts.get("function") == key.name.split("(")[0]:
        changed["function"] = to.name.split("(")[0]
    return {**facts, **changed} if changed else facts


def _swapped(found: frozenset[str], key: Key, to: Key) -> frozenset[str]:
    return (found - {f"column {key.name}"}) | {f"column {to.name}"}


def _in_element(element: str, old: str, new: str) -> str:
    plain = element.removesuffix(" desc")
    tail = element[len(plain) :]
    if plain == old:
        return new + tail
    words = f" {plain} ".replace(f" column {old} ", f" column {new} ")
    return words.strip() + tail
