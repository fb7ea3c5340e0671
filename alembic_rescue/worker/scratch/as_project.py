"""Run the chain as ``alembic upgrade`` does: in the project's own transactions, on a copy of the database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationStep
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import Pool

from alembic_rescue import dialects
from alembic_rescue.connection.connections import listening
from alembic_rescue.connection.drivers import commits_each
from alembic_rescue.dialects.base import Demands, StatementReader
from alembic_rescue.evidence.handling import Handling
from alembic_rescue.evidence.observation import At, Ended, Statement, StatementKind
from alembic_rescue.evidence.rehearsal import Demand, Lock
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.observer.by_driver import Taps
from alembic_rescue.worker.observer.lines import absolute, hiding_handler
from alembic_rescue.worker.observer.observer import CALLS, Around, calls, failure_of_step, statements_of
from alembic_rescue.worker.observer.sent import Log, Recorder
from alembic_rescue.worker.scratch import running
from alembic_rescue.worker.scratch.chain import Send, match
from alembic_rescue.worker.scratch.runs import OwnRun, OwnVisit, ScratchVisit
from alembic_rescue.worker.scratch.transactions import Begun, Enough, ProbeError, block_failing, ended_well, hidden_at

_OF_CATALOGS = re.compile(r"\bpg_|information_schema|sqlite_master|alembic_version")


def run_as_project(
    project: Project,
    visits: Sequence[ScratchVisit],
    send: Send,
    *,
    close: Callable[[], object] = lambda: None,
    around: Around = nullcontext,
) -> OwnRun:
    """Run env.py on its copies with only the project's own commits, and read the version rows on a new connection.

    Every connection must already be redirected to a copy (:mod:`alembic_rescue.worker.isolation.guard`).

    Args:
        visits: those seen by the live look.  Revisions that are applied according to the version rows are skipped.
        send: see :data:`~alembic_rescue.worker.scratch.chain.Send`; called only with the revision that runs.
        close: confines the process to the copies; called before the first revision.
        around: see :func:`~alembic_rescue.worker.scratch.chain.observe`.
    """
    run = _OwnRun(project, visits, send, close, around)
    recorder = run.recorder
    with Taps(recorder.by_driver).listening():
        listeners = (*recorder.listeners, *run.begun.listeners, (Pool, "checkin", _forget))
        error = running.run_env(project, run.steps, listeners, lambda: bool(run.visited))
    run.see_who_hides(error)
    rows = run.rows_anew() if run.visited else {}
    return run.result(error, rows)


def _forget(dbapi_connection: Any, record: Any) -> None:
    """Close a connection that is returned to the pool, so that the rows are read back on a new one."""
    if dbapi_connection is not None:
        record.invalidate()


@dataclass
class _Visited:
    """One visit in progress."""

    number: int
    kind_of: StatementReader
    demands: Demands
    transactional: bool
    rows: tuple[str, ...]
    """The version rows, as the run last saw them."""
    ran: list[str] = field(default_factory=list)
    sent: list[tuple[str, Statement]] = field(default_factory=list)
    demanded: list[Demand] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    begun: At | None = None
    """The project's line that began its transaction."""
    begun_late: bool = False
    """It did so after ``context.configure()``."""
    unheard: list[tuple[str, Statement]] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    current: str | None = None
    log: Log = field(default_factory=Log)
    read: int = 0
    """How many of the log's statements the last catalog reading covered."""


_MAY_FAIL = frozenset([StatementKind.CATALOG, StatementKind.DATA])


