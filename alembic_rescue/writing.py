"""The only way to a write: lock, look again, receipt, ``alembic stamp``, and what a new connection reads decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from alembic_rescue import databases, environment, errors, receipts, selection
from alembic_rescue.connecting import sessions
from alembic_rescue.connecting.sessions import Timeouts
from alembic_rescue.environment import Tell, Visit
from alembic_rescue.errors import RescueError
from alembic_rescue.model import (
    Database,
    DatabaseReport,
    Identity,
    Outcome,
    Receipt,
    ReceiptPart,
    ReceiptState,
    Report,
    Stamp,
)
from alembic_rescue.project import Project

Key = tuple[str, str]
"""An :attr:`Identity.rows_key`: which rows of which database."""

_NOTHING = "; nothing was written"
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
    """Lock, look again, put the receipt on disk, write, read back.  The only way to a write.

    Every database of the plan is locked and looked at before the first is written.  Those without stamps are not.

    Raises:
        DatabaseMoved, DatabaseChanged, RescueUnderWay, ReceiptNotWritten, DatabaseError: nothing was written.
        NotVerified, HalfWritten: something was; the receipt tells what.
    """
    again = _Again(project, planned, tell)
    receipt: Receipt | None = None
    try:
        again.look()
        parts = [
            receipts.part(
                part.database.identity,
                part.database.current_heads,
                part.heads_after,
                part.revisions,
                again.tables[part.database.identity.rows_key],
            )
            for part in planned.databases
            if part.stamps
        ]
        receipt = receipts.begin(folder, planned.command, target, project.secrets.hide(reason), parts, undoes)
        return _write(project, planned, receipt, again.tables, tell)
    except errors.DatabaseError as error:
        if receipt is None:
            error.message = _nothing_was_written(error.message)
        raise
    except KeyboardInterrupt as interrupt:
        done = f"the write had begun, receipt {receipt.path} leads back" if receipt else "nothing was written"
        raise errors.Interrupted(done) from interrupt
    finally:
        again.release()


@dataclass
class _Again:
    """The look before the write: takes the locks first, so that no other rescue can move anything after it."""

    project: Project
    planned: Report
    tell: Tell
    tables: dict[Key, str] = field(default_factory=dict)
    """The version tables of all that env.py visits, quoted."""
    locks: dict[str, sessions.RescueLock] = field(default_factory=dict)
    """By server id, which tells databases apart: one lock for all schemas of one."""

    def look(self) -> None:
        """Refuse if anything moved since the plan."""
        found = {one.identity.rows_key: one for one in environment.look(self.project, self._see, self.tell)}
        planned = {part.database.identity.rows_key: part.database for part in self.planned.databases}
        known = planned.keys() | {identity.rows_key for identity in self.planned.left_out}
        new = next((_told(one.identity) for key, one in found.items() if key not in known), None)
        for key, before in planned.items():
            now = found.get(key)
            if now is None or now.identity.key != before.identity.key:
                raise errors.DatabaseChanged(_told(before.identity), _told(now.identity) if now else new or "others")
            if now.current_heads != before.current_heads:
                raise _of(before, errors.DatabaseMoved(before.current_heads, now.current_heads), self.planned)
        if new is not None:
            raise errors.DatabaseChanged(errors.listed(_told(one.identity) for one in planned.values()), f"{new}, too")

    def _see(self, context: MigrationContext, rows: tuple[str, ...]) -> Database:
        assert context.connection is not None, "online mode has a connection"
        key = databases.rows_key(context.connection, context.version_table, context.version_table_schema)
        for part in self.planned.databases:
            planned = part.database.identity
            if planned.rows_key == key:
                lock = self.locks.setdefault(planned.server_id, sessions.RescueLock())
                lock.take(context.connection.engine, self.project.timeouts, planned.name)
                rows = context.get_current_heads()
        database = databases.look_at(context, rows, self.project.secrets.hide)
        identity = database.identity
        self.tables[key] = sessions.qualified(context.dialect, identity.version_table, identity.schema)
        return database

    def release(self) -> None:
        for lock in self.locks.values():
            lock.release()


def _nothing_was_written(message: str) -> str:
    return message if "nothing was written" in message else message + _NOTHING


def _told(identity: Identity) -> str:
    return f"{identity.name} (server id {identity.server_id}, {identity.table}, role {identity.role})"


def _of(database: Database, error: RescueError, planned: Report) -> RescueError:
    """The error, told of which database it is where there are several."""
    return selection.naming(database, error) if len(planned.databases) > 1 else error


# --- writing -----------------------------------------------------------------------------------------------------


def _write(project: Project, planned: Report, receipt: Receipt, tables: Mapping[Key, str], tell: Tell) -> Receipt:
    """Make the stamps, then let the server's answers, and the rows that a new connection reads, decide."""
    visits: dict[Key, list[Visit]] = {key: [] for key in tables}
    failure: RescueError | KeyboardInterrupt | None = None
    try:
        for revisions, purge, turns in _rounds(planned.databases):
            choose = _choosing(dict(turns), visits)
            environment.stamp(project, revisions, choose, tell, purge=purge)
            for key in turns:
                if not any(visit.checked for visit in visits[key]):
                    raise errors.DatabaseChanged(f"{key[1]} (server id {key[0]})", "others only")
    except (RescueError, KeyboardInterrupt) as error:
        failure = error
    found, unread = _read_back(project, tell, hurry=isinstance(failure, KeyboardInterrupt))
    for part in receipt.parts:
        if found and part.database.rows_key not in found:
            elsewhere = next((one for key, one in found.items() if key not in tables), None)
            now = _told(elsewhere.identity) if elsewhere else "others only"
            unread = errors.DatabaseChanged(_told(part.database), now)
    parts = [_outcome(part, visits, failure, found, tables) for part in receipt.parts]
    receipt = receipts.complete(receipt, parts)
    if receipt.state is ReceiptState.VERIFIED:
        return receipt
    if all(part.state is ReceiptState.NOT_WRITTEN for part in parts):
        raise _not_written(planned, receipt, failure, found) from failure
    if len(parts) == 1:
        raise _not_verified(planned, receipt, failure or unread) from failure
    answered = {key for key, made in visits.items() if all(visit.answered == visit.sent for visit in made)}
    raise _half_written(planned, receipt, failure or unread, answered) from failure


