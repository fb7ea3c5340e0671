"""Run the project's env.py, to look or to stamp.  No other module runs it.

Only env.py knows the URL, the search path and the version table.  So this module opens no connection: it runs env.py
as ``alembic current`` does, and :mod:`alembic_rescue.connection.connections` guards the connections that env.py opens.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alembic import command
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection, Engine

from alembic_rescue import errors
from alembic_rescue.connection.connections import listening
from alembic_rescue.environment.printed import Tell
from alembic_rescue.environment.run import Remark, Run
from alembic_rescue.project.loading import Project

T = TypeVar("T")
See = Callable[[MigrationContext, "tuple[str, ...]"], T]
"""Called with the context configured by env.py and the rows of its version table."""
BeforeWrite = Callable[[Connection, bool], None]
"""Called with the connection that is about to create (True) or change (False) the version table; may refuse."""


def silent(_: str) -> None:
    """Discard the line."""


def look(project: Project, see: See[T], tell: Tell = silent, remarks: list[Remark] | None = None) -> list[T]:
    """Run env.py and call `see` once for each database or tenant that it visits.

    The server holds the sessions read-only.

    Args:
        remarks: list to which remarks about env.py itself are appended.

    Returns:
        What `see` returned, in env.py's order; at least one.

    Raises:
        EnvNeverMigrates: env.py ended without running migrations.
        UsageError, DatabaseError: env.py or the database failed.  What `see` raises is raised too, even if env.py
            swallows it.
    """
    seen, run = _visiting(project, see, tell, read_only=True)
    if remarks is not None:
        remarks += run.remarks
    return seen


def act(project: Project, see: See[T], tell: Tell = silent) -> list[T]:
    """Like :func:`look`, but on writable autocommit sessions; no version table is created.

    Raises:
        RescueError: as in :func:`look`.
    """
    return _visiting(project, see, tell, read_only=False)[0]


def _visiting(project: Project, see: See[T], tell: Tell, *, read_only: bool) -> tuple[list[T], Run]:
    seen: list[T] = []
    run = Run(project, tell, read_only=read_only)

    def fn(rows: tuple[str, ...], context: MigrationContext) -> list[Any]:
        with run.visit():
            seen.append(see(context, rows))
        return []

    def call() -> None:
        with EnvironmentContext(project.config, project.script, fn=fn, dont_mutate=True):
            project.script.run_env()

    run(call, done=lambda: bool(seen))
    return seen, run


def keyword_arguments() -> dict[str, Any]:
    """Return the ``**kw`` that env.py passed to ``run_migrations(**kw)``, when called during a visit; else empty.

    They are read from the frame of that call, because Alembic passes them only to a step's ``migration_fn``, after
    which it would write the version table.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is MigrationContext.run_migrations.__code__:
            return dict(frame.f_locals["kw"])
        frame = frame.f_back
    return {}


@dataclass
class Visit:
    """One visit of env.py to a database to write to: the check before the write, and the outcome."""

    version_table: str
    before_write: BeforeWrite
    checked: list[Connection] = field(default_factory=list)
    """The connections on which `before_write` allowed a change of rows."""
    sent: int = 0
    """Statements sent that change the rows of the version table."""
    answered: int = 0
    """Those of them that the server answered, with a row count or an error."""
    rows: int = 0
    """Rows changed, as counted by the server."""


Choose = Callable[[MigrationContext], "Visit | None"]
"""Called with the context configured by env.py, at each of its ``run_migrations()``; None skips the visit."""


def stamp(
    project: Project, revisions: tuple[str, ...], choose: Choose, tell: Tell = silent, *, purge: bool = False
) -> None:
    """Call ``alembic.command.stamp`` for the visits that `choose` returns, in autocommit.

    The outcome of each is recorded in its :class:`Visit`.  After one fails, all later ones are skipped.

    Raises:
        RescueError: as in :func:`look`, and what `choose` and `before_write` raise, in which case nothing was written
            to that database.
    """
    run = Run(project, tell, read_only=False)
    writes = _Writes(choose, run)

    def call() -> None:
        with writes.passing_over(), listening(*writes.listeners):
            command.stamp(project.config, list(revisions), purge=purge)

    run(call, done=lambda: writes.done and not run.hold.failures)


