"""Run the project's own chain on scratch databases, in a scratch worker, and observe it step by step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script
from sqlalchemy.engine import Connection

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.dialects.base import StatementReader
from alembic_rescue.evidence.observation import Failure, Observation
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.isolation.refusal import refusals
from alembic_rescue.worker.observer.by_driver import Taps
from alembic_rescue.worker.observer.effects import Effects, effects_of
from alembic_rescue.worker.observer.lines import absolute
from alembic_rescue.worker.observer.observer import (
    CALLS,
    Around,
    Observer,
    failure_of_step,
    outside,
    statements_of,
    value_of,
)
from alembic_rescue.worker.observer.sent import Log, Recorder
from alembic_rescue.worker.scratch import running
from alembic_rescue.worker.scratch.runs import ChainRun, ScratchVisit, VisitRun

Send = Callable[[dict[str, Any]], None]
"""Called with progress: ``{"visit", "revision", "number", "of"}`` before each revision, and
``{"visit", "observed": Observation}`` after each revision in question."""


def _nobody(_: dict[str, Any]) -> None:
    pass


def observe(
    project: Project,
    visits: Sequence[ScratchVisit],
    send: Send = _nobody,
    *,
    stamped_over: Collection[str] = (),
    close: Callable[[], object] = lambda: None,
    around: Around = nullcontext,
) -> ChainRun:
    """Run env.py on its scratch databases, commit after each revision, and observe the revisions in question.

    Every connection must already be redirected to a scratch database (:mod:`alembic_rescue.worker.isolation.guard`).
    A failed revision ends its visit and is rolled back.  To continue after it, call this again in a new worker with
    that revision in `stamped_over`: revisions that ran are not run again.

    Args:
        visits: those seen by the live look, in env.py's order.
        stamped_over: revisions to record without running their ``upgrade()`` and without observing them.
        close: confines the process to the scratch databases; called before the first revision.
        around: returns the context manager that each observed ``upgrade()`` runs in, and that undoes its effects on
            the process.
    """
    run = _Run(project, visits, send, frozenset(stamped_over), close, around)
    with Taps(run.recorder.by_driver).listening():
        error = running.run_env(project, run.steps, run.recorder.listeners, lambda: bool(run.visited))
    return run.result(error)


@dataclass
class _Visited:
    """One visit in progress."""

    number: int
    kind_of: StatementReader
    observations: list[Observation] = field(default_factory=list)
    current: str | None = None
    """The revision that is running, or being recorded."""
    observer: Observer | None = None
    """Observes the revisions in question; None while those before them run."""


class _Run:
    """One run of env.py."""

    def __init__(
        self,
        project: Project,
        visits: Sequence[ScratchVisit],
        send: Send,
        stamped_over: frozenset[str],
        close: Callable[[], object],
        around: Around,
    ) -> None:
        self.visited: list[_Visited] = []
        self.recorder = Recorder(lambda code: code is CALLS)
        self._project, self._visits, self._send = project, visits, send
        self._stamped_over, self._close, self._around = stamped_over, close, around
        self._closed = False

    # --- steps for Alembic ---------------------------------------------------------------------------------------

    def steps(self, rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        """Alembic's ``fn``: yield the steps of one visit.  Resumes once the previous step is in the version table."""
        connection = context.connection
        assert connection is not None, "online mode has a connection"
        number = match(self._visits, [one.number for one in self.visited], context)
        if number is None:  # a visit that was not requested
            return
        dialect = dialects.of(connection.dialect.name)
        self.recorder.files = files = running.files_of(self._project)
        self.recorder.context = context
        self._project.script.get_revisions(
            "heads"
        )  # loads all files, so that a broken one does not count as the failure of a revision
        self.visited.append(visited := _Visited(number, dialect.kind_of))
        running.without_effect(context)
        there = running.applied(self._project.script, rows)
        behind = [one for one in self._visits[number].behind if one not in there]
        todo = [one for one in self._visits[number].todo if one not in there]
        if not self._closed:
            self._closed = True
            self._close()
        effects = effects_of(dialect)
        with self._committed(effects, connection):
            running.make_room(context, [*behind, *todo])
        of = len(behind) + len(todo)
        for at, revision in enumerate(behind, 1):
            yield self._begun(visited, revision, at, of)[0]
            visited.current = None
            with self._committed(effects, connection):
                pass
        if not todo:
            return
        with self._committed(effects, connection):
            observer = Observer(self.recorder, files, effects, dialect, connection, self._project.secrets, self._around)
        for at, revision in enumerate(todo, len(behind) + 1):
            step, script = self._begun(visited, revision, at, of)
            if revision in self._stamped_over:
                yield step
                visited.current = None
                with self._committed(effects, connection):
                    observer.passed_over()
                continue
            visited.observer = observer
            yield observer.observing(step)
            visited.current = None
            with self._committed(effects, connection):
                observation = observer.observed(script)
            visited.observations.append(observation)
            self._send({"visit": number, "observed": observation})

    def _begun(self, visited: _Visited, revision: str, at: int, of: int) -> tuple[MigrationStep, Script]:
        self._send({"visit": visited.number, "revision": revision, "number": at, "of": of})
        visited.current = revision
        step, script = running.step_of(self._project.script, revision)
        if revision in self._stamped_over:
            step.migration_fn = upgrade
        return step, script

    @contextmanager
    def _committed(self, effects: Effects, connection: Connection) -> Iterator[None]:
        """Commit through the driver's connection, whatever transaction env.py has open, then run the block."""
        kept = effects.local_settings_kept(connection) if self.recorder.set_locally else nullcontext()
        with self.recorder.away(), kept:
            connection.connection.commit()
            yield

    # --- results -------------------------------------------------------------------------------------------------

    def result(self, error: BaseException | None) -> ChainRun:
        """Return the outcome of the run, which ended with `error`."""
        visits = tuple(self._visit(visited, error) for visited in self.visited)
        within = any(visited.current is not None for visited in self.visited)
        of_env = None if error is None or within else self._failure_of(error, str(self._project.env_path))
        made = {one.number for one in self.visited}
        unvisited = tuple(number for number in range(len(self._visits)) if number not in made)
        return ChainRun(visits, unvisited, of_env)

    def _visit(self, visited: _Visited, error: BaseException | None) -> VisitRun:
        script = self._project.script
        files = self.recorder.files
        observations = [  # a thread left behind by a revision may have been refused something since
            replace(one, outside=outside(script.get_revision(one.revision), files, refusals))
            for one in visited.observations
        ]
        if visited.current is None:
            return VisitRun(visited.number, tuple(observations))
        failed = script.get_revision(visited.current)
        log = visited.observer.log if visited.observer is not None else Log()
        last = error or self.recorder.last_error
        failure = failure_of_step(log, last, files, absolute(failed.path), self._project.secrets.hide)
        if visited.current in self._visits[visited.number].todo:
            statements = statements_of(log, absolute(failed.path), visited.kind_of, self._project.secrets)
            refused = outside(failed, files, refusals)
            observations.append(value_of(failed, statements=statements, outside=refused, failure=failure))
        return VisitRun(visited.number, tuple(observations), visited.current, failure)

    def _failure_of(self, error: BaseException, path: str) -> Failure:
        return running.failure_of(error, self.recorder.files, path, self._project.secrets.hide)


def upgrade(**_: Any) -> None:
    """Replace the ``upgrade()`` of a revision that is stamped over."""


def match(visits: Sequence[ScratchVisit], made: Sequence[int], context: MigrationContext) -> int | None:
    """Return the index of the requested visit that this is: the first not `made` yet, of this table and database."""
    assert context.connection is not None, "online mode has a connection"
    name = _database(context.connection)
    for number, visit in enumerate(visits):
        same_table = (visit.schema, visit.version_table) == (context.version_table_schema, context.version_table)
        if number not in made and same_table and name in {None, visit.database.get("dbname", name)}:
            return number
    return None


def _database(connection: Connection) -> str | None:
    """Return the name of the database that `connection` is actually connected to, as reported by its driver."""
    raw = driver_connection(connection.connection)
    name = getattr(getattr(raw, "info", None), "dbname", None)
    return str(name) if name else None
