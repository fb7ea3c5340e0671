"""Running the project's env.py, to look or to stamp.  The only module that runs it.

env.py is the only way in: it alone knows the URL, the search path, the version table.  So nothing is opened here;
env.py is run as ``alembic current`` runs it, and :mod:`alembic_rescue.connection.connections` takes hold of what it
opens.
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
"""What looks: it is given the context that env.py configured, and the rows of its version table."""
BeforeWrite = Callable[[Connection, bool], None]
"""Called on the connection that is about to make (True) or to change (False) the version table; may refuse."""


def silent(_: str) -> None:
    """The Tell that tells nobody."""


def look(project: Project, see: See[T], tell: Tell = silent, remarks: list[Remark] | None = None) -> list[T]:
    """Run env.py and call `see` once for each database or tenant that it visits.  The server holds it read-only.

    Args:
        remarks: is added to: what is to be said about env.py itself.

    Returns:
        What `see` returned, in env.py's order; at least one.

    Raises:
        EnvNeverMigrates: env.py ended without running migrations.
        UsageError, DatabaseError: env.py or the database failed; what `see` raises comes through, whatever
            env.py does with it.
    """
    seen, run = _visiting(project, see, tell, read_only=True)
    if remarks is not None:
        remarks += run.remarks
    return seen


def act(project: Project, see: See[T], tell: Tell = silent) -> list[T]:
    """The same on sessions that may write, each statement a transaction of its own; no version table is made.

    Raises:
        RescueError: as :func:`look`.
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
    """The ``**kw`` of the ``run_migrations(**kw)`` of env.py's, from within what sees its visit.

    Read from that call's frame: Alembic hands them to a step's ``migration_fn`` only, after which it would write the
    version table.  Empty outside of such a call.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is MigrationContext.run_migrations.__code__:
            return dict(frame.f_locals["kw"])
        frame = frame.f_back
    return {}


@dataclass
class Visit:
    """One visit of env.py to a database that is to be written: what is asked before, and what became of it."""

    version_table: str
    before_write: BeforeWrite
    checked: list[Connection] = field(default_factory=list)
    """The connections on which `before_write` said yes to a change of rows."""
    sent: int = 0
    """Statements that change the rows of the version table."""
    answered: int = 0
    """By the server, with a number of rows or with an error."""
    rows: int = 0
    """Rows changed, as the server counted them."""


Choose = Callable[[MigrationContext], "Visit | None"]
"""Given the context that env.py configured, at each of its ``run_migrations()``; None passes the visit over."""


def stamp(
    project: Project, revisions: tuple[str, ...], choose: Choose, tell: Tell = silent, *, purge: bool = False
) -> None:
    """Call ``alembic.command.stamp`` for the visits that `choose` says, each statement a transaction of its own.

    What became of each is kept in its :class:`Visit`.  After one that failed, all later ones are passed over.

    Raises:
        RescueError: as :func:`look`, and what `choose` and `before_write` raise, in which case nothing was written
            there.
    """
    run = Run(project, tell, read_only=False)
    writes = _Writes(choose, run)

    def call() -> None:
        with writes.passing_over(), listening(*writes.listeners):
            command.stamp(project.config, list(revisions), purge=purge)

    run(call, done=lambda: writes.done and not run.hold.failures)


class _Writes:
    """Lets through the visits that are chosen, and sees their statements: `before_write` first, then the tally."""

    def __init__(self, choose: Choose, run: Run) -> None:
        self._choose, self.run = choose, run
        self._visits: list[Visit] = []
        self.visit: Visit | None = None
        """The one under way."""
        self._statement = re.compile("")
        self.failed = False
        self.listeners = (
            (Engine, "before_cursor_execute", self._before),
            (Engine, "after_cursor_execute", self._after),
            (Engine, "handle_error", self._refused),
        )

    @property
    def done(self) -> bool:
        """Whether there were visits, and each came as far as writing."""
        return bool(self._visits) and all(visit.checked for visit in self._visits)

    @contextmanager
    def passing_over(self) -> Iterator[None]:
        """Put `choose` before each ``MigrationContext.run_migrations()``.

        ``command.stamp`` has no way to leave out one of the databases that env.py visits; this method, public and
        unchanged from Alembic 1.9 to 1.20, is what every env.py calls.
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
        """What `choose` says of a visit that begins; all are passed over once one has failed."""
        if self.failed:  # env.py may swallow it and go on to the next database
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
            self.run.hold.failures.clear()  # what env.py got over before the write
            self.run.hold.writes_to = visit.version_table
            if changes_rows:
                visit.checked.append(connection)
        visit.sent += changes_rows

    def _after(self, _: Connection, cursor: Any, statement: str, *__: object) -> None:
        if self.visit and self._changes_rows(statement):
            self.visit.answered += 1
            self.visit.rows += abs(cursor.rowcount)  # -1 where the driver does not know

    def _refused(self, failed: Any) -> None:
        ours = isinstance(failed.original_exception, errors.RescueError)  # raised by _before
        by_the_server = not failed.is_disconnect and not ours and isinstance(failed.original_exception, Exception)
        if self.visit:
            self.visit.answered += by_the_server and self._changes_rows(failed.statement)


def _changing(table: str) -> re.Pattern[str]:
    """Matches the statements that change the rows of the version table, or make it."""
    return re.compile(
        rf"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|(?P<makes>CREATE\s+TABLE))\s+\S*\b{re.escape(table)}\b",
        re.IGNORECASE,
    )
