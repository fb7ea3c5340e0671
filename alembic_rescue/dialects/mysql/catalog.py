"""The catalog of MySQL and MariaDB: lists from ``information_schema``, and each object's text from SHOW CREATE.

Reads only the session's current database, whose name is in no fact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.definitions import quoted, roots, unquoted
from alembic_rescue.dialects.mysql import definitions, settling
from alembic_rescue.dialects.whole import Watch
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts, Reading, Unread

DATABASE = CatalogObject("database", "current")

_SETTINGS = {"sql_mode": "", "sql_quote_show_create": 1, "time_zone": "+00:00", "lock_wait_timeout": 1}
"""The settings that the texts depend on, and the lock timeout in seconds."""
_DATABASE = """
    SELECT default_character_set_name, default_collation_name FROM information_schema.schemata
    WHERE schema_name = DATABASE()
"""
_RELATIONS = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE()"
_ROUTINES = "SELECT routine_name, routine_type FROM information_schema.routines WHERE routine_schema = DATABASE()"
_EVENTS = "SELECT event_name, 'EVENT' FROM information_schema.events WHERE event_schema = DATABASE()"
_TRIGGERS = """
    SELECT trigger_name, event_object_table, action_timing, event_manipulation, action_statement, action_order,
           sql_mode, definer
    FROM information_schema.triggers WHERE trigger_schema = DATABASE()
"""
_COLLATIONS = "SELECT character_set_name, collation_name FROM information_schema.collations WHERE is_default = 'Yes'"
_KINDS = {
    "BASE TABLE": "table",
    "SYSTEM VERSIONED": "table",
    "VIEW": "view",
    "SEQUENCE": "sequence",
    "PROCEDURE": "procedure",
    "FUNCTION": "function",
    "PACKAGE": "package",
    "PACKAGE BODY": "package body",
    "EVENT": "event",
}
_COLUMN_OF_TEXT = {"table": 1, "view": 1, "sequence": 1, "event": 3}
"""The column with the text in the result of SHOW CREATE; 2 for other kinds, after the SQL mode."""
_NO_TABLE = 1146
_IS_NOT_THERE = frozenset([_NO_TABLE, 1049, 1305, 1347, 1360, 1539, 4089, 4091])
"""The servers' codes for a missing database, table, routine, trigger, event or sequence, or one of another kind."""

_LOST = frozenset([2006, 2013, 2055])
"""The drivers' codes for a lost connection."""


class Reader:
    """Reads the catalog of the session's database."""

    def everything(self, connection: Connection) -> Catalog:
        """Read every object of the database; one that the server does not show has the fact ``unreadable``."""
        with _session(connection) as session:
            found: dict[CatalogObject, Facts] = {DATABASE: session.database()}
            for kind, name in session.listed():
                try:
                    found.update(session.read(kind, name))
                except session.Error as error:
                    found[CatalogObject(kind, quoted(name))] = {"unreadable": _words(error)}
            found.update(session.triggers())
            return found

    def named(self, connection: Connection, objects: Collection[CatalogObject]) -> Reading:
        """Read those objects and everything in their tables.  What cannot be read is reported in the server's words."""
        found: dict[CatalogObject, Facts] = {}
        unread: list[Unread] = []
        with _session(connection) as session:
            if DATABASE in objects:
                found[DATABASE] = session.database()
            listed = set(session.listed())
            names = roots(objects)
            asked = {(one.kind, one.name) for one in objects if not one.parent and one != DATABASE}
            asked |= {("table", one.parent) for one in objects if one.parent}
            there = {(kind, name) for kind, name in listed if quoted(name) in names}
            spoken = {(kind, quoted(name)) for kind, name in there}
            missing = {(kind, unquoted(name)) for kind, name in asked - spoken if kind in _KINDS.values()}
            for kind, name in sorted(there | missing):
                try:
                    found.update(session.read(kind, name))
                except session.Error as error:
                    if _code(error) in _LOST:
                        raise
                    if _code(error) not in _IS_NOT_THERE:
                        unread.append(Unread(CatalogObject(kind, quoted(name)), _words(error)))
            try:
                triggers = session.triggers()
            except session.Error as error:
                if _code(error) in _LOST:
                    raise
                unread += [Unread(one, _words(error)) for one in objects if one.kind == "trigger"]
            else:
                found.update({one: facts for one, facts in triggers.items() if one.parent in names})
                unread += session.hidden(one for one in objects if one.kind == "trigger" and one not in triggers)
        return Reading(found, tuple(unread))

    def watch(self, connection: Connection) -> Watch:
        """Begin to follow a scratch database."""
        return Watch(self, connection)

    def settle(
        self, connection: Connection, texts: Sequence[tuple[CatalogObject, str, str, str]]
    ) -> dict[tuple[CatalogObject, str], bool | None]:
        """Load both texts on the scratch database and compare what its server reads back."""
        settled: dict[tuple[CatalogObject, str], bool | None] = {}
        with _session(connection) as session:
            for one, fact, text, other in texts:
                try:
                    settled[one, fact] = settling.same(one, fact, text, other, session.cursor.run, session.read)
                except (session.Error, StopIteration):
                    settled[one, fact] = None
        return settled


