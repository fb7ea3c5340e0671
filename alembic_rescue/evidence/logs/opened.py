"""Runs and errors while they are being read.  Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from alembic_rescue.evidence.logs.shapes import Shape
from alembic_rescue.evidence.logs.values import Frame, LoggedError, Run, Step, is_consequence

_STEPS = 2_000
_ERRORS = 24
_LONGEST = 1_000
"""Maximum characters of a message."""
CodeNamed = Callable[[str], "str | None"]
"""The error code of a class such as ``psycopg2.errors.NotNullViolation``; None if it has none."""
_SOON = 40
"""Lines after Alembic's last one within which an error outside a traceback belongs to the run."""
_VERSION_BEFORE = re.compile(r"version_num\s*=\s*'([^']{1,200})'\s*$")
_VERSION_SET = re.compile(r"SET version_num\s*=\s*'([^']{1,200})'|\(version_num\)\s*VALUES\s*\('([^']{1,200})'\)")


@dataclass
class OpenError:
    """An error that is being read."""

    shape: Shape
    number: int
    statement: str | None = None
    details: list[str] = field(default_factory=list)
    frame: Frame | None = None
    ends: bool = False
    """It ended the run."""
    printed: bool = True
    """It is outside any traceback."""

    def value(self, code_named: CodeNamed) -> LoggedError:
        """Return the finished error."""
        kind, code, message = self.shape
        code = code or code_named(kind)
        statement = " ".join(self.statement.split()) if self.statement else None
        message = " ".join(message[:_LONGEST].split())
        return LoggedError(kind, code, message, statement, tuple(self.details), self.frame, self.number)


@dataclass
class OpenRun:
    """A run that is being read."""

    number: int
    impl: str | None = None
    steps: deque[Step] = field(default_factory=lambda: deque(maxlen=_STEPS))
    seen: set[str] = field(default_factory=set)
    errors: list[OpenError] = field(default_factory=list)
    late: OpenError | None = None
    """An error printed after the end."""
    killed: OpenError | None = None
    last: int = 0
    """The line of its last step."""
    closed: bool = False
    """Later lines do not belong to it."""

    def has(self, error: OpenError) -> bool:
        """Return whether it is known already: errors may be logged first and raised later."""
        return any(one.shape.message == error.shape.message for one in self.errors)

    def announces_again(self, step: Step) -> bool:
        """Return whether the last step is the same one: Alembic's logger and this tool both announce it."""
        last = self.steps[-1] if self.steps else None
        if last is None or last.revision != step.revision or (last.down is None) == (step.down is None):
            return False
        self.steps[-1] = last if step.down is None else step
        return True

    def tells_late(self, error: OpenError) -> bool:
        """Return whether an error after the end may belong to the run: printed output may come after raised errors."""
        at_end = self.errors[-1].number if self.errors else self.last
        return error.printed and not error.ends and not self.has(error) and error.number - at_end <= _SOON

    def adds(self, error: OpenError) -> None:
        """Add an error, or details of the last one."""
        known = self.errors[-1] if self.errors and self.errors[-1].shape.message == error.shape.message else None
        if self.closed:
            self.late = error
        elif known is None:
            self.errors.append(error)
            if len(self.errors) > _ERRORS:
                del self.errors[_ERRORS // 2]
        else:  # the driver's error, and the SQLAlchemy error that it caused
            known.statement = known.statement or error.statement
            known.details = known.details or error.details
            known.frame = known.frame or error.frame
            known.ends = known.ends or error.ends
            known.shape = known.shape if known.shape.kind or known.shape.code else error.shape
        self.closed = self.closed or error.ends

    def breaks_off(self, error: OpenError) -> None:
        """Record a truncated traceback, unless the run has a more specific error."""
        if not self.closed and not any(map(_is_consequence, self.errors)):
            self.adds(error)

    def dies(self, number: int, text: str) -> None:
        """Record that the process was killed, if the run was still active."""
        if not self.closed and number - self.last <= _SOON:
            self.killed, self.closed = OpenError(Shape("", None, text), number), True

    @property
    def ending(self) -> OpenError | None:
        """The error that it failed with."""
        ends = next((error for error in self.errors if error.ends), None)
        aborted = next((error for error in self.errors if _is_consequence(error)), None)
        alone = [error for error in self.errors if 0 <= error.number - self.last <= _SOON and error.printed]
        at_last = alone[-1] if alone and not self.closed else None
        return ends or self.killed or aborted or at_last

    def value(self, code_named: CodeNamed) -> Run:
        """Return the finished run."""
        ending = self.ending
        before = self.errors[: self.errors.index(ending)] if ending in self.errors else self.errors
        first = None
        if ending is not None and _is_consequence(ending):
            aborting = next((n for n, error in enumerate(before) if _is_consequence(error)), len(before))
            real = [error for error in before[:aborting] if not _is_consequence(error)]
            first = real[-1] if real else self.late
        others = [error for error in before if error is not first and not _is_consequence(error)]
        return Run(
            impl=self.impl,
            steps=tuple(self.steps) or _by_statement(ending),
            failure=ending.value(code_named) if ending is not None else None,
            first=first.value(code_named) if first is not None else None,
            swallowed=tuple(error.value(code_named) for error in others),
            number=self.number,
        )


def _is_consequence(error: OpenError) -> bool:
    return is_consequence(error.shape.kind, error.shape.message)


def _by_statement(error: OpenError | None) -> tuple[Step, ...]:
    """Return the revision that Alembic was about to record, for a log that does not say which one was running."""
    found = _VERSION_SET.search(error.statement) if error is not None and error.statement else None
    if found is None or error is None or error.statement is None:
        return ()
    before = _VERSION_BEFORE.search(error.statement)
    return (Step(found[1] or found[2], (before[1],) if before and before[1] != found[1] else None),)
