"""Lock, look again, put the receipt on disk, write, read back: the only code path that leads to a write.

The live worker does the write itself; the receipt, and the judgement of the outcome, are made here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from alembic_rescue import errors, selection
from alembic_rescue.client import Project
from alembic_rescue.errors import RescueError
from alembic_rescue.model import (
    Database,
    Outcome,
    Receipt,
    ReceiptPart,
    ReceiptState,
    Report,
)
from alembic_rescue.records import receipts
from alembic_rescue.worker.requests import Tally, ToWrite, Written

Key = tuple[str, str]
"""An :attr:`Identity.rows_key`: which rows of which database."""

_NOTHING = "; nothing was written"
_UNKNOWN = Tally(checked=True, sent=1)
"""For a write whose worker has died: it may have reached the database."""


def carry_out(
    project: Project, planned: Report, folder: Path, *, reason: str, target: str, undoes: str | None
) -> Receipt:
    """Make the stamps of a plan.

    Every database of the plan is locked and checked before the first write.  Those without stamps are not written.

    Raises:
        DatabaseMoved, DatabaseChanged, RescueUnderWay, ReceiptNotWritten, DatabaseError: nothing was written.
        NotVerified, HalfWritten: something was written; the receipt says what.
    """
    begun: list[tuple[Receipt, Mapping[Key, str]]] = []

    def begin(tables: Mapping[Key, str]) -> None:
        parts = [
            receipts.part(part, tables[part.database.identity.rows_key]) for part in planned.databases if part.stamps
        ]
        reason_told = project.secrets.hide(reason)
        alembic = project.loaded.versions["alembic"]
        made = receipts.begin(folder, planned.command, target, reason_told, parts, undoes, alembic=alembic)
        begun.append((made, tables))

    to_write = [ToWrite(p.database.identity, p.database.current_heads, p.stamps) for p in planned.databases]
    try:
        written = project.write(to_write, [identity.rows_key for identity in planned.left_out], begin)
    except errors.DatabaseError as error:
        error.message = _nothing_was_written(error.message)
        raise
    except KeyboardInterrupt as interrupt:
        done = f"the write had started; receipt {begun[0][0].path} can undo it" if begun else "nothing was written"
        raise errors.Interrupted(done) from interrupt
    ((receipt, tables),) = begun
    return _judged(planned, receipt, tables, written)


def _judged(planned: Report, receipt: Receipt, tables: Mapping[Key, str], written: Written) -> Receipt:
    """Decide by the server's answers and by the rows that a new connection read."""
    found = {database.identity.rows_key: database for database in written.found}
    failure: RescueError | None = written.failure
    if written.interrupted:
        failure = errors.Interrupted("nothing was written")
    unread = written.unread
    for part in receipt.parts:
        if found and part.database.rows_key not in found:
            elsewhere = next((one for key, one in found.items() if key not in tables), None)
            now = elsewhere.identity.exactly if elsewhere else "others only"
            unread = errors.DatabaseChanged(part.database.exactly, now)
    tallies = {key: written.tallies.get(key, _UNKNOWN) for key in tables}
    may_change = isinstance(unread, errors.StillWriting)
    parts = [_outcome(part, tallies, failure, found, tables, final=not may_change) for part in receipt.parts]
    receipt = receipts.complete(receipt, parts)
    if receipt.state is ReceiptState.VERIFIED:
        return receipt
    if all(part.state is ReceiptState.NOT_WRITTEN for part in parts):
        raise _not_written(planned, receipt, failure, found) from failure
    told = _Interrupted() if written.interrupted else unread if may_change else failure or unread
    if len(parts) == 1:
        raise _not_verified(planned, receipt, told, tallies) from failure
    answered = {key for key, tally in tallies.items() if tally.answered == tally.sent}
    raise _half_written(planned, receipt, told, answered) from failure


class _Interrupted(KeyboardInterrupt):
    """Used in place of an error when Ctrl-C was pressed."""


def _nothing_was_written(message: str) -> str:
    return message if "nothing was written" in message else message + _NOTHING


def _of(database: Database, error: RescueError, planned: Report) -> RescueError:
    """The error, with the database's name if there are several."""
    return selection.naming(database, error) if len(planned.databases) > 1 else error


# --- the outcome --------------------------------------------------------------------------------------------------


def _outcome(
    part: ReceiptPart,
    tallies: Mapping[Key, Tally],
    failure: BaseException | None,
    found: Mapping[Key, Database],
    tables: Mapping[Key, str],
    *,
    final: bool,
) -> ReceiptPart:
    """The outcome for one database.  Unless its rows are `final`, old rows may still change."""
    key = part.database.rows_key
    rows_found = found[key].current_heads if key in found else None
    nothing_written = tallies[key].nothing_written
    if failure is not None and (nothing_written or (final and rows_found == part.rows_before)):
        return replace(part, state=ReceiptState.NOT_WRITTEN, rows_found=rows_found)
    if rows_found == part.rows_after:
        return replace(part, state=ReceiptState.VERIFIED, rows_found=rows_found)
    if rows_found is not None and _went_on(part, rows_found):
        part = replace(part, sql=())  # going back from there would undo another session's work
    elif rows_found is not None:
        back = receipts.way_back(part.rows_before, part.rows_after, rows_found)
        part = replace(part, sql=receipts.restoring_sql(tables[key], back, rows_found))
    return replace(part, state=ReceiptState.FAILED, rows_found=rows_found)


