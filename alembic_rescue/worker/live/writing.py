"""Write in the live worker: lock, look again, have the receipt saved, stamp, read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from alembic_rescue import errors, selection
from alembic_rescue.connection import sessions
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.environment import databases, visits
from alembic_rescue.environment.printed import Tell
from alembic_rescue.environment.visits import Visit
from alembic_rescue.errors import RescueError
from alembic_rescue.model import Database, Stamp
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.requests import Backend, Tally, ToWrite, Written

Key = tuple[str, str]
"""An :attr:`Identity.rows_key`: identifies a version table and its database."""

_HURRIED = Timeouts(lock=0.5, statement=1, connect=1)
_ASK_AGAIN_SECONDS = 0.2
_LEAVING_SECONDS = 2
"""How long a server may take to notice that its client is gone."""


def write(
    project: Project,
    planned: tuple[ToWrite, ...],
    left_out: frozenset[Key],
    *,
    begin: Callable[[Mapping[Key, str]], object],
    about_to: Callable[[Backend], None],
    tell: Tell,
) -> Written:
    """Write the planned stamps.

    Every database is locked and looked at before `begin` is called and before the first one is written.

    Args:
        planned: the databases; those without stamps are looked at too.
        left_out: the other databases that env.py visits.
        begin: has the receipt saved; called with the quoted version tables.  May raise.
        about_to: called with the server process that is about to write.

    Raises:
        DatabaseMoved, DatabaseChanged, RescueUnderWay, DatabaseError: nothing was written.
    """
    again = Again(project, planned, left_out, tell)
    try:
        again.look()
        begin(again.tables)
        return _write(project, planned, again.tables, about_to, tell)
    finally:
        again.release()


@dataclass
class Again:
    """The look before the write: takes the locks first, so that no other rescue can change anything after it."""

    project: Project
    planned: tuple[ToWrite, ...]
    left_out: frozenset[Key]
    tell: Tell
    tables: dict[Key, str] = field(default_factory=dict)
    """The quoted version tables of all databases that env.py visits."""
    locks: dict[str, sessions.RescueLock] = field(default_factory=dict)
    """By database: one lock covers all its schemas."""

    def look(self) -> None:
        """Raise if anything changed since the plan."""
        found = {one.identity.rows_key: one for one in visits.look(self.project, self._see, self.tell)}
        planned = {part.identity.rows_key: part for part in self.planned}
        new = next(
            (one.identity.exactly for key, one in found.items() if key not in planned.keys() | self.left_out), ""
        )
        for key, before in planned.items():
            now = found.get(key)
            if now is None or now.identity.key != before.identity.key:
                raise errors.DatabaseChanged(before.identity.exactly, now.identity.exactly if now else new or "others")
            if now.current_heads != before.rows_before:
                moved = errors.DatabaseMoved(before.rows_before, now.current_heads)
                raise selection.naming(now, moved) if len(self.planned) > 1 else moved
        if new:
            raise errors.DatabaseChanged(errors.listed(one.identity.exactly for one in planned.values()), f"{new}, too")

    def _see(self, context: MigrationContext, rows: tuple[str, ...]) -> Database:
        assert context.connection is not None, "online mode has a connection"
        key = databases.rows_key(context.connection, context.version_table, context.version_table_schema)
        for part in self.planned:
            if part.identity.rows_key == key:
                lock = self.locks.setdefault(key[0], sessions.RescueLock())
                lock.take(context.connection.engine, self.project.timeouts, part.identity.name)
                rows = context.get_current_heads()
        database = databases.look_at(context, rows, self.project.secrets.hide)
        identity = database.identity
        self.tables[key] = sessions.qualified(context.dialect, identity.version_table, identity.schema)
        return database

    def release(self) -> None:
        """Release the locks."""
        for lock in self.locks.values():
            lock.release()


def _write(
    project: Project,
    planned: tuple[ToWrite, ...],
    tables: Mapping[Key, str],
    about_to: Callable[[Backend], None],
    tell: Tell,
) -> Written:
    """Stamp, then look with new connections."""
    made: dict[Key, list[Visit]] = {key: [] for key in tables}
    failure: RescueError | None = None
    interrupted = False
    backends: list[Backend] = []
    settled = 0.0

    def tell_backend(backend: Backend) -> None:
        nonlocal settled
        backends.append(backend)
        settled = time.monotonic() + project.timeouts.longest_statement
        about_to(backend)

    try:
        for revisions, purge, turns in _rounds(planned):
            choose = _choosing(dict(turns), made, tell_backend)
            visits.stamp(project, revisions, choose, tell, purge=purge)
            for key in turns:
                if not any(visit.checked for visit in made[key]):
                    raise errors.DatabaseChanged(f"{key[1]} in {key[0]}", "others only")
    except RescueError as error:
        failure = error
    except KeyboardInterrupt:
        interrupted = True
    tallies = {key: _tally(found) for key, found in made.items()}
    if failure is not None and any(tally.sent > tally.answered for tally in tallies.values()):
        try:
            until = max(settled, time.monotonic() + _LEAVING_SECONDS)
            seen = read_back_after(project, backends, tell, hurry=False, until=until)
        except KeyboardInterrupt:
            seen = Written({}, interrupted=True, unread=errors.Interrupted("before it was read back"))
        return replace(seen, tallies=tallies, failure=failure)
    found, unread = _read_back(project, tell, hurry=interrupted)
    return Written(tallies, failure, interrupted, found, unread)


def _tally(made: Sequence[Visit]) -> Tally:
    return Tally(
        any(visit.checked for visit in made),
        sum(visit.sent for visit in made),
        sum(visit.answered for visit in made),
        sum(visit.rows for visit in made),
    )


Turn = tuple[ToWrite, Stamp]


def _rounds(parts: Sequence[ToWrite]) -> list[tuple[tuple[str, ...], bool, dict[Key, Turn]]]:
    """Return the calls of ``alembic stamp``: one for all databases whose next stamp is to the same revisions."""
    rounds: list[tuple[tuple[str, ...], bool, dict[Key, Turn]]] = []
    for number in range(max(len(part.stamps) for part in parts)):
        groups: dict[tuple[tuple[str, ...], bool], dict[Key, Turn]] = {}
        for part in parts:
            for stamp in part.stamps[number : number + 1]:
                group = groups.setdefault((stamp.revisions, stamp.purge), {})
                group[part.identity.rows_key] = (part, stamp)
        rounds += [(revisions, purge, turns) for (revisions, purge), turns in groups.items()]
    return rounds


def _choosing(
    turns: dict[Key, Turn], visits: dict[Key, list[Visit]], about_to: Callable[[Backend], None]
) -> Callable[[MigrationContext], Visit | None]:
    """Return a function that chooses each database whose turn it is, once, and refuses those that no look has seen."""

    def choose(context: MigrationContext) -> Visit | None:
        assert context.connection is not None, "online mode has a connection"
        key = databases.rows_key(context.connection, context.version_table, context.version_table_schema)
        if key not in visits:
            planned = [part.identity for part, _ in turns.values()]
            before = planned[0].exactly if planned else "other databases"
            raise errors.DatabaseChanged(before, f"{key[1]} in {key[0]}")
        turn = turns.pop(key, None)
        if turn is None:
            return None
        part, stamp = turn

        def last_check(connection: Connection, makes_table: bool) -> None:  # noqa: FBT001
            rows = None if makes_table else stamp.rows_before
            databases.check_unmoved(connection, part.identity, rows)
            about_to(Backend(*sessions.backend(connection), key))

        visit = Visit(context.version_table, last_check)
        visits[key].append(visit)
        return visit

    return choose


def _read_back(project: Project, tell: Tell, *, hurry: bool) -> tuple[tuple[Database, ...], RescueError | None]:
    """Return what new connections see.  Never raises: a failure to read is a result too.

    After a Ctrl-C, or on one that comes now, it looks in a `hurry`, because the user waits for the terminal.
    """
    try:
        return tuple(databases.look(replace(project, timeouts=_HURRIED) if hurry else project, tell)), None
    except RescueError as error:
        return (), error
    except KeyboardInterrupt:
        if hurry:
            return (), errors.Interrupted("before it was read back")
        return _read_back(project, tell, hurry=True)


def read_back_after(
    project: Project, backends: Collection[Backend], tell: Tell, *, hurry: bool, until: float | None = None
) -> Written:
    """Return what new connections see once the `backends` that were about to write have ended.

    A server continues a statement whose client is gone and may still change the rows, until the session's timeouts end
    it.  In a `hurry`, because the user waits for the terminal, it does not wait for that.

    Args:
        until: how long to wait for their end, on the monotonic clock; None to wait as long as a statement may take.
    """
    if hurry:
        project = replace(project, timeouts=_HURRIED)
    if until is None:
        until = time.monotonic() + project.timeouts.longest_statement
    try:
        while (still := _running(project, backends, tell)) and time.monotonic() < until:
            time.sleep(_ASK_AGAIN_SECONDS)
    except RescueError as error:
        return Written({}, unread=error)
    found, unread = _read_back(project, tell, hurry=hurry)
    return Written({}, found=found, unread=errors.StillWriting(still) if still else unread)


def _running(project: Project, backends: Collection[Backend], tell: Tell) -> list[int]:
    """Return the process ids of those that are still running."""
    keys = {backend.key for backend in backends}

    def see(context: MigrationContext, _rows: tuple[str, ...]) -> list[int]:
        connection = context.connection
        assert connection is not None, "online mode has a connection"
        if databases.rows_key(connection, context.version_table, context.version_table_schema) not in keys:
            return []
        return [one.pid for one in backends if sessions.is_running(connection, one.pid, one.started)]

    return [pid for pids in visits.look(project, see, tell) for pid in pids]
