"""Record the statements that a revision actually sends, with the line that sends each, and its outcome."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from alembic.runtime import migration
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Engine

from alembic_rescue.connection.drivers import commits_each
from alembic_rescue.connection.failures import chain, one_line
from alembic_rescue.connection.sessions import is_own
from alembic_rescue.evidence.observation import At, Ended
from alembic_rescue.worker.observer.lines import Files, Place, absolute, is_below, places, swallowing_handler

_LONGEST = 60
"""Longest text of a parameter, in characters."""
_ENDS = re.compile(r"\s*((?:COMMIT|ROLLBACK)(?:\s+(?:WORK|TRANSACTION))?)\s*;?\s*", re.IGNORECASE)
_ALEMBICS = absolute(str(migration.__file__))
_KEEPS_LOCALLY = re.compile(r"\bSET\s+LOCAL\b|\bset_config\b", re.IGNORECASE)


@dataclass
class Sent:
    """One statement, as it was sent."""

    sql: str
    parameters: Any
    """As passed to the driver; of many rows, the first."""
    rows: int
    """How many rows of parameters."""
    places: list[Place]
    """The project's lines that led to it, innermost first; none if a thread sent it."""
    error: BaseException | None = None
    swallowed: bool = False
    in_savepoint: bool = False
    """A failure there leaves the transaction usable."""
    in_autocommit: bool = False

    def shown(self, hide: Callable[[str], str]) -> str:
        """Return the statement with its parameters, from which `hide` removes secrets before they are shortened."""
        text = with_parameters(self.sql, self.parameters, hide)
        return text if self.rows <= 1 else f"{text} -- and {self.rows - 1} more"

    @property
    def message(self) -> str | None:
        """The server's error message, if it failed."""
        return None if self.error is None else one_line(self.error, str)

    def at(self, revision: str) -> tuple[str, int | None, int | None]:
        """Return the file and line that sent it, and the line of the ``except`` that hid its failure.

        That is the revision's own line if it succeeded; the innermost line if it failed, possibly in a helper; and the
        line in the file that hid it if the failure was hidden.
        """
        if self.swallowed:
            for path, line in self.places:
                handler = swallowing_handler(path, line)
                if handler is not None:
                    return path, line, handler
        own = [place for place in self.places if place[0] == revision]
        chosen = next(iter(self.places if self.error is not None or not own else own), (revision, None))
        return (*chosen, None)


@dataclass
class Log:
    """The statements of one step."""

    sent: list[Sent] = field(default_factory=list)
    raised: BaseException | None = None
    """The exception that its code ended with."""
    ended: list[tuple[Place, str]] = field(default_factory=list)
    """Where it ended the transaction that Alembic had begun, and by which call."""

    def ends(self, revision: str) -> tuple[Ended, ...]:
        """Return where it ended the transaction, including by its own COMMIT and ROLLBACK statements.

        Args:
            revision: the revision whose log this is.
        """
        stated = [
            (one.places[0], found[1].upper())
            for number, one in enumerate(self.sent)
            if (found := _ENDS.fullmatch(one.sql)) and one.places and number
        ]
        return tuple(Ended(revision, At(*place), how) for place, how in [*self.ended, *stated])

    def end(self, raised: BaseException | None) -> None:
        """Record that the revision's code ended and raised this; failures other than that were swallowed."""
        self.raised = raised
        told = set() if raised is None else {id(one) for one in _with_originals(raised)}
        for one in self.sent:
            one.swallowed = one.error is not None and id(one.error) not in told

    def failed(self, raised: BaseException) -> Sent | None:
        """Return the statement whose failure caused `raised`."""
        told = {id(one) for one in _with_originals(raised)}
        return next((one for one in reversed(self.sent) if one.error is not None and id(one.error) in told), None)


def _with_originals(error: BaseException) -> Iterator[BaseException]:
    for link in chain(error):
        yield link
        original = getattr(link, "orig", None)
        if isinstance(original, BaseException):
            yield original


