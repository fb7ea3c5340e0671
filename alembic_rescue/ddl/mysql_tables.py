"""Tables of MySQL and MariaDB: their columns, keys and constraints, as CREATE TABLE and ALTER TABLE make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from alembic_rescue.ddl.mysql_columns import Cursor, UnreadableError, charset, collation, column_facts
from alembic_rescue.ddl.mysql_tokens import Token, leaves, parts, tokens
from alembic_rescue.model_evidence import Alter, Create, Drop, Effect, Key, Kind, Opaque, Rename

PRIMARY = "primary"
"""What every primary key is called, whatever name it was given."""
_KEY_WORDS = ("primary", "unique", "key", "index", "fulltext", "spatial", "foreign", "check")
_ACTIONS = ("cascade", "restrict", "set null", "set default", "no action")
_HARMLESS_OPTIONS = frozenset(
    ["auto_increment", "row_format", "key_block_size", "max_rows", "min_rows", "avg_row_length", "checksum", "lock"]
    + ["delay_key_write", "stats_persistent", "stats_auto_recalc", "stats_sample_pages", "pack_keys", "algorithm"]
    + ["transactional", "page_checksum"]
)
"""How a table is stored or changed, not what is there."""


class Table:
    """One table that is being made or changed."""

    def __init__(
        self, key: Key, keys: Callable[[Cursor], Key], *, conditional: bool = False, making: bool = False
    ) -> None:
        """Args: making: that a primary key's columns take no NULL is said with the columns."""
        self.key, self._keys, self._conditional, self._making = key, keys, conditional, making

    def create(self, cursor: Cursor) -> Iterator[Effect]:
        """``CREATE TABLE``, from behind its name."""
        self._making = True
        if cursor.accept("like"):
            yield Create(self.key, {"partial": True}, self._conditional)
            return
        elements: list[Effect] = []
        if cursor.next is not None and cursor.next.says("("):
            for element in parts(cursor.parentheses(), ","):
                elements += self.element(Cursor(element))
        facts, rest = _options(cursor)
        yield Create(self.key, facts, self._conditional)
        primary = {
            column
            for e in elements
            if isinstance(e, Create) and e.facts.get("constraint") == "primary-key"
            for column in e.facts["columns"]
        }
        for effect in elements:
            if isinstance(effect, Create) and effect.key.kind is Kind.COLUMN and effect.key.name in primary:
                yield Create(effect.key, {**effect.facts, "nullable": False}, effect.conditional)
            else:
                yield effect
        if rest == "partition":
            yield Opaque("how its table is partitioned is not checked")
        elif rest:
            yield Create(self.key, {"partial": True}, self._conditional)
            yield Opaque("fills the table from a query", self.key)

    def element(self, cursor: Cursor) -> list[Effect]:  # noqa: C901 - one branch for each kind
        """A column, key or constraint, as it stands in ``CREATE TABLE`` and behind ``ADD``."""
        name = None
        if cursor.accept("constraint"):
            if cursor.next is not None and not cursor.next.says("primary", "unique", "foreign", "check"):
                name = cursor.name()
        elif cursor.next is not None and cursor.next.says("period"):
            raise UnreadableError("a period of time")
        elif not (cursor.next is not None and cursor.next.says(*_KEY_WORDS)):
            return list(self.column(cursor))
        if cursor.accept("primary", "key"):
            found = list(self._primary(cursor))
            if cursor.accept("using"):
                cursor.take()
            return found
        if cursor.accept("foreign", "key"):
            return [self._foreign_key(cursor, name)]
        if cursor.accept("check"):
            expression, enforced = leaves(cursor.parentheses()), not cursor.accept("not", "enforced")
            cursor.accept("enforced")
            return [self._check(name, expression, enforced=enforced)]
        special = cursor.any("unique", "fulltext", "spatial")
        cursor.any("key", "index")
        if cursor.accept("if", "not", "exists"):
            raise UnreadableError("an index IF NOT EXISTS")
        if cursor.next is not None and not cursor.next.says("(", "using"):
            name = cursor.name()
        return [self.index(cursor, special, name)]

    def column(self, cursor: Cursor, *, conditional: bool = False) -> Iterator[Effect]:
        """A column with its definition, and what stands on it by it."""
        key = on_table(self.key, Kind.COLUMN, cursor.name())
        facts = column_facts(cursor)
        keys, checks = facts.pop("keys"), facts.pop("checks")
        yield Create(key, facts, conditional or self._conditional)
        yield from self._on_column(key, keys, checks)

    def changed(self, cursor: Cursor, old: str | None) -> Iterator[Effect]:
        """``MODIFY`` and ``CHANGE``: the column is as this definition says, and under this name."""
        key = on_table(self.key, Kind.COLUMN, cursor.name())
        if old is not None and old.lower() != key.name:
            yield Rename(on_table(self.key, Kind.COLUMN, old), key)
        facts = column_facts(cursor)
        keys, checks = facts.pop("keys"), facts.pop("checks")
        yield Alter(key, {"comment": None, **facts})
        yield from self._on_column(key, keys, checks)

    def _on_column(
        self, key: Key, keys: list[str], checks: list[tuple[str | None, frozenset[str]]]
    ) -> Iterator[Effect]:
        if "primary" in keys:
            yield self._constraint(PRIMARY, {"constraint": "primary-key", "columns": (key.name,)})
        if "unique" in keys:
            yield self._index(None, (key.name,), None, "unique")
        for name, expression in checks:
            yield self._check(name, expression)

    def _primary(self, cursor: Cursor) -> Iterator[Effect]:
        columns = _columns(cursor)[0]
        yield self._constraint(PRIMARY, {"constraint": "primary-key", "columns": columns})
        if not self._making:
            yield from (Alter(on_table(self.key, Kind.COLUMN, column), {"nullable": False}) for column in columns)

    def _foreign_key(self, cursor: Cursor, name: str | None) -> Effect:
        if cursor.accept("if", "not", "exists"):
            raise UnreadableError("a foreign key IF NOT EXISTS")
        if cursor.next is not None and not cursor.next.says("("):
            index = cursor.name()  # the name that its index gets; MySQL takes it for the key's, too
            name = name or index
        columns = _columns(cursor)[0]
        if not cursor.accept("references"):
            raise UnreadableError("a foreign key without REFERENCES")
        table = self._keys(cursor)
        facts: dict[str, Any] = {
            "constraint": "foreign-key",
            "columns": columns,
            "references": (table.schema, table.name),
            "referenced_columns": _columns(cursor)[0],
            "on_update": "no action",
            "on_delete": "no action",
        }
        while cursor.accept("on"):
            event = cursor.any("update", "delete")
            action = next((a for a in _ACTIONS if cursor.accept(*a.split())), None)
            if event is None or action is None:
                raise UnreadableError("an action of a foreign key")
            facts[f"on_{event}"] = "no action" if action == "restrict" else action  # InnoDB knows no difference
        if name is None:
            facts["unnamed"] = True
            name = "_".join([self.key.name, *columns, "fkey"])
        return self._constraint(name, facts)

    def _check(self, name: str | None, expression: frozenset[str], *, enforced: bool = True) -> Effect:
        columns = tuple(sorted(leaf.removeprefix("column ") for leaf in expression if leaf.startswith("column ")))
        facts: dict[str, Any] = {"constraint": "check", "expression": expression, "columns": columns}
        if not enforced:
            facts["enforced"] = False
        if name is None:
            facts["unnamed"] = True
            name = "_".join([self.key.name, *columns, "check"])
        return self._constraint(name, facts)

    def _constraint(self, name: str, facts: Mapping[str, Any]) -> Effect:
        return Create(on_table(self.key, Kind.CONSTRAINT, name), facts, self._conditional)

    def index(self, cursor: Cursor, special: str | None, name: str | None) -> Effect:
        """An index, from its columns on."""
        method = None
        if cursor.accept("using"):
            method = cursor.take().text
        columns, lengths = _columns(cursor)
        while cursor.next is not None:
            if cursor.accept("using"):
                method = cursor.take().text
            elif word := cursor.any("comment", "key_block_size", "algorithm", "lock", "with"):
                cursor.accept("parser" if word == "with" else "=")
                cursor.take()
            elif not cursor.any("visible", "invisible", "ignored", "not"):
                raise UnreadableError(f"{cursor.take().text} of an index is not known here")
        return self._index(name, columns, lengths, special, method)

    def _index(
        self,
        name: str | None,
        columns: tuple[str, ...],
        lengths: tuple[str | None, ...] | None,
        special: str | None,
        method: str | None = None,
    ) -> Effect:
        facts: dict[str, Any] = {
            "table": self.key.name,
            "columns": columns,
            "unique": special == "unique",
            "method": special if special in {"fulltext", "spatial"} else "btree",
        }
        if method is not None and method.lower() != "btree":
            facts["method"] = method.lower()
        if lengths is not None and any(lengths):
            facts["lengths"] = lengths
        if name is None:
            facts["unnamed"] = True
        return Create(on_table(self.key, Kind.INDEX, name or columns[0].split()[0]), facts, self._conditional)

    # --- ALTER TABLE ------------------------------------------------------------------------------------------

    def alter(self, cursor: Cursor) -> Iterator[Effect]:  # noqa: C901, PLR0912 - one branch for each clause
        """One clause of ``ALTER TABLE``."""
        if cursor.accept("add"):
            yield from self._add(cursor)
        elif cursor.accept("drop"):
            yield from self._drop(cursor)
        elif cursor.accept("modify"):
            cursor.accept("column")
            _refuse_condition(cursor)
            yield from self.changed(cursor, None)
        elif cursor.accept("change"):
            cursor.accept("column")
            _refuse_condition(cursor)
            yield from self.changed(cursor, cursor.name())
        elif cursor.accept("alter"):
            if cursor.any("index", "key", "check", "constraint"):
                raise UnreadableError("ALTER INDEX and ALTER CHECK")
            cursor.accept("column")
            column = on_table(self.key, Kind.COLUMN, cursor.name())
            if cursor.accept("drop", "default"):
                yield Alter(column, {"default": None})
            elif cursor.accept("set", "default"):
                found = leaves(cursor.value())
                yield Alter(column, {"default": None if found == {"constant NULL"} else found})
            else:
                raise UnreadableError("ALTER COLUMN with something else than a default")
        elif cursor.accept("rename"):
            kind = cursor.any("column", "index", "key")
            if kind:
                of = Kind.COLUMN if kind == "column" else Kind.INDEX
                _refuse_condition(cursor)
                old = on_table(self.key, of, cursor.name())
                if not cursor.accept("to"):
                    raise UnreadableError("RENAME without TO")
                yield Rename(old, on_table(self.key, of, cursor.name()))
            else:
                cursor.any("to", "as")
                yield Rename(self.key, self._keys(cursor))
        elif cursor.accept("convert", "to"):
            facts, _ = _options(cursor)
            yield Alter(self.key, facts)
        elif cursor.next is not None and not cursor.any("force"):
            facts, rest = _options(cursor)
            if rest:
                raise UnreadableError("a change of the table that is not known here")
            if facts:
                yield Alter(self.key, facts)

    def _add(self, cursor: Cursor) -> Iterator[Effect]:
        column = cursor.accept("column")
        if column or not (cursor.next is not None and cursor.next.says("constraint", *_KEY_WORDS)):
            conditional = cursor.accept("if", "not", "exists")
            if cursor.next is not None and cursor.next.says("("):
                for definition in parts(cursor.parentheses(), ","):
                    yield from self.column(Cursor(definition), conditional=conditional)
            else:
                yield from self.column(cursor, conditional=conditional)
        else:
            yield from self.element(cursor)

    def _drop(self, cursor: Cursor) -> Iterator[Effect]:
        if cursor.accept("primary", "key"):
            yield Drop(on_table(self.key, Kind.CONSTRAINT, PRIMARY))
            return
        foreign = cursor.accept("foreign", "key")
        word = "foreign" if foreign else cursor.any("index", "key", "constraint", "check", "column")
        conditional = cursor.accept("if", "exists")
        name = cursor.name()
        if word in {"index", "key"}:
            yield Drop(on_table(self.key, Kind.INDEX, name), conditional)
        elif word in {"foreign", "check"}:
            yield Drop(on_table(self.key, Kind.CONSTRAINT, name), conditional)
        elif word == "constraint":  # of whatever kind: a unique one is an index
            yield Drop(on_table(self.key, Kind.CONSTRAINT, name), conditional=True)
            yield Drop(on_table(self.key, Kind.INDEX, name), conditional=True)
        else:
            yield Drop(on_table(self.key, Kind.COLUMN, name), conditional)


