"""The only way to a write: lock, look again, receipt, ``alembic stamp``, and what a new connection reads decides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from alembic_rescue import databases, environment, errors, receipts, sessions
from alembic_rescue.environment import Tell
from alembic_rescue.errors import RescueError
from alembic_rescue.model import Database, DatabaseReport, Identity, Outcome, Receipt, ReceiptState, Report, Stamp
from alembic_rescue.project import Project
from alembic_rescue.sessions import Timeouts

_HURRIED = Timeouts(lock=0.5, statement=1, connect=1)


def carry_out(
    project: Project,
    planned: Report,
    folder: Path,
    *,
    reason: str,
    target: str,
    undoes: str | None,
    tell: Tell,
) -> Receipt:
    """Lock, look again, put the receipt on disk, write, read back.  The only way to a write."""
    (part,) = planned.databases
    lock = sessions.RescueLock()
    receipt: Receipt | None = None
    try:
        tables = environment.look(project, lambda context, _: _look_again(project, part, context, lock), tell)
        receipt = receipts.begin(
            folder,
            planned.command,
            part.database.identity,
            target,
            project.secrets.hide(reason),
            part.database.current_heads,
            part.heads_after,
            part.revisions,
            tables[0],
            undoes,
        )
        return _write(project, planned, receipt, tables[0], tell)
    except errors.DatabaseError as error:
        if receipt is None:
            error.message = _nothing_was_written(error.message)
        raise
    except KeyboardInterrupt as interrupt:
        done = f"the write had begun, receipt {receipt.path} leads back" if receipt else "nothing was written"
        raise errors.Interrupted(done) from interrupt
    finally:
        lock.release()


def _look_again(project: Project, part: DatabaseReport, context: MigrationContext, lock: sessions.RescueLock) -> str:
    """Refuse if anything moved since the plan.  Takes the lock first, so that no other rescue can move it after."""
    planned = part.database.identity
    assert context.connection is not None, "online mode has a connection"
    lock.take(context.connection.engine, project.timeouts, planned.name)
    now = databases.look_at(context, context.get_current_heads(), project.secrets.hide)
    if now.identity.key != planned.key:
        raise errors.DatabaseChanged(_told(planned), _told(now.identity))
    if now.current_heads != part.database.current_heads:
        raise errors.DatabaseMoved(part.database.current_heads, now.current_heads)
    return sessions.qualified(context.dialect, planned.version_table, planned.schema)


def _nothing_was_written(message: str) -> str:
    return message if "nothing was written" in message else f"{message}; nothing was written"


def _told(identity: Identity) -> str:
    return f"{identity.name} (server id {identity.server_id}, {identity.table}, role {identity.role})"


def _write(project: Project, planned: Report, receipt: Receipt, table: str, tell: Tell) -> Receipt:
    """Make the stamps, then let the rows that a new connection reads decide what came of it."""
    (part,) = planned.databases
    passed: list[Stamp] = []
    failure: BaseException | None = None
    try:
        for stamp_ in part.stamps:

            def last_check(connection: Connection, makes_table: bool, stamp_: Stamp = stamp_) -> None:  # noqa: FBT001
                rows = None if makes_table else stamp_.rows_before
                databases.check_unmoved(connection, part.database.identity, rows)
                if not makes_table:
                    passed.append(stamp_)

            environment.stamp(
                project, stamp_.revisions, part.database.identity.version_table, last_check, tell, purge=stamp_.purge
            )
    except (RescueError, KeyboardInterrupt) as error:
        failure = error
    found, unread = _read_back(project, part.database.identity, tell, hurry=isinstance(failure, KeyboardInterrupt))
    if found is not None and found.current_heads == receipt.rows_after and passed:
        return _completed(receipt, ReceiptState.VERIFIED, found.current_heads)
    receipt = _completed(receipt, ReceiptState.FAILED, found.current_heads if found else None, table)
    raise _what_failed(planned, receipt, failure, found, unread, written=bool(passed)) from failure


def _what_failed(
    planned: Report,
    receipt: Receipt,
    failure: BaseException | None,
    found: Database | None,
    unread: RescueError | None,
    *,
    written: bool,
) -> RescueError:
    """Nothing written: the failure itself.  Something written, or unknown: not verified."""
    (part,) = planned.databases
    if isinstance(failure, errors.WriteWithoutEffect):
        failure = errors.WriteWithoutEffect(part.database.identity.table, failure.reason)
    if isinstance(failure, errors.WriteWithoutEffect) and found and found.current_heads != receipt.rows_before:
        failure = errors.DatabaseMoved(receipt.rows_before, found.current_heads)  # between the last check and the write
        written = len(part.stamps) > 1
    untouched = not written or (found is not None and found.current_heads == receipt.rows_before)
    if isinstance(failure, KeyboardInterrupt) and untouched:
        failure = errors.Interrupted("nothing was written")
    if isinstance(failure, RescueError) and untouched:
        failure.message = _nothing_was_written(failure.message)
        if found is not None:
            failure.report = replace(
                planned, outcome=Outcome.ERROR, databases=(replace(part, database=found),), receipt=receipt.path
            )
        return failure
    why = "interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure or unread or "read back")
    if found is not None and not set(found.current_heads) - set(receipt.rows_before) - set(receipt.rows_after):
        why += "; a mixture of the rows before and after: it broke off between two statements"
    rows_found = found.current_heads if found is not None else None
    error = errors.NotVerified(receipt.rows_after, rows_found, why, receipt.sql)
    error.report = replace(planned, outcome=Outcome.ERROR, receipt=receipt.path)
    return error


def _read_back(
    project: Project, identity: Identity, tell: Tell, *, hurry: bool
) -> tuple[Database | None, RescueError | None]:
    """What a new connection to the same database sees.  Never raises: that it could not be read is a result too.

    After a Ctrl-C, or on one that comes now, it looks in a `hurry`: somebody waits for the terminal.
    """
    try:
        found = databases.look(replace(project, timeouts=_HURRIED) if hurry else project, tell)[0]
    except RescueError as error:
        return None, error
    except KeyboardInterrupt:
        if hurry:
            return None, errors.Interrupted("before it was read back")
        return _read_back(project, identity, tell, hurry=True)
    if found.identity.rows_key != identity.rows_key:
        return None, errors.DatabaseChanged(_told(identity), _told(found.identity))
    return found, None


def _completed(receipt: Receipt, state: ReceiptState, found: Sequence[str] | None, table: str = "") -> Receipt:
    """The receipt with its outcome; where the disk refuses that now, the one as begun still leads back."""
    if found is not None and state is ReceiptState.FAILED:
        receipt = replace(receipt, sql=receipts.restoring_sql(table, receipt.rows_before, found))
    with suppress(OSError):
        return receipts.complete(receipt, state, found)
    return receipt
