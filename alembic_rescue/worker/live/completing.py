"""Create what a revision lacks, in the live worker: lock, look again, have the receipt saved, run the statements.

They run on env.py's own connection, so that its role and search path apply, and with the session's timeouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from alembic_rescue import errors
from alembic_rescue.connection import drivers
from alembic_rescue.connection.failures import one_line
from alembic_rescue.dialects import of as dialect_of
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.environment import databases, visits
from alembic_rescue.environment.printed import Tell
from alembic_rescue.evidence.completion import Completion
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.live.writing import Again
from alembic_rescue.worker.requests import Progress, ToWrite

Key = tuple[str, str]


def complete(
    project: Project,
    planned: ToWrite,
    left_out: frozenset[Key],
    completion: Completion,
    *,
    begin: Callable[[Mapping[Key, str]], object],
    progress: Callable[[Progress], None],
    tell: Tell,
) -> None:
    """Run the statements of `completion`.

    Raises:
        DatabaseMoved, DatabaseChanged, RescueUnderWay: nothing was run.
        CompletionFailed, DatabaseError: a statement failed; those in the transaction are rolled back.
    """
    again = Again(project, (planned,), left_out, tell)
    ran: list[str] = []

    def see(context: MigrationContext, rows: tuple[str, ...]) -> None:
        connection = context.connection
        assert connection is not None, "online mode has a connection"
        key = databases.rows_key(connection, context.version_table, context.version_table_schema)
        if key == planned.identity.rows_key and not ran:
            if (now := databases.in_order(rows)) != planned.rows_before:
                raise errors.DatabaseMoved(planned.rows_before, now)
            _Running(connection, completion, ran, progress, project.secrets.hide).all()

    try:
        again.look()
        begin(again.tables)
        visits.act(project, see, tell)
    finally:
        again.release()
    if not ran:
        raise errors.DatabaseChanged(planned.identity.exactly, "others only")


class _Running:
    """Runs the statements of a completion, one part after another."""

    def __init__(
        self,
        connection: Connection,
        completion: Completion,
        ran: list[str],
        progress: Callable[[Progress], None],
        hide: Callable[[str], str],
    ) -> None:
        self._cursor = Cursor(connection.connection, connection.dialect)
        self._commits_each = dialect_of(connection.dialect.name).commits_each_statement
        self._completion, self._ran, self._progress, self._hide = completion, ran, progress, hide
        self._kept: list[str] = []

    def all(self) -> None:
        """Run all of them."""
        self._each(self._completion.first)
        if self._commits_each:
            self._each(self._completion.together)
        elif self._completion.together:
            self._in_one_transaction(self._completion.together)
        self._each(self._completion.last)

    def _each(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._run(statement)
            self._kept.append(statement)

    def _in_one_transaction(self, statements: Sequence[str]) -> None:
        self._cursor.run("BEGIN")
        try:
            for statement in statements:
                self._run(statement)
            self._cursor.run("COMMIT")
        except BaseException:
            with suppress(self._cursor.error):  # the connection may be lost, which the current error reports
                self._cursor.run("ROLLBACK")
            raise
        self._kept += statements

    def _run(self, statement: str) -> None:
        self._ran.append(statement)
        done, of = len(self._ran), len(self._completion.statements)
        self._progress(Progress("Running the statements", done, of, self._completion.revision))
        try:
            self._cursor.run(statement)
        except self._cursor.error as error:
            if drivers.error_class(error) is not None:  # a lock, timeout or lost connection has its own error
                raise
            told, reason = self._hide(statement), one_line(error, self._hide)
            raise errors.CompletionFailed(self._completion.revision, told, reason, self._kept) from error