READER = Reader()


@dataclass(frozen=True)
class _Session:
    """One reading, through the driver's own cursor."""

    cursor: Cursor
    Error: type[Exception]
    """The driver's base class of errors."""
    collations: Mapping[str, str]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.cursor.rows(sql)

    def database(self) -> Facts:
        character_set, collation = self.rows(_DATABASE)[0]
        return {"character set": str(character_set), "collation": str(collation)}

    def listed(self) -> Iterator[tuple[str, str]]:
        """Yield kind and name of everything with a text of its own, without temporary objects."""
        for listing in (_RELATIONS, _ROUTINES, _EVENTS):
            for name, told in self.rows(listing):
                if _text(told).upper() in _KINDS:
                    yield _KINDS[_text(told).upper()], _text(name)

    def read(self, kind: str, name: str) -> Catalog:
        """Read an object and what belongs to it.

        Raises:
            Error: the server does not show it, or it does not exist.
        """
        row = self.rows(f"SHOW CREATE {kind.upper()} {definitions.in_backticks(name)}")[0]
        shown = row[_COLUMN_OF_TEXT.get(kind, 2)]
        if shown is None:
            raise self.Error(0, f"this role may not read the definition of the {kind} {name}")
        if kind == "table":
            if "TABLE" not in _text(shown).split(maxsplit=3)[:3]:
                raise self.Error(_NO_TABLE, f"{name} is not a table")
            return definitions.table(name, _text(shown), self.collations)
        facts = _READ.get(kind, definitions.routine)(_text(shown))
        if kind not in _COLUMN_OF_TEXT or kind == "event":
            facts = {**facts, "options": " ".join(filter(None, [facts.get("options"), f"sql_mode={_text(row[1])}"]))}
        return {CatalogObject(kind, quoted(name)): facts}

    def triggers(self) -> Catalog:
        return {
            CatalogObject("trigger", f"{quoted(name)} on {quoted(table)}", quoted(table)): {
                "definition": definitions.trigger(name, f"{timing} {event}", table, body),
                "position": order,
                "options": f"sql_mode={mode}",
                "owner": definer,
            }
            for name, table, timing, event, body, order, mode, definer in (
                map(_text, row) for row in self.rows(_TRIGGERS)
            )
        }

    def hidden(self, triggers: Iterable[CatalogObject]) -> Iterator[Unread]:
        """Yield the triggers that are not listed because the role may not see them."""
        for one in triggers:
            name = unquoted(one.name.removesuffix(f" on {one.parent}"))
            try:
                self.rows(f"SHOW CREATE TRIGGER {definitions.in_backticks(name)}")
            except self.Error as error:
                if _code(error) in _LOST:
                    raise
                if _code(error) not in _IS_NOT_THERE:
                    yield Unread(one, _words(error))


_READ = {"view": definitions.view, "sequence": definitions.sequence, "event": definitions.event}


@contextmanager
def _session(connection: Connection) -> Iterator[_Session]:
    """Open a session in which the texts do not depend on env.py's settings, and restore those at the end."""
    raw, dialect = connection.connection, connection.dialect
    cursor = Cursor(raw, dialect)
    try:
        settings = ", ".join(f"@@SESSION.{name}" for name in _SETTINGS)
        before = dict(zip(_SETTINGS, cursor.rows(f"SELECT {settings}")[0], strict=True))
        _set(cursor, _SETTINGS)
        try:
            yield _Session(cursor, cursor.error, {str(one): str(other) for one, other in cursor.rows(_COLLATIONS)})
        finally:
            _set(cursor, before)
    finally:
        dialect.do_rollback(raw)


def _set(cursor: Cursor, settings: Mapping[str, Any]) -> None:
    values = (f"SESSION {name} = {_literal(value)}" for name, value in settings.items())
    cursor.run(f"SET {', '.join(values)}")


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + _text(value) + "'"


def _text(value: Any) -> str:
    """Decode a value: some drivers return bytes for columns with a binary collation."""
    return bytes(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)


def _code(error: Exception) -> Any:
    return getattr(error, "errno", None) or (error.args[0] if error.args else None)


def _words(error: Exception) -> str:
    return " ".join(str(error.args[-1] if error.args else error).split())