Turn = tuple[DatabaseReport, Stamp]


def _rounds(parts: Sequence[DatabaseReport]) -> list[tuple[tuple[str, ...], bool, dict[Key, Turn]]]:
    """The calls of ``alembic stamp``: one for all databases whose next stamp is to the same revisions."""
    rounds: list[tuple[tuple[str, ...], bool, dict[Key, Turn]]] = []
    for number in range(max(len(part.stamps) for part in parts)):
        groups: dict[tuple[tuple[str, ...], bool], dict[Key, Turn]] = {}
        for part in parts:
            for stamp in part.stamps[number : number + 1]:
                group = groups.setdefault((stamp.revisions, stamp.purge), {})
                group[part.database.identity.rows_key] = (part, stamp)
        rounds += [(revisions, purge, turns) for (revisions, purge), turns in groups.items()]
    return rounds


def _choosing(turns: dict[Key, Turn], visits: dict[Key, list[Visit]]) -> Callable[[MigrationContext], Visit | None]:
    """Chooses the databases whose turn it is, each once, and refuses those that no look has seen."""

    def choose(context: MigrationContext) -> Visit | None:
        assert context.connection is not None, "online mode has a connection"
        key = databases.rows_key(context.connection, context.version_table, context.version_table_schema)
        if key not in visits:
            planned = [part.database.identity for part, _ in turns.values()]
            before = _told(planned[0]) if planned else "other databases"
            raise errors.DatabaseChanged(before, f"{key[1]} (server id {key[0]})")
        turn = turns.pop(key, None)
        if turn is None:
            return None
        part, stamp = turn

        def last_check(connection: Connection, makes_table: bool) -> None:  # noqa: FBT001
            rows = None if makes_table else stamp.rows_before
            databases.check_unmoved(connection, part.database.identity, rows)

        visit = Visit(context.version_table, last_check)
        visits[key].append(visit)
        return visit

    return choose


# --- what came of it ---------------------------------------------------------------------------------------------


