"""The operations of the live worker: run env.py against the project's own databases, to look, read and stamp.

The server holds the sessions of a look read-only.  No revision file is ever loaded here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection, Engine

from alembic_rescue import errors
from alembic_rescue.connection import connections, sessions, urls
from alembic_rescue.connection.connections import Hold
from alembic_rescue.connection.guard import Guard
from alembic_rescue.dialects import admin
from alembic_rescue.dialects import of as dialect_of
from alembic_rescue.dialects.handover import Standing
from alembic_rescue.environment import databases, visits
from alembic_rescue.environment.run import Remark
from alembic_rescue.evidence.completion import Completion
from alembic_rescue.evidence.observation import CatalogObject, Reading
from alembic_rescue.evidence.rehearsal import Demand
from alembic_rescue.model import Database, Identity
from alembic_rescue.project.loading import Project
from alembic_rescue.worker import script_files, sources
from alembic_rescue.worker.live import by_url, completing, writing
from alembic_rescue.worker.loading import load as load_project
from alembic_rescue.worker.requests import (
    Backend,
    Guarded,
    Loaded,
    Loading,
    Look,
    Progress,
    Ran,
    Rows,
    ScriptFile,
    ToWrite,
    Visited,
    Written,
)
from alembic_rescue.worker.serve import Conversation, Operation

Key = tuple[str, str]
T = TypeVar("T")


@dataclass
class _State:
    """What this process has loaded."""

    project: Project | None = None
    resting: ExitStack = field(default_factory=ExitStack)
    """Guards the sessions of threads that env.py left running, while this process is idle."""
    known: tuple[ScriptFile, ...] = ()
    """Revisions whose files had to be run, in another process."""
    guards: dict[str, Guard] = field(default_factory=dict)
    """The rescue locks of an upgrade, held or still being tried, by database."""
    engines: dict[Key, Engine] = field(default_factory=dict)
    """The reader's own engine for each database that the last look saw, if it works without env.py."""

    @property
    def loaded(self) -> Project:
        assert self.project is not None, "the first request loads it"
        return self.project


_STATE = _State()


def load(conversation: Conversation, loading: Loading) -> Loaded:
    """Load the named project; see :func:`alembic_rescue.project.loading.load`."""
    found = load_project(conversation, loading)
    _STATE.project = found
    script_files.run_none(found.script, lambda: _STATE.known)
    timeouts = found.timeouts
    _rest()
    return Loaded(
        source=found.source,
        settings=found.settings,
        env=found.env_path,
        files=tuple(str(Path(name).absolute()) for name in [found.config.config_file_name] if name),
        options=_options(found),
        has_url=found.url is not None,
        lock_seconds=timeouts.lock,
        statement_seconds=timeouts.statement,
        connect_seconds=timeouts.connect,
        locations=tuple(map(str, script_files.folders(found.script))),
        versions={name: version(name) for name in ("alembic", "sqlalchemy")},
        installed=sources.installed(),
        drivers=admin.drivers(),
    )


def _rest() -> None:
    _STATE.resting.enter_context(Hold(_STATE.loaded, read_only=True).in_force())


def _at_work(operation: Operation) -> Operation:
    """Suspend the idle guard while `operation` runs, which has its own."""

    @wraps(operation)
    def working(conversation: Conversation, **given: Any) -> Any:
        _STATE.resting.close()
        try:
            return operation(conversation, **given)
        finally:
            _rest()

    return working


def _options(found: Project) -> str:
    """Return a digest of the configuration without URLs and the folder `here`, which only say where it is."""
    parser = found.config.file_config
    options = {name: dict(parser.items(name, raw=True)) for name in parser.sections()}
    kept = {
        name: {option: value for option, value in section.items() if option != "here" and "://" not in value}
        for name, section in options.items()
    }
    return sources.digest([json.dumps(kept, sort_keys=True)])


def look(conversation: Conversation, known: Collection[ScriptFile] = ()) -> Look:
    """Run env.py, and return its visits and the revisions of the script directory."""
    return _looked(conversation, known)


def _looked(
    conversation: Conversation,
    known: Collection[ScriptFile],
    before: Callable[[MigrationContext, Connection, tuple[str, ...]], tuple[str, ...]] | None = None,
) -> Look:
    """Do the same; `before` is called first at each visit, and returns the rows as they are then."""
    _STATE.known = tuple(known)
    remarks: list[Remark] = []
    hide = _STATE.loaded.secrets.hide
    _STATE.engines.clear()

    def see(context: MigrationContext, rows: tuple[str, ...]) -> Visited:
        connection = context.connection
        assert connection is not None, "online mode has a connection"
        if before is not None:
            rows = before(context, connection, rows)
        if not connection.dialect.is_async:  # async engines need the event loop that env.py runs
            _STATE.engines.setdefault(_key(context, connection), sessions.own_engine(connection.engine))
        return _visited(context, connection, databases.look_at(context, rows, hide))

    seen = visits.look(_STATE.loaded, see, conversation.tell, remarks)
    scripts, unreadable = script_files.read(_STATE.loaded.script)
    told = {file.path for file in known}
    return Look(
        tuple(
            replace(one, remarks=tuple(remark.note for remark in remarks if remark.visit in {None, number}))
            for number, one in enumerate(seen)
        ),
        (*scripts, *known),
        tuple(path for path in unreadable if path not in told),
    )


