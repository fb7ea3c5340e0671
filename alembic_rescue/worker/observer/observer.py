"""Observe one step of a chain: what it changed, which statements it sent, which lines it skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from alembic.runtime.migration import MigrationStep
from alembic.script import Script
from sqlalchemy.engine import Connection

from alembic_rescue.dialects import Dialect
from alembic_rescue.dialects.base import StatementReader, Watch
from alembic_rescue.evidence import dated
from alembic_rescue.evidence.consequences import follows_another
from alembic_rescue.evidence.judging import looked_for
from alembic_rescue.evidence.observation import (
    CatalogObject,
    Change,
    Failure,
    Observation,
    Outside,
    Statement,
    StatementKind,
)
from alembic_rescue.redact import Secrets
from alembic_rescue.worker.isolation.refusal import Refusal, refusals
from alembic_rescue.worker.observer.attributing import attributed
from alembic_rescue.worker.observer.effects import Effects
from alembic_rescue.worker.observer.left_out import left_out
from alembic_rescue.worker.observer.lines import Files, Trace, absolute, constants
from alembic_rescue.worker.observer.sent import Log, Recorder, Sent
from alembic_rescue.worker.scratch.running import failure_of

_LEAVES = frozenset([StatementKind.CATALOG, StatementKind.DATA])
"""Kinds that prove that a line did its work.  A query does not: ``[delete(row) for row in execute("SELECT ...")]``."""
Around = Callable[[], AbstractContextManager[object]]
Hide = Callable[[str], str]


class Observer:
    """Observes the steps of one visit, one after another."""

    def __init__(
        self,
        recorder: Recorder,
        files: Files,
        effects: Effects,
        dialect: Dialect,
        connection: Connection,
        secrets: Secrets,
        around: Around,
    ) -> None:
        self.log = Log()
        """The log of the current or last step."""
        self._recorder, self._files, self._effects, self._around = recorder, files, effects, around
        self._secrets = secrets
        self._kind_of, self._connection = dialect.kind_of, connection
        self._watch: Watch | None = dialect.reader.watch(connection) if dialect.reader is not None else None
        self._trace = Trace(files)
        effects.begin(connection)

    def observing(self, step: MigrationStep) -> MigrationStep:
        """Return the step, changed to run its code under observation."""
        original = step.migration_fn
        self.log = Log()

        def upgrade(**given: Any) -> None:
            with self._recorder.recording(self.log):
                try:
                    with self._around(), self._trace():
                        calls(original, given)
                except BaseException as error:
                    self.log.end(error)
                    raise
                self.log.end(None)
            self._effects.end(self._connection, [one.sql for one in self.log.sent])

        step.migration_fn = upgrade
        return step

    def passed_over(self) -> None:
        """Skip a step that is recorded in the version table but not observed."""
        self._effects.begin(self._connection)

    def observed(self, script: Script) -> Observation:
        """Return what the step did, after it was committed."""
        path, log = absolute(script.path), self.log
        sent = [one.sql for one in log.sent]
        changes, renames = self._watch.step(self._connection, sent) if self._watch is not None else ((), ())
        kinds = dict(zip(sent, self._effects.kinds(self._connection, sent, changes), strict=True))
        statements = statements_of(log, path, lambda sql: kinds[sql], self._secrets)
        if unseen := self._effects.unseen(kinds.values()):
            statements += (Statement(unseen, StatementKind.DATA, path, _line(script)),)
        self._effects.begin(self._connection)
        found = value_of(
            script,
            changes=attributed(changes, statements),
            renames=renames,
            statements=statements,
            left_out=tuple(
                replace(one, source=self._secrets.hide(one.source))
                for one in left_out(
                    self._trace.ran,
                    self._files,
                    self._connection.dialect.name,
                    self._kind_of,
                    [place for one in log.sent if kinds[one.sql] in _LEAVES for place in one.places],
                )
            ),
            outside=outside(script, self._files, refusals),
            by_date=self._by_date(script, changes),
            ends=log.ends(script.revision),
        )
        return replace(found, beside=self._beside(found))

    def _by_date(self, script: Script, changes: Sequence[Change]) -> tuple[CatalogObject, ...]:
        """Return the new tables named after the date: no constant in the code that ran contains the year."""
        today = datetime.now().astimezone().date()
        years = {one.object: dated.year_in(one.object, today) for one in changes if one.before is None}
        if not any(years.values()):
            return ()
        spelled = "\n".join(constants({*self._trace.ran, script.path}))
        return tuple(one for one, year in years.items() if year is not None and year not in spelled)

    def _beside(self, found: Observation) -> tuple[CatalogObject, ...]:
        schemas = {change.object.name.partition(".")[0] for change in found.changes}
        wanted = looked_for([found], schemas | {"public"})
        if self._watch is None or not wanted:
            return ()
        touched = {change.object for change in found.changes}
        return tuple(sorted({*self._watch.there(self._connection, wanted)} - touched))


def calls(original: Callable[..., Any], given: dict[str, Any]) -> None:
    """Call a revision's code.  The search for project lines on the stack ends at this frame."""
    original(**given)


