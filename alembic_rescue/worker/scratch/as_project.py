"""The chain as ``alembic upgrade`` itself runs it: in the project's own transactions, on a copy of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationStep
from sqlalchemy.engine import Connection
from sqlalchemy.pool import Pool

from alembic_rescue import dialects
from alembic_rescue.dialects.base import Demands, StatementReader
from alembic_rescue.evidence.observation import Statement, StatementKind
from alembic_rescue.evidence.rehearsal import Demand, Lock
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.observer.by_driver import Taps
from alembic_rescue.worker.observer.lines import absolute
from alembic_rescue.worker.observer.observer import CALLS, Around, calls, failure_of_step, statements_of
from alembic_rescue.worker.observer.sent import Log, Recorder
from alembic_rescue.worker.scratch import running
from alembic_rescue.worker.scratch.chain import Send, match
from alembic_rescue.worker.scratch.runs import OwnRun, OwnVisit, ScratchVisit


def run_as_project(
    project: Project,
    visits: Sequence[ScratchVisit],
    send: Send,
    *,
    close: Callable[[], object] = lambda: None,
    around: Around = nullcontext,
) -> OwnRun:
    """Run env.py on its copies, with no commit but the project's own, and read the version rows back anew.

    Every connection must lead to a copy already (:mod:`alembic_rescue.worker.isolation.guard`).

    Args:
        visits: those that the live look saw.  What the version rows say to be there is skipped.
        send: see :data:`~alembic_rescue.worker.scratch.chain.Send`; only which revision runs is sent.
        close: lets nothing out of this process any more; called before the first revision.
        around: see :func:`~alembic_rescue.worker.scratch.chain.observe`.
    """
    run = _OwnRun(project, visits, send, close, around)
    recorder = run.recorder
    with Taps(recorder.by_driver).listening():
        listeners = (*recorder.listeners, (Pool, "checkin", _forget))
        error = running.run_env(project, run.steps, listeners, lambda: bool(run.visited))
    rows = run.rows_anew() if run.visited else {}
    return run.result(error, rows)


def _forget(dbapi_connection: Any, record: Any) -> None:
    """A connection that comes back is closed, so that what is read anew is read by a new one."""
    if dbapi_connection is not None:
        record.invalidate()


@dataclass
class _Visited:
    """One visit under way."""

    number: int
    kind_of: StatementReader
    demands: Demands
    transactional: bool
    rows: tuple[str, ...]
    """As the run saw them last."""
    ran: list[str] = field(default_factory=list)
    sent: list[tuple[str, Statement]] = field(default_factory=list)
    demanded: list[Demand] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    current: str | None = None
    log: Log = field(default_factory=Log)


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
        self._project, self._visits, self._send, self._close, self._around = project, visits, send, close, around

    def steps(self, rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        """Alembic's ``fn``."""
        number = match(self._visits, [one.number for one in self.visited], context)
        connection = context.connection
        if number is None or connection is None:
            return
        dialect = dialects.of(connection.dialect.name)
        demands = dialect.rehearsal.demands()
        transactional = bool(context.impl.transactional_ddl) and not _commits_each(connection)
        if not self.visited:
            self._close()
        visited = _Visited(number, dialect.kind_of, demands, transactional, tuple(sorted(rows)))
        self.visited.append(visited)
        with self.recorder.away():
            demands.begin(connection)
        self.recorder.files = running.files_of(self._project)
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
        original, visited.log = step.migration_fn, Log()

        def upgrade(**given: Any) -> None:
            with self.recorder.recording(visited.log):
                try:
                    with self._around():
                        calls(original, given)
                except BaseException as error:
                    visited.log.end(error)
                    raise
                visited.log.end(None)
            with self.recorder.away():
                sent = [one.sql for one in visited.log.sent]
                demanded, locks = visited.demands.after(connection, str(visited.current), sent)
            visited.demanded += demanded
            visited.locks += locks

        step.migration_fn = upgrade
        return step

    def _keep(self, visited: _Visited, revision: str) -> None:
        path = absolute(self._project.script.get_revision(revision).path)
        sent = statements_of(visited.log, path, visited.kind_of, self._project.secrets)
        told = {StatementKind.CATALOG, StatementKind.DATA}
        visited.sent += [(revision, one) for one in sent if one.error is not None or one.kind in told]

    def rows_anew(self) -> dict[int, tuple[str, ...]]:
        """The version rows of each visit, as env.py, run once more, finds them."""
        found: dict[int, tuple[str, ...]] = {}

        def look(rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
            number = match(self._visits, list(found), context)
            if number is not None:
                found[number] = tuple(sorted(rows))
            return iter(())

        running.run_env(self._project, look, (), lambda: bool(found))
        return found

    def result(self, error: BaseException | None, rows: dict[int, tuple[str, ...]]) -> OwnRun:
        """What came of the run, which ended with `error`."""
        visits = tuple(replace(self._visit(one, error), rows_found=rows.get(one.number)) for one in self.visited)
        within = any(one.current is not None for one in self.visited)
        hide = self._project.secrets.hide
        env = str(self._project.env_path)
        of_env = None if error is None or within else running.failure_of(error, self.recorder.files, env, hide)
        made = {one.number for one in self.visited}
        return OwnRun(visits, tuple(number for number in range(len(self._visits)) if number not in made), of_env)

    def _visit(self, visited: _Visited, error: BaseException | None) -> OwnVisit:
        failure = None
        if visited.current is not None:
            self._keep(visited, visited.current)
            path = absolute(self._project.script.get_revision(visited.current).path)
            last = error or self.recorder.last_error
            failure = failure_of_step(visited.log, last, self.recorder.files, path, self._project.secrets.hide)
        return OwnVisit(
            visited.number,
            tuple(visited.ran),
            tuple((revision, one) for revision, one in visited.sent if one.error is not None),
            visited.current,
            failure,
            visited.transactional,
            visited.rows,
            sent=tuple((revision, one) for revision, one in visited.sent if one.error is None),
            demands=tuple(visited.demanded),
            locks=tuple(visited.locks),
        )


def _commits_each(connection: Connection) -> bool:
    """Whether the driver commits each statement by itself."""
    raw: Any = connection.connection
    return getattr(raw, "autocommit", False) is True or getattr(raw, "isolation_level", None) == "autocommit"