def _outcome(
    part: ReceiptPart,
    visits: Mapping[Key, Sequence[Visit]],
    failure: BaseException | None,
    found: Mapping[Key, Database],
    tables: Mapping[Key, str],
) -> ReceiptPart:
    """What became of one database."""
    key = part.database.rows_key
    rows_found = found[key].current_heads if key in found else None
    nothing_written = all(visit.nothing_written for visit in visits[key])
    if failure is not None and (nothing_written or rows_found == part.rows_before):
        return replace(part, state=ReceiptState.NOT_WRITTEN, rows_found=rows_found)
    if rows_found == part.rows_after:
        return replace(part, state=ReceiptState.VERIFIED, rows_found=rows_found)
    if rows_found is not None:
        back = receipts.way_back(part.rows_before, part.rows_after, rows_found)
        part = replace(part, sql=receipts.restoring_sql(tables[key], back, rows_found))
    return replace(part, state=ReceiptState.FAILED, rows_found=rows_found)


def _not_written(
    planned: Report, receipt: Receipt, failure: BaseException | None, found: Mapping[Key, Database]
) -> RescueError:
    """The failure itself, or that somebody else was quicker, between the last check and the write."""
    if isinstance(failure, errors.WriteWithoutEffect):
        failure = errors.WriteWithoutEffect(receipt.parts[0].database.table, failure.reason)
    told = failure if isinstance(failure, RescueError) else errors.Interrupted("nothing was written")
    for part in receipt.parts:
        now = found.get(part.database.rows_key)
        moved = now is not None and now.current_heads != part.rows_before
        if now and moved and isinstance(told, (errors.DatabaseError, errors.EnvNeverMigrates)):  # none left to make
            told = _of(now, errors.DatabaseMoved(part.rows_before, now.current_heads), planned)
    told.message = _nothing_was_written(told.message)
    if found:
        told.report = _as_found(planned, receipt, found)
    return told


def _as_found(planned: Report, receipt: Receipt, found: Mapping[Key, Database]) -> Report:
    parts = (replace(p, database=found.get(p.database.identity.rows_key, p.database)) for p in planned.databases)
    return replace(planned, outcome=Outcome.ERROR, databases=tuple(parts), receipt=receipt.path)


def _not_verified(planned: Report, receipt: Receipt, failure: BaseException | None) -> RescueError:
    """Something was written, or may have been, and the rows read back are others, or could not be read."""
    (part,) = receipt.parts
    error = errors.NotVerified(part.rows_after, part.rows_found, _why(part, failure), part.sql)
    error.report = replace(planned, outcome=Outcome.ERROR, receipt=receipt.path)
    return error


def _half_written(planned: Report, receipt: Receipt, failure: BaseException | None, answered: set[Key]) -> RescueError:
    """Of several databases, some were written as they should, and others were not.

    Args:
        answered: those whose server has answered every statement that was sent to it.
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
    way_back = f"undo {receipt.id}" if receipt.command == "stamp" else "stamp REVISION, with its checks"
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


def _became(part: ReceiptPart, answered: set[Key]) -> str:
    if part.state is ReceiptState.VERIFIED:
        return "written and verified"
    if part.state is ReceiptState.NOT_WRITTEN:
        return "not written"
    if part.rows_found is not None:
        return "written, but not as planned"
    return "written, not read back" if part.database.rows_key in answered else "not known"


def _why(part: ReceiptPart, failure: BaseException | None) -> str:
    found = part.rows_found
    why = (
        "interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure or "read back").removesuffix(_NOTHING)
    )
    if found is None or part.state is not ReceiptState.FAILED:
        return why
    if set(found) <= {*part.rows_before, *part.rows_after}:
        return f"{why}; a mixture of the rows before and after: it broke off between two statements"
    if set(part.rows_after) < set(found):
        return f"{why}; another session wrote beside it"
    return why


def _read_back(project: Project, tell: Tell, *, hurry: bool) -> tuple[dict[Key, Database], RescueError | None]:
    """What new connections see.  Never raises: that it could not be read is a result too.

    After a Ctrl-C, or on one that comes now, it looks in a `hurry`: somebody waits for the terminal.
    """
    try:
        visited = databases.look(replace(project, timeouts=_HURRIED) if hurry else project, tell)
    except RescueError as error:
        return {}, error
    except KeyboardInterrupt:
        if hurry:
            return {}, errors.Interrupted("before it was read back")
        return _read_back(project, tell, hurry=True)
    return {database.identity.rows_key: database for database in visited}, None