class Clause(NamedTuple):
    """How a statement makes or changes one object of a table."""

    adding: str
    """What ``ALTER TABLE`` takes to do it."""
    modifying: str
    """What it takes where a column is there already, and differs."""


def clauses(sql: str, key: Key) -> Iterator[Clause]:
    """The parts of a ``CREATE TABLE`` or ``ALTER TABLE`` that are about this object; none of any other statement."""
    cursor = Cursor(tokens(sql))
    altering = cursor.accept("alter", "table") or cursor.accept("alter", "ignore", "table")
    if not altering and not (cursor.accept("create", "table") or cursor.accept("create", "or", "replace", "table")):
        return
    cursor.accept("if", "not", "exists")
    cursor.name()
    if cursor.accept("."):
        cursor.name()
    table = key.table
    assert table is not None, "only what stands on a table has clauses"
    of = cursor.of[cursor.at :] if altering else cursor.parentheses()
    for part in parts(of, ","):
        reading = Table(table, lambda c: Key(Kind.TABLE, None, None, c.name()), making=True)
        try:
            effects = list(reading.alter(Cursor(part)) if altering else reading.element(Cursor(part)))
        except UnreadableError:
            continue
        about = (effect.to if isinstance(effect, Rename) else getattr(effect, "key", None) for effect in effects)
        if key in about:
            yield _clause(part, sql, altering=altering)


