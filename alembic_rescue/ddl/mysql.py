"""MySQL's and MariaDB's DDL, as Alembic and people write it, and as ``SHOW CREATE TABLE`` gives it back.

No grammar of theirs can be had as a library, so this reads what is common, and says of everything else that it
cannot be read.  Names of columns, indexes and constraints are kept in lower case: the server does not tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from alembic_rescue.ddl.mysql_columns import Cursor, UnreadableError
from alembic_rescue.ddl.mysql_tables import Table, on_table
from alembic_rescue.ddl.mysql_tokens import leaves, parts, tokens
from alembic_rescue.ddl.words import one_line
from alembic_rescue.model_evidence import Create, Drop, Effect, Key, Kind, Opaque, Rename

_DATA = re.compile(r"\s*(INSERT|REPLACE|UPDATE|DELETE|TRUNCATE|LOAD\s+DATA|CALL)\b", re.IGNORECASE)
_DATA_TABLE = re.compile(
    r"\s*(?:(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?(?:INTO\s+)?|UPDATE\s+(?:IGNORE\s+)?|DELETE\s+FROM\s+"
    r"|TRUNCATE\s+(?:TABLE\s+)?)(?P<name>[`\w$.]+)",
    re.IGNORECASE,
)
_WITHOUT_TRACE = re.compile(
    r"\s*(SET\b(?!\s+PASSWORD)|LOCK\s+TABLES?|UNLOCK\s+TABLES?|FLUSH|ANALYZE|OPTIMIZE|CHECK\s+TABLE|COMMIT|ROLLBACK"
    r"|START\s+TRANSACTION|BEGIN|SAVEPOINT|RELEASE|SELECT|SHOW|EXPLAIN|DESC|DESCRIBE|WITH|VALUES|DO\b)",
    re.IGNORECASE,
)
_COMPOUND = re.compile(r"\s*CREATE\s[^(]*?\b(TRIGGER|PROCEDURE|FUNCTION|EVENT)\b", re.IGNORECASE)


class MySQLReader:
    """Reads statements; `home` is the database in which the session works, which a name may give or leave out."""

    def __init__(self, home: str | None = None) -> None:
        self._home = home

    def read(self, sql: str) -> tuple[Effect, ...]:
        """What the statements in `sql` do, in order.  Never raises: what cannot be read is an :class:`Opaque`."""
        return tuple(effect for statement in split(sql) for effect in self._statement(statement))

    @staticmethod
    def split(sql: str) -> list[str]:
        """The single statements; one with a body of its own stays whole."""
        return split(sql)

    def _statement(self, sql: str) -> Sequence[Effect]:
        if _DATA.match(sql):
            named = _DATA_TABLE.match(sql)
            table = self._key(Cursor(tokens(named["name"]))) if named else None
            return [Opaque(f"changes data: {one_line(sql)}", table)]
        if _WITHOUT_TRACE.match(sql):
            return []
        try:
            return list(self._definition(Cursor(tokens(sql)), sql))
        except UnreadableError as error:
            return [Opaque(f"it cannot be read ({error}): {one_line(sql)}")]

    def _definition(self, cursor: Cursor, sql: str) -> Iterator[Effect]:
        if cursor.accept("create"):
            yield from self._create(cursor, sql)
        elif cursor.accept("alter", "table") or cursor.accept("alter", "ignore", "table"):
            if cursor.accept("if", "exists"):
                raise UnreadableError("ALTER TABLE IF EXISTS")
            table = self._key(cursor)
            for clause in parts(cursor.of[cursor.at :], ","):
                ahead = Cursor(clause)
                yield from Table(table, self._key).alter(ahead)
                if ahead.next is not None:
                    raise UnreadableError(f"{ahead.take().text} in ALTER TABLE is not known here")
        elif cursor.accept("drop"):
            yield from self._drop(cursor, sql)
        elif cursor.accept("rename", "table") or cursor.accept("rename", "tables"):
            yield from (self._rename(Cursor(pair)) for pair in parts(cursor.of[cursor.at :], ","))
        else:
            yield _unchecked(sql)

    def _create(self, cursor: Cursor, sql: str) -> Iterator[Effect]:
        replaces = cursor.accept("or", "replace")
        _step_over_definer(cursor)
        if cursor.accept("temporary"):
            raise UnreadableError("a temporary table")
        if cursor.accept("table"):
            conditional = cursor.accept("if", "not", "exists")
            table = self._key(cursor)
            if replaces:
                yield Drop(table, conditional=True)
            yield from Table(table, self._key, conditional=conditional).create(cursor)
        elif cursor.accept("view"):
            yield self._create_view(cursor)
        elif word := cursor.any("index", "unique", "fulltext", "spatial"):
            yield self._create_index(cursor, None if word == "index" or not cursor.accept("index") else word)
        else:
            yield _unchecked(sql)

    def _create_view(self, cursor: Cursor) -> Effect:
        cursor.accept("if", "not", "exists")
        view = self._key(cursor, Kind.VIEW)
        if cursor.next is not None and cursor.next.says("("):
            cursor.parentheses()
        if not cursor.accept("as"):
            raise UnreadableError("a view without AS")
        return Create(view, {"query": leaves(cursor.of[cursor.at :])})

    def _create_index(self, cursor: Cursor, special: str | None) -> Effect:
        conditional = cursor.accept("if", "not", "exists")
        name = cursor.name()
        if cursor.accept("using"):
            cursor.take()
        if not cursor.accept("on"):
            raise UnreadableError("an index without ON")
        return Table(self._key(cursor), self._key, conditional=conditional).index(cursor, special, name)

    def _rename(self, cursor: Cursor) -> Effect:
        old = self._key(cursor)
        if not cursor.accept("to"):
            raise UnreadableError("RENAME TABLE without TO")
        return Rename(old, self._key(cursor))

    def _drop(self, cursor: Cursor, sql: str) -> Iterator[Effect]:
        if cursor.accept("temporary"):
            raise UnreadableError("a temporary table")
        if cursor.accept("index"):
            conditional = cursor.accept("if", "exists")
            name = cursor.name()
            if not cursor.accept("on"):
                raise UnreadableError("DROP INDEX without ON")
            yield Drop(on_table(self._key(cursor), Kind.INDEX, name), conditional)
            return
        word = cursor.any("table", "tables", "view")
        if word is None:
            yield _unchecked(sql)
            return
        conditional = cursor.accept("if", "exists")
        for named in parts(cursor.of[cursor.at :], ","):
            yield Drop(self._key(Cursor(named), Kind.VIEW if word == "view" else Kind.TABLE), conditional)

    def _key(self, cursor: Cursor, kind: Kind = Kind.TABLE) -> Key:
        """The table or view that is named next."""
        schema, name = None, cursor.name()
        if cursor.accept("."):
            schema, name = name, cursor.name()
        return Key(kind, None if schema == self._home else schema, None, name)


def split(sql: str) -> list[str]:
    """The single statements; one with a body of its own stays whole."""
    if _COMPOUND.match(sql):
        return [sql.strip()]
    return [sql[part[0].start : part[-1].end] for part in parts(tokens(sql), ";") if part]


def _unchecked(sql: str) -> Opaque:
    return Opaque(f"what it leaves behind is not checked: {one_line(sql)}")


def _step_over_definer(cursor: Cursor) -> None:
    """What stands before ``VIEW``: by which algorithm, and with whose privileges."""
    while word := cursor.any("algorithm", "definer", "sql"):
        if word == "sql":
            cursor.accept("security")
        cursor.accept("=")
        cursor.take()
        if cursor.accept("@"):
            cursor.take()
