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
    """Make the stamps, then let the server's answers, and the rows that a new connection reads, decide."""
    (part,) = planned.databases
    tally = environment.Tally()
    failure: BaseException | None = None
    try:
        for stamp_ in part.stamps:

            def last_check(connection: Connection, makes_table: bool, stamp_: Stamp = stamp_) -> None:  # noqa: FBT001
                rows = None if makes_table else stamp_.rows_before
                databases.check_unmoved(connection, part.database.identity, rows)

            version_table = part.database.identity.version_table
            environment.stamp(project, stamp_.revisions, version_table, last_check, tally, tell, purge=stamp_.purge)
    except (RescueError, KeyboardInterrupt) as error:
        failure = error
    found, unread = _read_back(project, part.database.identity, tell, hurry=isinstance(failure, KeyboardInterrupt))
    rows_found = found.current_heads if found else None
    if failure is not None and (tally.nothing_written or rows_found == receipt.rows_before):
        receipt = _completed(receipt, ReceiptState.NOT_WRITTEN, rows_found)
        raise _not_written(planned, receipt, failure, found) from failure
    if rows_found == receipt.rows_after:
        return _completed(receipt, ReceiptState.VERIFIED, rows_found)
    if rows_found is not None:
        back = receipts.way_back(receipt.rows_before, receipt.rows_after, rows_found)
        receipt = replace(receipt, sql=receipts.restoring_sql(table, back, rows_found))
    receipt = _completed(receipt, ReceiptState.FAILED, rows_found)
    raise _not_verified(planned, receipt, failure or unread) from failure


def _not_written(planned: Report, receipt: Receipt, failure: BaseException, found: Database | None) -> RescueError:
    """The failure itself, or that somebody else was quicker, between the last check and the write."""
    (part,) = planned.databases
    if isinstance(failure, errors.WriteWithoutEffect):
        failure = errors.WriteWithoutEffect(part.database.identity.table, failure.reason)
    told = failure if isinstance(failure, RescueError) else errors.Interrupted("nothing was written")
    if found is not None and found.current_heads != receipt.rows_before and isinstance(told, errors.DatabaseError):
        told = errors.DatabaseMoved(receipt.rows_before, found.current_heads)
    told.message = _nothing_was_written(told.message)
    if found is not None:
        told.report = replace(
            planned, outcome=Outcome.ERROR, databases=(replace(part, database=found),), receipt=receipt.path
        )
    return told


def _not_verified(planned: Report, receipt: Receipt, failure: BaseException | None) -> RescueError:
    """Something was written, or may have been, and the rows read back are others, or could not be read."""
    found = receipt.rows_found
    why = "interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure or "read back")
    if found is not None and set(found) <= {*receipt.rows_before, *receipt.rows_after}:
        why += "; a mixture of the rows before and after: it broke off between two statements"
    elif found is not None and set(receipt.rows_after) < set(found):
        why += "; another session wrote beside it"
    error = errors.NotVerified(receipt.rows_after, found, why, receipt.sql)
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


def _completed(receipt: Receipt, state: ReceiptState, found: Sequence[str] | None) -> Receipt:
    """The receipt with its outcome; where the disk refuses that now, the one as begun still leads back."""
    receipt = replace(receipt, rows_found=None if found is None else tuple(found))
    with suppress(OSError):
        return receipts.complete(receipt, state, found)
    return receipt