class _OwnRun:
    """One run of env.py in its own transactions."""

    def __init__(
        self,
        project: Project,
        visits: Sequence[ScratchVisit],
        send: Send,
        close: Callable[[], object],
        around: Around,
    ) -> None:
        self.visited: list[_Visited] = []
        self.recorder = Recorder(lambda code: code is CALLS)
        self.begun = Begun(running.files_of(project))
        self.hides: At | None = None
        self._project, self._visits, self._send, self._close, self._around = project, visits, send, close, around

    def steps(self, rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        """Alembic's ``fn``: yield the steps of one visit."""
        number = match(self._visits, [one.number for one in self.visited], context)
        connection = context.connection
        if number is None or connection is None:
            return
        dialect = dialects.of(connection.dialect.name)
        demands = dialect.rehearsal.demands()
        transactional = bool(context.impl.transactional_ddl) and not commits_each(connection)
        if not self.visited:
            self._close()
        visited = _Visited(number, dialect.kind_of, demands, transactional, tuple(sorted(rows)))
        self.visited.append(visited)
        self.recorder.files, self.recorder.context = running.files_of(self._project), context
        visited.begun, visited.begun_late = self.begun.before(connection), self.begun.is_late(connection)
        with self.recorder.away():
            demands.begin(connection)
        running.without_effect(context)
        there = running.applied(self._project.script, rows)
        todo = [one for one in self._visits[number].todo if one not in there]
        for at, revision in enumerate(todo, 1):
            self._send({"visit": number, "revision": revision, "number": at, "of": len(todo)})
            visited.current = revision
            yield self._recorded(running.step_of(self._project.script, revision)[0], visited, connection)
            visited.current = None
            visited.ran.append(revision)
            self._keep(visited, revision)
        visited.rows = tuple(sorted(context.get_current_heads()))

    def _recorded(self, step: MigrationStep, visited: _Visited, connection: Connection) -> MigrationStep:
        original, visited.log, visited.read = step.migration_fn, Log(), 0

        def between(sending: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            dirty = any(visited.kind_of(one.sql) in _MAY_FAIL for one in visited.log.sent[visited.read : -1])
            if sending is connection and dirty and visited.demands.looks_before(statement):
                self._read(visited, connection, len(visited.log.sent) - 1)

        def upgrade(**given: Any) -> None:
            with self.recorder.recording(visited.log):
                try:
                    with self._around(), listening((Engine, "before_cursor_execute", between)):
                        calls(original, given)
                except BaseException as error:
                    visited.log.end(error)
                    raise
                visited.log.end(None)
            self._read(visited, connection, len(visited.log.sent))

        step.migration_fn = upgrade
        return step

    def _read(self, visited: _Visited, connection: Connection, upto: int) -> None:
        """Read the demands and locks of the first `upto` statements, except those already read."""
        with self.recorder.away():
            sent = [one.sql for one in visited.log.sent[visited.read : upto]]
            demanded, locks = visited.demands.after(connection, str(visited.current), sent)
        visited.read = upto
        visited.demanded += demanded
        visited.locks += locks

    def _keep(self, visited: _Visited, revision: str) -> None:
        path = absolute(self._project.script.get_revision(revision).path)
        sent = statements_of(visited.log, path, visited.kind_of, self._project.secrets)
        told = {StatementKind.CATALOG, StatementKind.DATA}
        kept = (one for one in sent if one.error is not None or one.kind in told or _reads_rows(one))
        visited.sent += [(revision, one) for one in kept]
        visited.unheard += [(revision, one) for one in self._unheard(visited, sent)]
        visited.ended += visited.log.ends(revision)

    def _unheard(self, visited: _Visited, sent: Sequence[Statement]) -> Iterator[Statement]:
        """Yield statements that succeeded inside a ``try`` that would hide their failure."""
        for one, told in zip(visited.log.sent, sent, strict=True):
            aborts = not one.in_savepoint and not one.in_autocommit
            if told.error is None and aborts and told.kind in _MAY_FAIL:
                hidden = ((at, hiding_handler(*at)) for at in one.places)
                at, handler = next((found for found in hidden if found[1]), (None, None))
                if at is not None:
                    yield replace(told, path=at[0], line=at[1], handler_line=handler)

    def see_who_hides(self, error: BaseException | None) -> None:
        """Record the line that hid a failure, if the run, which ended with `error`, succeeded in spite of one."""
        failed = next((one for one in self.visited if one.current is not None), None)
        hidden = (failed.log.raised or self.recorder.last_error) if failed is not None else None
        if hidden is not None and ended_well(error):
            self.hides = hidden_at(hidden, self.recorder.files)

    def rows_anew(self) -> dict[int, tuple[str, ...]]:
        """Run env.py again, and return the version rows that it finds at each visit."""
        found: dict[int, tuple[str, ...]] = {}
        probe, raised = ProbeError(), 0
        failed = any(one.current is not None for one in self.visited)

        def look(rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
            nonlocal raised
            number = match(self._visits, list(found), context)
            if number is not None:
                found[number] = tuple(sorted(rows))
            if not failed and len(found) == len(self.visited):
                raised += 1
                raise probe if raised == 1 else Enough
            return iter(())

        error = running.run_env(self._project, look, (), lambda: bool(found))
        if raised == 1 and ended_well(error):
            self.hides = hidden_at(probe, self.recorder.files)
        return found

    def result(self, error: BaseException | None, rows: dict[int, tuple[str, ...]]) -> OwnRun:
        """Return the outcome of the run, which ended with `error`."""
        visits = tuple(self._visit(one, error, rows.get(one.number)) for one in self.visited)
        within = any(one.current is not None for one in self.visited)
        hide = self._project.secrets.hide
        env = str(self._project.env_path)
        through = ended_well(error) and (
            error is None or bool(self.visited)
        )  # exit status 0 after the run is not a failure
        of_env = (
            None if error is None or within or through else running.failure_of(error, self.recorder.files, env, hide)
        )
        made = {one.number for one in self.visited}
        return OwnRun(visits, tuple(number for number in range(len(self._visits)) if number not in made), of_env)

    def _visit(self, visited: _Visited, error: BaseException | None, found: tuple[str, ...] | None) -> OwnVisit:
        failure = None
        if visited.current is not None:
            self._keep(visited, visited.current)
            path = absolute(self._project.script.get_revision(visited.current).path)
            last = error or self.recorder.last_error
            failure = failure_of_step(visited.log, last, self.recorder.files, path, self._project.secrets.hide)
        visit = OwnVisit(
            visited.number,
            tuple(visited.ran),
            tuple((revision, one) for revision, one in visited.sent if one.error is not None),
            visited.current,
            failure,
            visited.transactional,
            visited.rows,
            found,
            tuple(visited.unheard),
            sent=tuple((revision, one) for revision, one in visited.sent if one.error is None),
            demands=tuple(visited.demanded),
            locks=tuple(visited.locks),
        )
        return replace(visit, handling=self._handling(visited, visit))

    def _handling(self, visited: _Visited, visit: OwnVisit) -> Handling:
        block = block_failing(visited.log.raised, visited.current, self.recorder.files) if visited.current else None
        return Handling(
            begun=visited.begun,
            begun_late=visited.begun_late,
            ended=tuple(visited.ended),
            unblocked=block,
            hides=self.hides if visit.ran or visit.failed else None,
            lost=visit.never_commits,
            expected=visit.rows_expected,
            found=visit.rows_found or (),
            env=str(self._project.env_path),
        )


def _reads_rows(statement: Statement) -> bool:
    """Whether it is a query of tables: its result depends on rows, and a copy has none."""
    words = statement.sql.lower()
    return statement.kind is StatementKind.QUERY and " from " in words and not _OF_CATALOGS.search(words)