def _key(context: MigrationContext, connection: Connection) -> Key:
    return databases.rows_key(connection, context.version_table, context.version_table_schema)


def _visited(context: MigrationContext, connection: Connection, database: Database) -> Visited:
    engine = connection.engine
    dialect = dialect_of(connection.dialect.name)
    at = connections.opened_at(connection)
    asked = {"host": at.host or at.query.get("host"), "port": at.port or at.query.get("port")}
    asked |= {"database": at.database, "user": at.username}
    return Visited(
        database=database,
        asked={name: str(value) for name, value in asked.items() if value},
        driver=f"{engine.dialect.name}+{engine.dialect.driver}",
        transactional=bool(context.impl.transactional_ddl),
        surroundings=dialect.surroundings(connection) if dialect.surroundings else None,
    )


def read(conversation: Conversation, wanted: Mapping[Key, Collection[CatalogObject]]) -> dict[Key, Reading]:
    """Read these objects, on a new connection to each database.

    It is opened like the one env.py used for the look.  If that fails, for example because env.py has closed a tunnel,
    env.py runs again.
    """
    hide = _STATE.loaded.secrets.hide
    return _of_each(conversation, wanted.keys(), lambda key, engine: _named(engine, wanted[key], hide))


def ask_rows(conversation: Conversation, key: Key, demands: Collection[Demand], tables: Collection[str]) -> Rows:
    """Check on a live database which demands its rows meet, and how large these tables are."""

    def asked(_: Key, engine: Engine) -> Rows:
        rehearsal = dialect_of(engine.dialect.name).rehearsal
        with engine.connect() as opened:
            connection = opened.execution_options(isolation_level="AUTOCOMMIT")
            answers = []
            for number, demand in enumerate(demands, 1):
                conversation.progress(Progress("Asking the rows", number, len(demands), demand.revision))
                answers.append(rehearsal.answer(connection, demand))
            return Rows(tuple(answers), rehearsal.sizes(connection, sorted(tables)))

    return _of_each(conversation, [key], asked)[key]


def standing(conversation: Conversation, key: Key, names: Collection[str]) -> tuple[Standing, ...]:
    """Return the state of these objects of a live database, in a form that a script can check again."""

    def asked(_: Key, engine: Engine) -> tuple[Standing, ...]:
        with engine.connect() as opened:
            connection = opened.execution_options(isolation_level="AUTOCOMMIT")
            return dialect_of(engine.dialect.name).scripts.standing(connection, names)

    return _of_each(conversation, [key], asked)[key]


def _of_each(conversation: Conversation, keys: Collection[Key], do: Callable[[Key, Engine], T]) -> dict[Key, T]:
    """Return what `do` finds in each of these databases, on its own connections."""
    found: dict[Key, T] = {}
    hold = Hold(_STATE.loaded, read_only=True)
    with suppress(Exception), hold.in_force():
        for key in set(keys) & _STATE.engines.keys():
            found[key] = do(key, _STATE.engines[key])
    if found.keys() >= set(keys):
        return found
    if lost := hold.connection_lost(hold.attempted[-1] if hold.attempted else None):
        raise lost

    def see(context: MigrationContext, _rows: tuple[str, ...]) -> None:
        connection = context.connection
        assert connection is not None, "online mode has a connection"
        key = _key(context, connection)
        if key in set(keys) - found.keys():
            found[key] = do(key, sessions.own_engine(connection.engine))

    visits.look(_STATE.loaded, see, conversation.tell)
    return found


def _named(engine: Engine, wanted: Collection[CatalogObject], hide: Callable[[str], str]) -> Reading:
    reader = dialect_of(engine.dialect.name).reader
    if reader is None:
        return Reading({})
    with engine.connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        reading = reader.named(connection, wanted)
        locked = sorted({unread.locked for unread in reading.unread} - {""})
        return replace(reading, blockers=sessions.holders(connection, locked, hide, connections.own_sessions()))


def write(conversation: Conversation, planned: Collection[ToWrite], left_out: Collection[Key]) -> Written:
    """Lock, look again, ask for the receipt, stamp, and read back; see :mod:`alembic_rescue.worker.live.writing`."""
    return writing.write(
        _STATE.loaded,
        tuple(planned),
        frozenset(left_out),
        begin=lambda tables: conversation.ask("begin", tables=tables),
        about_to=conversation.progress,
        tell=conversation.tell,
    )


