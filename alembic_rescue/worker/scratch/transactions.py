"""Who begins the transaction of a run, and who hides what fails in it: seen while it runs."""

from __future__ import annotations

from types import TracebackType
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ProgrammingError

from alembic_rescue.evidence.observation import At, Ended
from alembic_rescue.worker.observer.lines import Files, absolute, hiding_handler
from alembic_rescue.worker.observer.sent import caller


class ProbeError(ProgrammingError):
    """Raised in place of a migration that fails, to see who hides it."""

    def __init__(self) -> None:
        super().__init__("SELECT 1", {}, Exception("a migration fails"))


class Enough(BaseException):
    """Ends an env.py that tries again after that: it does not hide what fails."""


class Begun:
    """Sees who begins a transaction; `listeners` are to be active while env.py runs.

    Args:
        files: which are the project's.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lines: WeakKeyDictionary[Connection, At | None] = WeakKeyDictionary()
        self.listeners = (
            (Engine, "begin", self._begins),
            (Engine, "commit", self._ends),
            (Engine, "rollback", self._ends),
        )

    def before(self, connection: Connection) -> At | None:
        """The project's line that began the transaction which is open there; None where Alembic did, or none is."""
        return self._lines.get(connection)

    def _begins(self, connection: Connection) -> None:
        found = caller(self._files, lambda _: False)
        self._lines[connection] = None if found is None else At(*found)

    def _ends(self, connection: Connection) -> None:
        self._lines.pop(connection, None)


def block_failing(error: BaseException | None, revision: str, files: Files) -> Ended | None:
    """The line of ``autocommit_block()`` that failed by itself, because the transaction is not Alembic's."""
    frames = _frames(error)
    if not frames or frames[-1].tb_frame.f_code.co_name != "autocommit_block":
        return None
    own = [at for at in map(_at, frames) if files.is_own(at.path)]
    return Ended(revision, own[-1], "autocommit_block()") if own else None


def ended_well(error: BaseException | None) -> bool:
    """Whether the exit status of a program that ends with `error` is 0."""
    return error is None or (isinstance(error, SystemExit) and not error.code)


def hidden_at(error: BaseException, files: Files) -> At | None:
    """The line of the ``except`` that has caught `error`, which did not come out of env.py."""
    own = next((at for at in map(_at, _frames(error)) if files.is_own(at.path)), None)
    return own and At(own.path, hiding_handler(own.path, own.line) or own.line)


def _frames(error: BaseException | None) -> list[TracebackType]:
    """From the frame that has caught it, down to the one that raised it."""
    found, traceback = [], error.__traceback__ if error is not None else None
    while traceback is not None:
        found.append(traceback)
        traceback = traceback.tb_next
    return found


def _at(one: TracebackType) -> At:
    return At(absolute(one.tb_frame.f_code.co_filename), one.tb_lineno)