def _went_on(part: ReceiptPart, found: Collection[str]) -> bool:
    """Whether these rows cannot come from this write, whole or partial, or from another one beside it."""
    return not set(found) <= {*part.rows_before, *part.rows_after} and not set(part.rows_after) <= set(found)


def _not_written(
    planned: Report, receipt: Receipt, failure: BaseException | None, found: Mapping[Key, Database]
) -> RescueError:
    """The failure itself, or that another session wrote first, between the last check and the write."""
    if isinstance(failure, errors.WriteWithoutEffect):
        failure = errors.WriteWithoutEffect(receipt.parts[0].database.table, failure.reason)
    told = failure if isinstance(failure, RescueError) else errors.Interrupted("nothing was written")
    for part in planned.databases:
        now, then = found.get(part.database.identity.rows_key), part.database.current_heads
        moved = part.stamps and now is not None and now.current_heads != then
        if now and moved and isinstance(told, (errors.DatabaseError, errors.EnvNeverMigrates)):  # no stamps were left
            told = _of(now, errors.DatabaseMoved(then, now.current_heads), planned)
    told.message = _nothing_was_written(told.message)
    if found:
        told.report = _as_found(planned, receipt, found)
    return told


def _as_found(planned: Report, receipt: Receipt, found: Mapping[Key, Database]) -> Report:
    parts = (replace(p, database=found.get(p.database.identity.rows_key, p.database)) for p in planned.databases)
    return replace(planned, outcome=Outcome.ERROR, databases=tuple(parts), receipt=receipt.path)


def _not_verified(
    planned: Report, receipt: Receipt, failure: BaseException | None, tallies: Mapping[Key, Tally]
) -> RescueError:
    """Something was or may have been written, and the rows read back are wrong or could not be read."""
    (part,) = receipt.parts
    tally = tallies[part.database.rows_key]
    arrived = tally.answered == tally.sent or part.rows_found not in {None, part.rows_before}
    error = errors.NotVerified(part.rows_after, part.rows_found, _why(part, failure), part.sql, arrived)
    error.report = replace(planned, outcome=Outcome.ERROR, receipt=receipt.path)
    return error


def _half_written(
    planned: Report, receipt: Receipt, failure: BaseException | None, answered: Collection[Key]
) -> RescueError:
    """Of several databases, some were written correctly, and others were not.

    Args:
        answered: the databases whose server answered every statement sent to it.
    """
    told: dict[str, list[str]] = {
        "written and verified": [],
        "written, but not as planned": [],
        "written, not read back": [],
        "not written": [],
        "not known": [],
    }
    for part in receipt.parts:
        told[_became(part, answered)].append(part.database.sentence)
    failed = next((part for part in receipt.parts if part.state is ReceiptState.FAILED), receipt.parts[0])
    way_back = f"undo {receipt.id}" if receipt.command != "undo" else "stamp REVISION, with its checks"
    error = errors.HalfWritten(
        told,
        _why(failed, failure),
        f"alembic-rescue {way_back}",
    )
    if isinstance(failure, RescueError):
        error.blockers = failure.blockers
    found = {part.database.rows_key: part.rows_found for part in receipt.parts if part.rows_found is not None}
    parts = (
        replace(p, database=replace(p.database, current_heads=found.get(p.database.identity.rows_key, ())))
        if p.database.identity.rows_key in found
        else p
        for p in planned.databases
    )
    error.report = replace(planned, outcome=Outcome.ERROR, databases=tuple(parts), receipt=receipt.path)
    return error


def _became(part: ReceiptPart, answered: Collection[Key]) -> str:
    if part.state is ReceiptState.VERIFIED:
        return "written and verified"
    if part.state is ReceiptState.NOT_WRITTEN:
        return "not written"
    known = part.database.rows_key in answered
    if part.rows_found is not None and (known or part.rows_found != part.rows_before):
        return "written, but not as planned"
    return "written, not read back" if known else "not known"


def _why(part: ReceiptPart, failure: BaseException | None) -> str:
    found = part.rows_found
    why = (
        "interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure or "read back").removesuffix(_NOTHING)
    )
    if found in {None, part.rows_before} or part.state is not ReceiptState.FAILED:
        return why
    if set(found) <= {*part.rows_before, *part.rows_after}:
        return f"{why}; a mixture of the rows before and after, because it was interrupted between two statements"
    if set(part.rows_after) < set(found):
        return f"{why}; another session wrote at the same time"
    return f"{why}; another session continued from there" if _went_on(part, found) else why