def complete(conversation: Conversation, planned: ToWrite, left_out: Collection[Key], completion: Completion) -> None:
    """Create what a revision lacks; see :mod:`alembic_rescue.worker.live.completing`."""
    completing.complete(
        _STATE.loaded,
        planned,
        frozenset(left_out),
        completion,
        begin=lambda tables: conversation.ask("begin", tables=tables),
        progress=conversation.progress,
        tell=conversation.tell,
    )


def read_back(conversation: Conversation, backends: Collection[Backend], *, hurry: bool) -> Written:
    """Return what new connections see, once `backends`, which another worker left behind, have ended."""
    return writing.read_back_after(_STATE.loaded, tuple(backends), conversation.tell, hurry=hurry)


def guard(
    conversation: Conversation, known: Collection[ScriptFile], lock_url: str | None, *, leaving_heads: bool
) -> Guarded:
    """Try to take the rescue lock of each database that env.py visits, and look at the databases.

    Args:
        lock_url: the direct address, past a pooler, of the only database.
        leaving_heads: take no lock on databases at their heads.
    """
    unguard(conversation)
    _STATE.known = tuple(known)
    guards, project = _STATE.guards, _STATE.loaded
    direct = None if lock_url is None else by_url.opened(project, lock_url)
    heads = _heads(project) if leaving_heads else None

    def locked(context: MigrationContext, connection: Connection, rows: tuple[str, ...]) -> tuple[str, ...]:
        if heads is not None and heads == set(rows):
            return rows
        key = _key(context, connection)[0]
        if key not in guards:
            name = urls.name_of(connections.opened_at(connection))
            if direct is None:
                guards[key] = Guard(connection.engine, project.timeouts, name)
            else:
                guards[key] = by_url.guard(direct, project, connection, [*guards])
        if not guards[key].is_held:
            guards[key].take()
        return context.get_current_heads()

    seen = _looked(conversation, known, locked)
    if guards:  # the caller is still importing, and migrates next
        import_module(f"{__package__}.upgrading")
    return _guarded(seen)


def _heads(project: Project) -> frozenset[str] | None:
    """The heads; None if the script files contradict one another, which the caller tells from the look."""
    with suppress(Exception):  # KeyError, RevisionError and others
        return frozenset(project.script.get_heads())
    return None


def guard_again(_conversation: Conversation) -> Guarded:
    """Try again to take the missing locks."""
    for one in _STATE.guards.values():
        if not one.is_held and not one.take():
            break
    return _guarded(None)


def _guarded(seen: Look | None) -> Guarded:
    guards = _STATE.guards.values()
    pooled = tuple(one.database for one in guards if one.is_pooled)
    missing = next((one for one in guards if not one.is_held), None)
    if missing is None:
        return Guarded(held=True, look=seen, pooled=pooled)
    holder = missing.holder()
    if holder is None:
        return Guarded(held=False, pooled=pooled)
    return Guarded(False, None, holder.pid, holder.client, holder.seconds, pooled)


def unguard(_conversation: Conversation) -> None:
    """Release the rescue locks."""
    while _STATE.guards:
        _STATE.guards.popitem()[1].release()


def migrate(conversation: Conversation, target: str, visited: Sequence[Identity]) -> Ran:
    """Run ``alembic upgrade``; see :mod:`alembic_rescue.worker.live.upgrading`."""
    from alembic_rescue.worker.live import upgrading  # noqa: PLC0415 - no other operation needs it

    return upgrading.upgrade(conversation, _STATE.loaded, target, _STATE.guards, visited)


def dump(conversation: Conversation, key: Key, programs: Path | None) -> Any:
    """Return the schema of one database; see :meth:`alembic_rescue.dialects.scratch.Scratch.dump`."""
    dumped: list[Any] = []

    def see(context: MigrationContext, _rows: tuple[str, ...]) -> None:
        connection = context.connection
        assert connection is not None, "online mode has a connection"
        if _key(context, connection) == key and not dumped:
            arguments, held = connections.arguments_of(connection), _STATE.loaded.timeouts
            scratch = dialect_of(connection.dialect.name).scratch
            dumped.append(scratch.dump(arguments, programs, held.lock, held.longest_statement))

    visits.look(_STATE.loaded, see, conversation.tell)
    if not dumped:
        raise errors.DatabaseChanged(key[1], "others only")
    return dumped[0]


OPERATIONS: Mapping[str, Operation] = {
    "load": load,
    **{one.__name__: _at_work(one) for one in (look, read, ask_rows, standing, write, complete, read_back, dump)},
    **{one.__name__: _at_work(one) for one in (guard, guard_again, unguard, migrate)},
}