class _Writes:
    """Runs the chosen visits and listens to their statements: calls `before_write` first, then counts."""

    def __init__(self, choose: Choose, run: Run) -> None:
        self._choose, self.run = choose, run
        self._visits: list[Visit] = []
        self.visit: Visit | None = None
        """The current one."""
        self._statement = re.compile("")
        self.failed = False
        self.listeners = (
            (Engine, "before_cursor_execute", self._before),
            (Engine, "after_cursor_execute", self._after),
            (Engine, "handle_error", self._refused),
        )

    @property
    def done(self) -> bool:
        """Whether there was at least one visit, and each got as far as writing."""
        return bool(self._visits) and all(visit.checked for visit in self._visits)

    @contextmanager
    def passing_over(self) -> Iterator[None]:
        """Call `choose` before each ``MigrationContext.run_migrations()``.

        ``command.stamp`` cannot skip one of the databases that env.py visits.  Every env.py calls this method, which
        is public and unchanged from Alembic 1.9 to 1.20.
        """
        original, writes = MigrationContext.run_migrations, self

        def run_migrations(self: MigrationContext, **kw: Any) -> None:
            visit = writes.chosen(self)
            if visit is None:
                return
            try:
                with writes.run.visit():
                    original(self, **kw)
            except BaseException:
                writes.failed = True
                raise
            finally:
                writes.visit = None

        MigrationContext.run_migrations = run_migrations  # type: ignore[method-assign]
        try:
            yield
        finally:
            MigrationContext.run_migrations = original  # type: ignore[method-assign]

    def chosen(self, context: MigrationContext) -> Visit | None:
        """Return what `choose` returns for a visit that begins; None for all once one has failed."""
        if self.failed:  # env.py may swallow the error and go on to the next database
            return None
        try:
            self.visit = self._choose(context)
        except BaseException as error:
            self.failed = True
            self.run.raised.append(error)
            raise
        if self.visit is not None:
            self._visits.append(self.visit)
            self._statement = _changing(self.visit.version_table)
        return self.visit

    def _match(self, statement: str | None) -> re.Match[str] | None:
        return self._statement.match(statement or "") if self.visit else None

    def _changes_rows(self, statement: str | None) -> bool:
        found = self._match(statement)
        return found is not None and not found["makes"]

    def _before(self, connection: Connection, _: object, statement: str, *__: object) -> None:
        visit = self.visit
        if visit is None or not self._match(statement):
            return
        changes_rows = self._changes_rows(statement)
        if not any(one is connection for one in visit.checked):
            visit.before_write(connection, not changes_rows)
            self.run.hold.failures.clear()  # failures before the write that env.py handled
            self.run.hold.writes_to = visit.version_table
            if changes_rows:
                visit.checked.append(connection)
        visit.sent += changes_rows

    def _after(self, _: Connection, cursor: Any, statement: str, *__: object) -> None:
        if self.visit and self._changes_rows(statement):
            self.visit.answered += 1
            self.visit.rows += abs(cursor.rowcount)  # -1 if the driver does not know

    def _refused(self, failed: Any) -> None:
        ours = isinstance(failed.original_exception, errors.RescueError)  # raised by _before
        by_the_server = not failed.is_disconnect and not ours and isinstance(failed.original_exception, Exception)
        if self.visit:
            self.visit.answered += by_the_server and self._changes_rows(failed.statement)


def _changing(table: str) -> re.Pattern[str]:
    """Match the statements that change the rows of the version table, or create it."""
    return re.compile(
        rf"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|(?P<makes>CREATE\s+TABLE))\s+\S*\b{re.escape(table)}\b",
        re.IGNORECASE,
    )
