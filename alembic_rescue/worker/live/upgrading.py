"""Run ``alembic upgrade`` in the live worker, under the rescue lock, and observe each step.

This is the only operation in which migrations run on the project's own databases, on purpose.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationStep
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from alembic_rescue import dialects, errors
from alembic_rescue.connection import drivers, sessions
from alembic_rescue.connection.failures import chain, shown
from alembic_rescue.connection.guard import Guard
from alembic_rescue.dialects.base import Fingerprint
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.environment.upgrading import UpgradeRun
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.observation import Failure, StatementKind
from alembic_rescue.model import Identity
from alembic_rescue.project.loading import Project
from alembic_rescue.worker import script_files
from alembic_rescue.worker.live.beating import beating
from alembic_rescue.worker.observer.lines import absolute
from alembic_rescue.worker.observer.observer import CALLS, calls, failure_of_step
from alembic_rescue.worker.observer.sent import Log, Recorder, Sent
from alembic_rescue.worker.requests import MAY_BE_KEPT, RUNNING, InvalidIndex, Progress, Ran, Swallowed, VisitRan
from alembic_rescue.worker.scratch import running
from alembic_rescue.worker.serve import Conversation

_FOR_A_LOCK = (errors.LockTimeout, errors.Deadlock)
_OF_A_MIGRATION = (errors.ServerUnable, errors.WriteRefused)
"""The errors for any other failed statement; within a revision they become :class:`errors.MigrationFailed`."""
_LASTS = frozenset([StatementKind.CATALOG, StatementKind.DATA])


def upgrade(
    conversation: Conversation,
    project: Project,
    target: str,
    guards: Mapping[str, Guard],
    visited: Sequence[Identity],
) -> Ran:
    """Run ``alembic upgrade TARGET``, and return the result, even if it failed.

    Args:
        guards: the rescue locks, by database.
        visited: the version tables, in the order of env.py's visits.
    """
    watch = _Watch(conversation, project, guards, visited)
    run = UpgradeRun(project, conversation.tell)
    failure: RescueError | None = None
    with beating(tuple(guards.values()), run.hold.waits, watch), script_files.run_again():
        try:
            run.upgrade(target, watch.steps, watch.listeners)
        except RescueError as error:
            failure = error
    return watch.ran(failure)


@dataclass
class _Visited:
    """One visit of env.py."""

    number: int
    of: int
    before: Fingerprint | None
    """The committed state when the visit began, or after its last committed step."""
    connection: Any
    begins_each: bool
    """Whether each revision has its own transaction, which its first statement begins."""
    ran: list[str] = field(default_factory=list)
    whole: int = 0
    """How many of them are known to be committed with their version."""
    begun: list[str] = field(default_factory=list)
    """The steps up to the current one, as Alembic logs them."""
    current: Any = None
    """Alembic's step that is running."""
    log: Log = field(default_factory=Log)
    rows: tuple[str, ...] | None = None
    """The version table's rows after the steps that ran so far."""
    transaction: str | None = None
    """The id of its open transaction; None if that is not known."""

    @property
    def revision(self) -> str:
        """The running revision; empty if none is."""
        return "" if self.current is None else str(self.current.info.up_revision_id)

    @property
    def path(self) -> str:
        """The file of the running revision."""
        return "" if self.current is None else absolute(self.current.info.up_revision.path)