class Recorder:
    """Records the statements of all engines; `listeners` must be active while env.py runs.

    Args:
        until: whether a code object is the one that calls the revision's code, where the search of the stack ends.
    """

    def __init__(self, until: Callable[[CodeType], bool]) -> None:
        self.log: Log | None = None
        """The log of the current step; None while nothing is recorded."""
        self.last_error: BaseException | None = None
        """The error of the last failed statement, recorded or not."""
        self.set_locally = False
        """A setting was made for the transaction only."""
        self.files = Files((), ())
        """Identifies the project's files; set once env.py has reached its migrations."""
        self.context: MigrationContext | None = None
        """Alembic's context of the current visit."""
        self._until = until
        self._away = False
        self._running = threading.local()
        self.listeners = (
            (Engine, "before_cursor_execute", self._before),
            (Engine, "after_cursor_execute", self._after),
            (Engine, "handle_error", self._failed),
            (Engine, "commit", lambda connection: self._ends(connection, "commit()")),
            (Engine, "rollback", lambda connection: self._ends(connection, "rollback()")),
        )

    @contextmanager
    def recording(self, log: Log) -> Iterator[None]:
        """Record into `log` during the block."""
        self.log = log
        try:
            yield
        finally:
            self.log = None

    def _before(
        self,
        connection: Any,
        _cursor: Any,
        statement: str,
        parameters: Any,
        _context: Any,
        executemany: bool,  # noqa: FBT001
    ) -> None:
        if not self.set_locally and _KEEPS_LOCALLY.search(statement):
            self.set_locally = True
        if self.log is None or is_own(connection.engine):
            return
        many = executemany and isinstance(parameters, Sequence) and not isinstance(parameters, str)
        rows = len(parameters) if many else 1
        one = Sent(statement, parameters[0] if many and rows else parameters, rows, places(self.files, self._until))
        one.in_savepoint = connection.in_nested_transaction()
        one.in_autocommit = commits_each(connection)
        self.log.sent.append(one)
        self._running.one = one

    def _after(self, *_: Any) -> None:
        self._running.one = None

    def _failed(self, failed: Any) -> None:
        if failed.engine is not None and is_own(failed.engine):
            return
        error = failed.original_exception
        self.last_error = failed.sqlalchemy_exception or error
        one: Sent | None = getattr(self._running, "one", None)
        if one is not None and isinstance(error, BaseException):
            one.error = error
            self._running.one = None

    def _ends(self, connection: Any, how: str) -> None:
        if self.log is None or self._away or self.context is None or connection is not self.context.connection:
            return
        at = caller(self.files, self._until)
        if at is not None and not commits_each(connection):
            self.log.ended.append((at, how))

    @property
    def in_sqlalchemy(self) -> bool:
        """Whether SQLAlchemy is sending a statement in this thread."""
        return getattr(self._running, "one", None) is not None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Ignore statements that bypass SQLAlchemy in the block, because they are the tool's own."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def by_driver(self, sql: str, parameters: Any = None) -> None:
        """Record a statement that bypasses SQLAlchemy.

        An async driver runs on another stack than the revision, so a COMMIT or ROLLBACK there is SQLAlchemy's.
        """
        if self._away:
            return
        if not self.set_locally and _KEEPS_LOCALLY.search(sql):
            self.set_locally = True
        of_sqlalchemy = self.in_sqlalchemy or (_ENDS.fullmatch(sql) and not is_below(self._until))
        if self.log is not None and not of_sqlalchemy:
            self.log.sent.append(Sent(sql, parameters, 1, places(self.files, self._until)))


class _AndAlembics(Files):
    """The project's files, plus the file of Alembic that begins and ends transactions."""

    def __init__(self, files: Files) -> None:
        super().__init__((), ())
        self._files = files

    def is_own(self, name: str) -> bool:
        return absolute(name) == _ALEMBICS or self._files.is_own(name)


def caller(files: Files, until: Callable[[CodeType], bool]) -> Place | None:
    """Return the innermost project line on the stack; None if Alembic's transaction code is further in."""
    found = next(iter(places(_AndAlembics(files), until)), None)
    return None if found is None or found[0] == _ALEMBICS else found


# --- parameters ----------------------------------------------------------------------------------------------------

_PLACEHOLDER = re.compile(r"%\((?P<name>\w+)\)s|(?P<next>%s|\?)|\$(?P<number>\d+)|(?<![:\w]):(?P<colon>[a-z]\w*)")


def with_parameters(sql: str, parameters: Any, hide: Callable[[str], str] = str) -> str:
    """Return `sql` with its parameters as short literals, for display only, never to be run."""
    if not parameters:
        return sql.replace("%%", "%")
    following = iter(parameters.values() if isinstance(parameters, Mapping) else parameters)

    def literal(found: re.Match[str]) -> str:
        name = found["name"] or found["colon"]
        if name:
            return (
                _literal(parameters[name], hide) if isinstance(parameters, Mapping) and name in parameters else found[0]
            )
        if found["number"]:
            at = int(found["number"]) - 1
            known = not isinstance(parameters, Mapping) and at < len(parameters)
            return _literal(parameters[at], hide) if known else found[0]
        return _literal(next(following, None), hide)

    return _PLACEHOLDER.sub(literal, sql).replace("%%", "%")


def _literal(value: Any, hide: Callable[[str], str]) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"ARRAY[{_shortened(', '.join(_literal(one, hide) for one in value[:20]))}]"
    return "'" + _shortened(hide(str(value))).replace("'", "''") + "'"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