def _clause(part: list[Token], sql: str, *, altering: bool) -> Clause:
    text = sql[part[0].start : part[-1].end]
    if not altering:
        return Clause(f"ADD {text}", f"MODIFY {text}")
    cursor = Cursor(part)
    if cursor.accept("change"):
        cursor.accept("column")
        cursor.take()
    elif not cursor.accept("add"):
        return Clause(text, text)
    else:
        cursor.accept("column")
        cursor.accept("if", "not", "exists")
    rest = sql[cursor.take().start : part[-1].end]
    return Clause(text, f"MODIFY {rest}")


def on_table(table: Key, kind: Kind, name: str) -> Key:
    """The key of what stands on a table."""
    return Key(kind, table.schema, table.name, name.lower())


def _columns(cursor: Cursor) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """The columns of a key, with how much of each is indexed where that is not all."""
    names, lengths = [], []
    for part in parts(cursor.parentheses(), ","):
        member = Cursor(part)
        if member.next is not None and member.next.says("("):  # MySQL indexes expressions, too
            name, length = " ".join(sorted(leaves(member.parentheses()))), None
        else:
            name = member.name().lower()
            length = _text(member.parentheses()) if member.next is not None and member.next.says("(") else None
        if member.accept("desc"):
            name += " desc"
        names.append(name)
        lengths.append(length)
    return tuple(names), tuple(lengths)