class _Watch:
    """Observes the steps of a run."""

    def __init__(
        self, conversation: Conversation, project: Project, guards: Mapping[str, Guard], visited: Sequence[Identity]
    ) -> None:
        self._conversation, self._project, self._guards = conversation, project, guards
        self._identities = visited
        self._visits: list[_Visited] = []
        self._swallowed: list[Swallowed] = []
        self._told: set[int] = set()
        self._recorder = Recorder(lambda code: code is CALLS)
        self._committed = False
        """Whether anything that may last was committed since the last complete step."""
        self._alone = False
        """Whether the running statement commits by itself."""
        self._told_kept = False
        """Whether the last progress said that a part may be kept."""
        self._lent = 0
        """How many connections were taken from a pool without SQLAlchemy's Connection."""
        self._began = time.monotonic()
        self.statement = ""
        """The one that runs; empty between two."""
        self.unguarded = False
        """Whether the connection of a rescue lock was lost."""
        self.listeners = (
            *self._recorder.listeners,
            (Engine, "before_cursor_execute", self._before),
            (Engine, "after_cursor_execute", self._after),
            (Engine, "handle_error", self._fails),
            (Engine, "commit", self._commits),
            (Engine, "engine_connect", self._connects),
            (Pool, "checkout", self._lends),
        )

    # --- the steps -----------------------------------------------------------------------------------------------

    def steps(
        self, context: MigrationContext, _rows: tuple[str, ...], listed: list[MigrationStep]
    ) -> Iterator[MigrationStep]:
        """See :data:`alembic_rescue.environment.upgrading.Steps`."""
        number, each = len(self._visits), bool(context.opts.get("transaction_per_migration"))
        visited = _Visited(number, len(listed), self._read(number), context.connection, begins_each=each)
        self._visits.append(visited)
        self._recorder.files, self._recorder.context = running.files_of(self._project), context

        def applied(**given: Any) -> None:
            visited.rows = tuple(sorted(map(str, given["heads"])))

        context.on_version_apply_callbacks = (*context.on_version_apply_callbacks, applied)
        for step in listed:
            visited.current = step
            visited.begun.append(str(step))
            self._began = time.monotonic()
            self.tell_progress()
            yield self._watched(step, visited)
            visited.ran.append(visited.revision)
            visited.current = None
            self._is_whole(visited)

    def _watched(self, step: MigrationStep, visited: _Visited) -> MigrationStep:
        original, visited.log = step.migration_fn, Log()

        @wraps(original)  # Alembic logs its name
        def migrate(**given: Any) -> None:
            log = visited.log
            if visited.transaction is None and not visited.begins_each:
                self._note_transaction(visited)
            with self._recorder.recording(log):
                try:
                    calls(original, given)
                except BaseException as error:
                    self._look_for_a_commit(visited)
                    log.end(error)
                    self._tell_swallowed(visited, [one for one in log.sent if one.swallowed])
                    raise
            log.end(None)
            self._tell_swallowed(visited, [one for one in log.sent if one.swallowed])
            if hidden := _hidden_for_a_lock(log):  # otherwise the step is recorded as applied, and never runs again
                raise hidden

        step.migration_fn = migrate
        return step

    def _is_whole(self, visited: _Visited) -> None:
        """Note the state after a step that was committed with its version: a retry may continue from there."""
        if self._committed and (now := self._read(visited.number)) is not None and now.rows == visited.rows:
            visited.before, visited.whole, self._committed = now, len(visited.ran), False

    def _guard(self, number: int) -> Guard | None:
        """The lock of a visited database; None if it was at its heads, so nothing runs there."""
        return self._guards.get(self._identities[number].rows_key[0]) if number < len(self._identities) else None

    def _read(self, number: int) -> Fingerprint | None:
        guard = self._guard(number)
        if guard is None:
            return None
        identity = self._identities[number]
        return guard.fingerprint(sessions.qualified(guard.engine.dialect, identity.version_table, identity.schema))

    # --- its statements ------------------------------------------------------------------------------------------

    @property
    def _current(self) -> _Visited | None:
        visited = self._visits[-1] if self._visits else None
        return visited if visited is not None and visited.current is not None else None

    def _before(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if sessions.is_own(connection.engine):
            return
        self.statement, self._began = statement, time.monotonic()
        self._alone = drivers.commits_each(connection)
        visited = self._current
        if visited is not None and self._may_be_kept and not self._told_kept:
            self.tell_progress()  # nobody can ask after a kill
        if visited is not None:
            under_way = sys.exc_info()[1]  # still propagating, and may reach env.py
            raised = set() if under_way is None else {id(one) for one in _originals(under_way)}
            earlier = visited.log.sent[:-1]
            self._tell_swallowed(visited, [one for one in earlier if one.error and id(one.error) not in raised])

    def _after(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if sessions.is_own(connection.engine):  # a ping, while a statement of the revision runs
            return
        self._over()
        visited = self._current
        if visited is None or self._committed:
            return
        if drivers.commits_each(connection):
            self._committed = dialects.of(connection.dialect.name).kind_of(statement) in _LASTS
        elif visited.transaction is None and connection is visited.connection:
            self._note_transaction(visited)

    def _note_transaction(self, visited: _Visited) -> None:
        """Note the id of the open transaction, whose end shows a commit that SQLAlchemy does not see."""
        connection = visited.connection
        if connection is None or visited.before is None or drivers.commits_each(connection):
            return
        server = dialects.of(connection.dialect.name).server
        visited.transaction = server.transaction(Cursor(connection.connection, connection.dialect))

    def _look_for_a_commit(self, visited: _Visited) -> None:
        """Note whether its transaction was committed by now, on the driver's own connection."""
        guard = self._guard(visited.number)
        if visited.transaction and guard is not None and guard.is_committed(visited.transaction):
            self._committed = True

    def _fails(self, failed: Any) -> None:
        if failed.connection is None or sessions.is_own(failed.connection.engine):  # no statement ended
            return
        self._over()
        if self._current is not None:
            self._look_for_a_commit(self._current)

    def _over(self) -> None:
        self.statement, self._began, self._alone = "", time.monotonic(), False

    def _lends(self, *_: Any) -> None:
        self._lent += 1

    def _connects(self, _: Any, branch: bool = False) -> None:  # noqa: FBT001, FBT002 - SQLAlchemy 1.4's
        """Count what the pool lent to SQLAlchemy; the rest is used without it, and nobody sees its commits."""
        self._lent -= not branch

    def _commits(self, connection: Any) -> None:
        visited = self._current
        if visited is not None and not sessions.is_own(connection.engine):
            self._committed, visited.transaction = True, None

    def _tell_swallowed(self, visited: _Visited, found: Sequence[Sent]) -> None:
        secrets = self._project.secrets
        for one in found:
            if id(one) in self._told or one.error is None:
                continue
            self._told.add(id(one))
            if _went_back(visited.log, one):
                continue  # in a SAVEPOINT, so its failure was expected
            before, one.swallowed = one.swallowed, True
            path, line, handler = one.at(visited.path)
            one.swallowed = before
            sql = secrets.hide_sql(one.shown(secrets.hide))
            told = Swallowed(
                visited.revision,
                shown(Path(path)),
                line,
                handler,
                " ".join(sql.split()),
                secrets.hide(one.message or ""),
            )
            self._swallowed.append(told)
            self._conversation.progress(told)

    # --- signs of life -------------------------------------------------------------------------------------------

    @property
    def _may_be_kept(self) -> bool:
        return self._committed or self._alone

    def tell_progress(self) -> None:
        """Tell which revision and statement run, and for how long."""
        visited = self._current
        if visited is None or visited.current is None:
            self._conversation.progress(Progress("Running env.py"))
            return
        facts = {"doc": str(visited.current.doc or ""), "seconds": f"{time.monotonic() - self._began:.0f}"}
        self._told_kept = self._may_be_kept
        facts[MAY_BE_KEPT] = "yes" if self._told_kept else ""
        facts["statement"] = self._project.secrets.hide_sql(" ".join(self.statement.split()))
        number = len(visited.ran) + 1
        self._conversation.progress(Progress(RUNNING, number, visited.of, visited.revision, facts))

    # --- what it came to -----------------------------------------------------------------------------------------

    def ran(self, failure: RescueError | None) -> Ran:
        """Return the result of the run, which ended with `failure`."""
        states = [None if failure is None else self._read(one.number) for one in self._visits]
        visits = tuple(
            VisitRan(
                tuple(one.ran),
                one.revision or None,
                tuple(one.ran if failure is None or self._has_ended(one, now) else one.ran[: one.whole]),
            )
            for one, now in zip(self._visits, states, strict=True)
        )
        failed = next((one for one in self._visits if one.current is not None), None)
        if failure is None:
            guards = self._guards.values()
            invalid = tuple(InvalidIndex(name, one.database) for one in guards for name in one.invalid_indexes())
            return Ran(visits, tuple(self._swallowed), unguarded=self.unguarded, invalid=invalid)
        for_a_lock, place, log = isinstance(failure, _FOR_A_LOCK), "", _log(failure, self._project.secrets.hide)
        if failed is not None:
            why = self._why(failed, failure)
            place = f"{shown(Path(why.path))}:{why.line}" if why.line else shown(Path(why.path))
            for_a_lock = for_a_lock or any(_is_for_a_lock(one) for one in failed.log.sent)
            if not isinstance(failure, errors.DatabaseError) or isinstance(failure, _OF_A_MIGRATION):
                statement = self._project.secrets.hide_sql(" ".join(why.statement.split()))
                told = errors.MigrationFailed(failed.revision, place, why.error, statement)
                told.trace = failure.trace
                failure = told
            log = (*(f"INFO  [alembic.runtime.migration] Running {step}" for step in failed.begun), *log)
        return Ran(
            visits,
            tuple(self._swallowed),
            failure,
            place,
            for_a_lock,
            self._is_rolled_back(states),
            unguarded=self.unguarded,
            log=log,
        )

    def _why(self, failed: _Visited, failure: RescueError) -> Failure:
        last = failure.__cause__ or self._recorder.last_error
        return failure_of_step(failed.log, last, self._recorder.files, failed.path, self._project.secrets.hide)

    def _has_ended(self, visited: _Visited, now: Fingerprint | None) -> bool:
        """Whether all steps of a visit ran, and are committed."""
        ran = visited.current is None and visited.rows is not None
        return ran and now is not None and now.rows == visited.rows

    def _is_rolled_back(self, states: Sequence[Fingerprint | None]) -> bool:
        if self._committed or self._lent > 0:
            return False
        return all(
            not one.of or self._has_ended(one, now) or (now is not None and now == one.before)
            for one, now in zip(self._visits, states, strict=True)
        )


def _originals(error: BaseException) -> Iterator[BaseException]:
    for link in chain(error):
        yield link
        original = getattr(link, "orig", None)
        if isinstance(original, BaseException):
            yield original


def _went_back(log: Log, failed: Sent) -> bool:
    """Whether its SAVEPOINT was rolled back to after it failed."""
    following = next((later for one, later in zip(log.sent, log.sent[1:], strict=False) if one is failed), None)
    return failed.in_savepoint and following is not None and following.sql.upper().startswith("ROLLBACK TO")


def _is_for_a_lock(one: Sent) -> bool:
    return one.error is not None and drivers.error_class(one.error) in _FOR_A_LOCK


def _hidden_for_a_lock(log: Log) -> BaseException | None:
    """Return the hidden error of a statement that failed because of a lock, and that did not succeed later."""
    for number, one in enumerate(log.sent):
        if _is_for_a_lock(one) and not any(later.sql == one.sql and later.error is None for later in log.sent[number:]):
            return one.error
    return None


def _log(failure: RescueError, hide: Callable[[str], str]) -> tuple[str, ...]:
    import traceback  # noqa: PLC0415 - only needed after a failure

    cause = failure.__cause__ or failure
    text = "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    return tuple(hide(text).splitlines())