CALLS = calls.__code__

# --- values ------------------------------------------------------------------------------------------------------


def statements_of(log: Log, path: str, kind_of: StatementReader, secrets: Secrets) -> tuple[Statement, ...]:
    """Return what a revision sent, as values.

    Args:
        path: the revision's file.
    """
    found = []
    for sent in log.sent:
        at, line, handler = sent.at(path)
        error = None if sent.message is None else secrets.hide(sent.message)
        text = sent.shown(secrets.hide)
        shown = secrets.hide_sql(text)
        runnable = shown == text and not sent.parameters
        found.append(Statement(shown, kind_of(sent.sql), at, line, error, handler, runnable, sent.in_autocommit))
    return tuple(found)


def failure_of_step(log: Log, last: BaseException | None, files: Files, path: str, hide: Hide) -> Failure:
    """Return why a revision did not finish.

    Args:
        log: what it sent.
        last: the error of env.py's run, or else of the last failed statement.
        files: identifies the project's files.
        path: the revision's file.
        hide: removes secrets.
    """
    swallowed = next((one for one in log.sent if one.swallowed), None)
    if log.raised is not None:
        told, sent = failure_of(log.raised, files, path, hide), log.failed(log.raised)
        if swallowed is not None and follows_another(told.error):
            return _after(swallowed, told, path, hide)
        if sent is None or not sent.places:
            return told
        at, line = sent.places[0]  # where it was sent, even if the error was raised again elsewhere
        return replace(told, path=at, line=line)
    # The code finished, but then its version could not be written: a swallowed error may be the cause.
    told = Failure("it did not finish", path, None) if last is None else failure_of(last, files, path, hide)
    return told if swallowed is None else _after(swallowed, told, path, hide)


def _after(swallowed: Sent, told: Failure, path: str, hide: Hide) -> Failure:
    """Return a failure caused by an earlier, hidden one."""
    at, line, handler = swallowed.at(path)
    hidden = f" (hidden by the except at line {handler})" if handler else ""
    after = f"{told.error}, after: {hide(swallowed.message or '')}{hidden}"
    return Failure(after, at, line, hide(swallowed.shown(hide)))


def value_of(script: Script, **found: Any) -> Observation:
    """Return the observation of a revision."""
    return Observation(script.revision, path=absolute(script.path), line=_line(script), **found)


def _line(script: Script) -> int | None:
    code = getattr(getattr(script.module, "upgrade", None), "__code__", None)
    return None if code is None else int(code.co_firstlineno)


def outside(script: Script, files: Files, refused: Sequence[Refusal]) -> tuple[Outside, ...]:
    """Return what a revision's code, or a thread that it started, was refused."""
    code = getattr(getattr(script.module, "upgrade", None), "__code__", None)
    own = {absolute(script.path), *([absolute(code.co_filename)] if code is not None else [])}
    found: dict[Outside, None] = {}
    for one in refused:
        stack = [(absolute(path), line) for path, line, _ in (*one.started, *one.stack)]
        if any(path in own for path, _ in stack):
            path, line = next(place for place in reversed(stack) if files.is_own(place[0]))
            found[Outside(one.what, path, line)] = None
    return tuple(found)