def _text(of: Sequence[Token]) -> str:
    return "".join(token.text for token in of)


def _options(cursor: Cursor) -> tuple[dict[str, Any], str | None]:
    """The options of a table, and what follows them: ``partition``, ``query``, or nothing."""
    facts: dict[str, Any] = {}
    while cursor.next is not None:
        cursor.accept("default")
        if cursor.any("partition"):
            return facts, "partition"
        if cursor.next.says("as", "select", "ignore", "replace", "("):
            return facts, "query"
        if cursor.accept("character", "set") or cursor.accept("charset"):
            cursor.accept("=")
            facts["charset"] = charset(cursor.take().text)
        elif cursor.accept("engine"):
            cursor.accept("=")
            facts["engine"] = cursor.take().text.lower()
        elif cursor.accept("collate"):
            cursor.accept("=")
            facts["collation"] = collation(cursor.take().text)
        elif cursor.accept("comment"):
            cursor.accept("=")
            facts["comment"] = cursor.take().text or None
        elif cursor.any(*_HARMLESS_OPTIONS):
            cursor.accept("=")
            cursor.take()
        elif not cursor.accept(","):
            raise UnreadableError(f"{cursor.take().text} of a table is not known here")
    return facts, None


def _refuse_condition(cursor: Cursor) -> None:
    if cursor.accept("if", "exists"):
        raise UnreadableError("a change IF EXISTS")
