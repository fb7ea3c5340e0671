"""Why a run fails: the statement of a pending migration that must fail on the database as it stands.

Pure, but for reading the migration's file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from alembic_rescue.catalog.snapshot import Snapshot
from alembic_rescue.ddl.reader import one_line
from alembic_rescue.failures import shown
from alembic_rescue.judging.comparison import find
from alembic_rescue.model_evidence import Alter, Cause, Create, Drop, Effect, Footprint, Key, Kind, Rename, Statement

_NO_NAMESPACE = frozenset([Kind.GRANT])
_REPLACEABLE = frozenset([Kind.VIEW, Kind.FUNCTION, Kind.TRIGGER])


def causes(footprints: Sequence[Footprint], snapshot: Snapshot, *, transactional: bool = True) -> tuple[Cause, ...]:
    """The statements of the pending revisions that must fail, in order: what they create exists, or the reverse."""
    return tuple(_causes(footprints, _Virtual(snapshot), transactional=transactional))


def _causes(footprints: Sequence[Footprint], world: _Virtual, *, transactional: bool) -> Iterator[Cause]:
    for footprint in footprints:
        for statement in footprint.statements:
            if statement.hypothetical or statement.line is None:
                continue
            failure = world.run(statement)
            if failure:
                handler = swallowing_handler(Path(statement.path), statement.line)
                error, mend = failure
                savepoint = handler is not None and transactional
                yield Cause(
                    revision=statement.revision,
                    path=shown(Path(statement.path)),
                    line=statement.line,
                    statement=one_line(statement.sql),
                    error=error,
                    swallowed=handler is not None,
                    handler_line=handler,
                    mend=f"{mend}, or `with op.get_bind().begin_nested():` inside the try" if savepoint else mend,
                    aborts=transactional,
                )


class _Virtual:
    """The database as it stands, and as it would become while the migrations run."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._changed: dict[Key, bool] = {}
        self._goes_with: dict[Key, Key] = {}
        """What bears no table's name, but goes when its table goes: indexes and sequences that were made here."""

    def run(self, statement: Statement) -> tuple[str, str] | None:
        """Why the statement must fail, and what would mend it; None where it runs, and then it has run."""
        before = dict(self._changed)
        for effect in statement.effects:
            if failure := self.fails(effect, statement.sql):
                self._changed = before
                return failure
            self.apply(effect)
        return None

    def exists(self, key: Key) -> bool:
        if key in self._changed:
            return self._changed[key]
        table = key.table
        if table is not None and table in self._changed:
            return self._changed[table]  # made here: with all that the next statements find on it
        return find(self._snapshot, key, {}) is not None

    def fails(self, effect: Effect, sql: str) -> tuple[str, str] | None:
        """Why the effect cannot be had, and what would mend it; None where it can."""
        if isinstance(effect, Create) and not effect.conditional and effect.key.kind not in _NO_NAMESPACE:
            made_here = effect.key.table is not None and effect.key.table in self._changed
            replaces = effect.key.kind in _REPLACEABLE and "replace" in sql[:40].lower()
            if not made_here and not replaces and not effect.facts.get("unnamed") and self.exists(effect.key):
                return f"{effect.key.kind.value} {effect.key} exists already", _mend_create(effect.key)
        elif isinstance(effect, Drop) and not effect.conditional and effect.key.kind not in _NO_NAMESPACE:
            if not self.exists(effect.key):
                return f"{effect.key.kind.value} {effect.key} does not exist", "look before dropping, or IF EXISTS"
        elif isinstance(effect, (Alter, Rename)) and not self.exists(effect.key):
            return f"{effect.key.kind.value} {effect.key} does not exist", "look before altering"
        return None

    def apply(self, effect: Effect) -> None:
        if isinstance(effect, (Create, Alter)):
            made = (effect.key, *_brought_along(effect))
            self._changed.update(dict.fromkeys(made, True))
            table = effect.key.table or _table_of_index(effect)
            if table is not None:
                self._goes_with.update({key: table for key in made if key.kind in {Kind.INDEX, Kind.SEQUENCE}})
        elif isinstance(effect, Drop):
            self._changed[effect.key] = False
            on_it = self._snapshot.on(effect.key, Kind.INDEX) if effect.key.kind is Kind.TABLE else ()
            live = [replace(key, schema=effect.key.schema) for key, _ in on_it]
            made_here = [key for key, table in self._goes_with.items() if table == effect.key]
            self._changed.update(dict.fromkeys([*live, *made_here], False))
        elif isinstance(effect, Rename):
            self._changed[effect.key] = False
            self._changed[effect.to] = True
            renamed = {key: effect.to for key, table in self._goes_with.items() if table == effect.key}
            self._goes_with.update(renamed)


def _table_of_index(effect: Create | Alter) -> Key | None:
    on = effect.facts.get("table") if effect.key.kind is Kind.INDEX else None
    return Key(Kind.TABLE, effect.key.schema, None, on) if on else None


def _brought_along(effect: Create | Alter) -> Iterator[Key]:
    """What the server makes along with an object."""
    key = effect.key
    if key.kind is Kind.ENUM:
        for label in effect.facts.get("labels", ()):
            yield Key(Kind.ENUM_LABEL, key.schema, key.name, label)
    elif key.kind is Kind.COLUMN:  # serial and identity
        yield Key(Kind.SEQUENCE, key.schema, None, f"{key.parent}_{key.name}_seq")
    elif key.kind is Kind.CONSTRAINT:
        yield Key(Kind.INDEX, key.schema, None, key.name)
        yield Key(Kind.INDEX, key.schema, key.parent, key.name)  # as MySQL does for a foreign key


def _mend_create(key: Key) -> str:
    if key.kind is Kind.ENUM:
        return "look before creating: create the type with checkfirst=True, and create_type=False in the tables"
    if key.kind in {Kind.TABLE, Kind.INDEX, Kind.SCHEMA, Kind.EXTENSION, Kind.SEQUENCE, Kind.COLUMN, Kind.ENUM_LABEL}:
        return "look before creating, or IF NOT EXISTS"
    return "look before creating"


def swallowing_handler(path: Path, line: int) -> int | None:
    """The line of the ``except`` that hides a failure at `line`, where no SAVEPOINT stands between; None where none."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    return _handler(tree, line, None)


def _handler(node: ast.AST, line: int, handler: int | None) -> int | None:
    """Walk down to `line`: each try opens a handler, each SAVEPOINT within it closes it again."""
    for child in ast.iter_child_nodes(node):
        first, last = getattr(child, "lineno", None), getattr(child, "end_lineno", None)
        if first is None or last is None or not first <= line <= last:
            continue
        inner = handler
        if isinstance(child, ast.Try) and any(s.lineno <= line <= (s.end_lineno or s.lineno) for s in child.body):
            hiding = next((h for h in child.handlers if _hides(h)), None)
            inner = hiding.lineno if hiding is not None else handler
        elif isinstance(child, (ast.With, ast.AsyncWith)) and _is_savepoint(child):
            inner = None
        return _handler(child, line, inner)
    return handler


def _hides(handler: ast.ExceptHandler) -> bool:
    return not any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def _is_savepoint(block: ast.With | ast.AsyncWith) -> bool:
    called = (node.func for item in block.items for node in ast.walk(item.context_expr) if isinstance(node, ast.Call))
    return any(isinstance(func, ast.Attribute) and func.attr in {"begin_nested", "autocommit_block"} for func in called)
