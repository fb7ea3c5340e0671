"""Find out during a run which code begins its transaction, and which code hides a failure in it."""

from __future__ import annotations

from types import TracebackType
from weakref import WeakKeyDictionary

from alembic import context
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ProgrammingError

from alembic_rescue.evidence.observation import At, Ended
from alembic_rescue.worker.observer.lines import Files, absolute, hiding_handler
from alembic_rescue.worker.observer.sent import caller


class ProbeError(ProgrammingError):
    """Raised instead of running a failing migration, to see which code hides it."""

    def __init__(self) -> None:
        super().__init__("SELECT 1", {}, Exception("a migration fails"))


class Enough(BaseException):
    """Ends an env.py that retries after the error, because it does not hide failures."""


class Begun:
    """Records which code begins a transaction; `listeners` must be active while env.py runs.

    Args:
        files: identifies the project's files.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lines: WeakKeyDictionary[Connection, At | None] = WeakKeyDictionary()
        self._late: WeakKeyDictionary[Connection, bool] = WeakKeyDictionary()
        self.listeners = (
            (Engine, "begin", self._begins),
            (Engine, "commit", self._ends),
            (Engine, "rollback", self._ends),
        )

    def before(self, connection: Connection) -> At | None:
        """Return the project's line that began the open transaction; None if Alembic did, or if none is open."""
        return self._lines.get(connection)

    def is_late(self, connection: Connection) -> bool:
        """Return whether the open transaction began after ``context.configure()``."""
        return self._late.get(connection, False)

    def _begins(self, connection: Connection) -> None:
        found = caller(self._files, lambda _: False)
        self._lines[connection] = None if found is None else At(*found)
        self._late[connection] = _is_configured(connection)

    def _ends(self, connection: Connection) -> None:
        self._lines.pop(connection, None)


def _is_configured(connection: Connection) -> bool:
    """Whether ``context.configure()`` was called with this connection."""
    try:
        return context.get_context().connection is connection
    except Exception:  # noqa: BLE001 - Alembic raises its plain `Exception` before that call
        return False


def block_failing(error: BaseException | None, revision: str, files: Files) -> Ended | None:
    """Return the line of the ``autocommit_block()`` that failed because Alembic did not begin the transaction."""
    frames = _frames(error)
    if not frames or frames[-1].tb_frame.f_code.co_name != "autocommit_block":
        return None
    own = [at for at in map(_at, frames) if files.is_own(at.path)]
    return Ended(revision, own[-1], "autocommit_block()") if own else None


def ended_well(error: BaseException | None) -> bool:
    """Whether the exit status of a program that ends with `error` is 0."""
    return error is None or (isinstance(error, SystemExit) and not error.code)


def hidden_at(error: BaseException, files: Files) -> At | None:
    """Return the line of the ``except`` that caught `error` and kept env.py from failing with it."""
    own = next((at for at in map(_at, _frames(error)) if files.is_own(at.path)), None)
    return own and At(own.path, hiding_handler(own.path, own.line) or own.line)


def _frames(error: BaseException | None) -> list[TracebackType]:
    """Return the frames from the one that caught `error` down to the one that raised it."""
    found, traceback = [], error.__traceback__ if error is not None else None
    while traceback is not None:
        found.append(traceback)
        traceback = traceback.tb_next
    return found


def _at(one: TracebackType) -> At:
    return At(absolute(one.tb_frame.f_code.co_filename), one.tb_lineno)
