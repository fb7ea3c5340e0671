"""What is done to every connection that env.py opens, with SQLAlchemy's public events, for the time of one run.

* ``do_connect``: timeouts, and ``--url`` in place of env.py's own address;
* the pool's ``connect`` and ``checkout``: the session's settings, through the driver's cursor (SQL through SQLAlchemy
  would begin a transaction, and break ``engine.begin()``), before env.py's own listeners;
* ``engine_connect``: AUTOCOMMIT for the stamp;
* ``handle_error``: on a lock timeout, who holds the lock;
* ``checkin``: a connection that was touched is closed, and never returns to the application's pool.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Protocol

from alembic import context as alembic_context
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.pool import Pool

from alembic_rescue import dialects, errors, when_imported
from alembic_rescue.compat import dialect_of, driver_connection
from alembic_rescue.connection import drivers, failures, poolers, sessions, urls
from alembic_rescue.connection.lock_waits import LockWaits
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.connection.waits import Waits
from alembic_rescue.dialects.base import MadeBy
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.model import Blocker
from alembic_rescue.redact import Secrets

_OPENED_AT = "alembic_rescue.opened_at"
_AS_ASKED = "alembic_rescue.as_asked"
_TOUCHED = "alembic_rescue.touched"
_MADE = "alembic_rescue.made"
_SET_UP = "alembic_rescue.set_up"
_ARGUMENTS = "alembic_rescue.arguments"
_OPEN: weakref.WeakSet[Any] = weakref.WeakSet()
"""The drivers' own connections that a run opened and that may still be open."""
_LOOKING: list[Hold] = []
"""The hold of the read-only run in progress."""


class Terms(Protocol):
    """The settings of a run; a Project has them, and so has whoever makes one."""

    @property
    def url(self) -> URL | None:
        """The value of ``--url``."""

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts of every session."""

    @property
    def secrets(self) -> Secrets:
        """The collection that records passwords as they appear."""


class Hold:
    """Controls the connections of one run of env.py; must be :meth:`in_force` while it runs."""

    by_environment = True
    """Drivers that env.py calls directly are held as well, as far as they read the environment."""

    def __init__(self, project: Terms, *, read_only: bool) -> None:
        self.read_only = read_only
        """The server itself refuses writes on every session; otherwise sessions are in AUTOCOMMIT."""
        self.attempted: list[URL] = []
        """Where env.py connected or tried to, without passwords, the most recent last."""
        self.failed_at: URL | None = None
        """The address of the last failure, if it was on an open connection."""
        self.connections = 0
        """How many times a connection was requested, from the server or a pool."""
        self.blocking: list[Blocker] = []
        """The sessions with locks on the version table, if a run hit a lock timeout and `lock_waits` is empty."""
        self.failures: list[BaseException] = []
        """The failures of connections and statements, the most recent last: env.py may swallow them."""
        self.wrote: list[URL] = []
        """The addresses where a transaction wrote despite the read-only hold."""
        self.let_go: list[tuple[URL | None, str]] = []
        """The addresses where a session was made writable again, and how."""
        self.writes_to: str | None = None
        """The version table, once the first statement that changes it was let through."""
        self.lock_waits = LockWaits(project.timeouts.lock, _version_table, project.secrets.hide, own_sessions)
        """Sees what a statement waits for."""
        self.waits = self._waits(project.timeouts)
        """Bounds every wait on this side, too."""
        self._project = project
        self._environment: dict[str, str] = {}
        """The environment before the run."""
        self._afterwards = ExitStack()
        self._asked_for: URL | None = None
        """Where the connection being made leads; None if a function of env.py makes it."""
        self._made_by: MadeBy | None = None
        self._listeners: tuple[tuple[Any, str, Any], ...] = (
            *self.waits.listeners,
            *self.lock_waits.listeners,
            (Engine, "do_connect", self._do_connect),
            (Pool, "first_connect", self._connect),
            (Pool, "connect", self._connect),
            (Pool, "checkout", self._checkout),
            (Engine, "engine_connect", self._engine_connect),
            (Engine, "commit", self._commit),
            (Engine, "handle_error", self._handle_error),
            (Pool, "checkin", self._checkin),
        )

    def _waits(self, timeouts: Timeouts) -> Waits:
        return Waits(timeouts, read_only=self.read_only)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Hold every connection that the block opens."""
        self._environment = dict(os.environ)
        others = [one for one in self._listeners if one[0] is not Pool]
        pools = [one for one in self._listeners if one[0] is Pool]
        with self.waits.bounded(), ExitStack() as self._afterwards:
            self._afterwards.enter_context(listening(*others))
            self._afterwards.enter_context(listening(*reversed(pools), insert=True))
            if self.read_only and self.by_environment:
                self._hold_by_environment()
            yield

    def is_refused_options(self, error: BaseException) -> bool:
        """Return whether a pooler that accepts no options raised `error`; if so, later connections get none."""
        refused = any("unsupported startup parameter" in errors.said(link) for link in failures.chain(error))
        refused = refused and self.read_only and self.by_environment
        if refused:
            Hold.by_environment = False
        return refused

    def _hold_by_environment(self) -> None:
        for one in dialects.known():
            for name, value in one.drivers.held_by_environment(self._environment).items():
                os.environ[name] = value
                self._afterwards.callback(_put_back, name, self._environment.get(name))
            when_imported.change(one.drivers.held_when_imported(_is_held))
        _LOOKING.append(self)
        self._afterwards.callback(_LOOKING.remove, self)

    @property
    def holds_by_environment(self) -> bool:
        """Whether to hold a driver that env.py calls directly: SQLAlchemy has not requested the connection."""
        return self.by_environment and self._made_by is None

    def connection_lost(self, at: URL | None) -> errors.ConnectionLost | None:
        """Return the error for a lost connection, if a server went silent and was hung up on."""
        if (silence := self.waits.silence) is None:
            return None
        database = urls.name_of(at) if at is not None else "the database"
        return errors.ConnectionLost(database, silence.reason(self._project.secrets.hide))

    def _do_connect(self, dialect: Dialect, _record: Any, cargs: list[Any], cparams: dict[str, Any]) -> None:
        self.connections += 1
        theirs = dialects.of(dialect.name).drivers
        chosen = self._project.url
        if chosen is not None:
            try:
                at = urls.laid_over(chosen, dialect, cargs, cparams)
            except errors.UsageError as error:
                raise self._kept(error) from None
            urls.require_encryption(at, dialect.driver, cparams, os.environ)
        else:
            at = theirs.address(f"{dialect.name}+{dialect.driver}", cargs, cparams)
        if urls.is_torn(at):
            raise self._kept(errors.BadUrl(urls.NOT_ENCODED, "that env.py opens"))
        self._project.secrets.add(cparams.get("password"), cparams.get("passwd"))
        self._project.secrets.add_public(at.username, at.host, at.database)
        for name, value in sessions.connect_arguments(dialect, self._project.timeouts).items():
            cparams.setdefault(name, value)
        silent = errors.ConnectTimeout(urls.name_of(at), "timeout expired")
        theirs.without_environment(dialect.driver, cargs, cparams, self._environment)
        theirs.bound(dialect.driver, cparams, self._project.timeouts.connect, lambda: self._kept(silent))
        self._made_by = MadeBy(dialect, tuple(cargs), dict(cparams))
        self._asked_for = urls.without_password(at)
        self.attempted.append(self._asked_for)
        if (absent := theirs.absent(at)) is not None:
            raise self._kept(absent)

    def _connect(self, dbapi_connection: Any, record: Any) -> None:
        if record.info.get(_MADE) is self:  # the first connection of a pool arrives twice
            return
        record.info[_MADE] = self
        asked_for, self._asked_for = self._asked_for, None
        record.info[_AS_ASKED] = asked_for is not None
        made_by, self._made_by = self._made_by, None
        if at := drivers.made(driver_connection(dbapi_connection), made_by, asked_for) or asked_for:
            record.info[_OPENED_AT] = at
        record.info[_ARGUMENTS] = made_by.named if made_by else {}
        self._checkout(dbapi_connection, record)

    def _checkout(self, dbapi_connection: Any, record: Any, *_proxy: Any) -> None:
        """Set the connection up: it may predate the run in the application's pool, and be used without a Connection."""
        if record.info.get(_SET_UP) is not self:
            _remember(dbapi_connection)
            self._set_up(dbapi_connection, record)

    def _set_up(self, dbapi_connection: Any, record: Any) -> None:
        """Set the session up before anyone else can use it: listeners of env.py's pool run after those of all pools."""
        if (dialect := dialect_of(record)) is None:
            return
        record.info[_SET_UP] = self
        record.info[_TOUCHED] = True
        if self.read_only:
            self._keep_read_only(dialect)
        if poolers.leads_to_one(dbapi_connection, dialect, record.info):
            return
        self._make_settings(dbapi_connection, dialect)
        dialect.do_commit(dbapi_connection)  # a rollback of its transaction would undo a SET

    def _make_settings(self, dbapi_connection: Any, dialect: Dialect) -> None:
        cursor = Cursor(dbapi_connection, dialect)
        for statement in sessions.settings(dialect, self._project.timeouts, read_only=self.read_only):
            cursor.run(statement)

    def _keep_read_only(self, dialect: Dialect) -> None:
        for name, method in dialects.of(dialect.name).server.always_read_only(dialect).items():
            if name not in vars(dialect):
                setattr(dialect, name, method)
                self._afterwards.callback(vars(dialect).pop, name, None)

    def _commit(self, connection: Connection) -> None:
        """Record a transaction that was begun as READ WRITE and wrote, since it cannot be prevented."""
        if not self.read_only:
            return
        server = dialects.of(connection.dialect.name).server
        with suppress(Exception):  # the transaction may have failed
            if server.has_written(Cursor(connection.connection, connection.dialect)):
                self.wrote.append(opened_at(connection))

    def _engine_connect(self, connection: Connection, *_branch: bool) -> None:
        self.connections += 1
        if self._project.url is not None and not connection.info.get(_AS_ASKED):
            raise self._kept(
                errors.UrlNotHeeded("it opens its connection with a function of its own, or opened it earlier")
            )
        # The pool must not hand it out again either, if it comes back after the run.
        connection.connection.invalidate(soft=True)
        if poolers.is_pooled(connection):
            self.waits.behind_a_pooler(driver_connection(connection.connection))
            self._hold_pooled(connection)
        self._set_isolation(connection)

    def _hold_pooled(self, connection: Connection) -> None:
        if self.read_only:
            poolers.hold_read_only(connection)

    def _set_isolation(self, connection: Connection) -> None:
        if not self.read_only:
            connection.execution_options(isolation_level="AUTOCOMMIT")

    def _handle_error(self, failed: Any) -> None:
        original = failed.original_exception
        if self.lock_waits.asks_by(failed.engine):
            return
        if isinstance(original, Exception):
            self.failures.append(failed.sqlalchemy_exception or original)
            self.failed_at = None if failed.connection is None else opened_at(failed.connection)
        else:  # Ctrl-C: some drivers leave the statement running, which might yet write
            with suppress(Exception):
                drivers.ask_to_cancel(driver_connection(failed.connection.connection))
        what = drivers.error_class(original)
        timed_out = what is errors.LockTimeout or (what is errors.StatementTimeout and self.waits.cancelled)
        if self.lock_waits.seen or self.blocking or not timed_out:
            return
        with suppress(Exception), sessions.own_engine(failed.engine).connect() as connection:
            hide = self._project.secrets.hide
            self.blocking.extend(sessions.blockers(connection, _version_table(), hide, own_sessions()))

    def _kept(self, error: errors.RescueError) -> errors.RescueError:
        self.failures.append(error)
        return error

    def _checkin(self, dbapi_connection: Any, record: Any) -> None:
        if dbapi_connection is None or not record.info.pop(_TOUCHED, False):
            return
        dialect = dialect_of(record)
        if self.read_only and dialect is not None and not record.info.get(poolers.POOLED):
            with suppress(Exception):  # the session may be lost, or its event loop gone
                if how := dialects.of(dialect.name).server.let_go(Cursor(dbapi_connection, dialect)):
                    self.let_go.append((record.info.get(_OPENED_AT), how))
        record.invalidate()


@contextmanager
def listening(*listeners: tuple[Any, str, Any], **how: Any) -> Iterator[None]:
    """Keep the listeners (target, event, function) active in the block; `how` goes to SQLAlchemy's ``event.listen``."""
    for target, name, listener in listeners:
        event.listen(target, name, listener, **how)
    try:
        yield
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)


def opened_at(connection: Connection) -> URL:
    """Return the URL that `connection` was really opened with, without passwords; the engine's if that is unknown."""
    recorded = connection.info.get(_OPENED_AT)
    return recorded if isinstance(recorded, URL) else urls.without_password(connection.engine.url)


def arguments_of(connection: Connection) -> Mapping[str, Any]:
    """Return what the driver got to open `connection`, including its password; empty if env.py opened it itself."""
    arguments: Mapping[str, Any] = connection.info.get(_ARGUMENTS) or {}
    return arguments


def _version_table() -> str:
    """Return the version table as env.py configured it, or Alembic's default if env.py has not come that far."""
    with suppress(Exception):
        context = alembic_context.get_context()
        return sessions.qualified(context.dialect, context.version_table, context.version_table_schema)
    return "alembic_version"


def own_sessions() -> set[int]:
    """Return the process ids of the sessions that a run opened, if the driver exposes them."""
    told: set[int | None] = set()
    for raw in tuple(_OPEN):
        with suppress(Exception):  # closed by now
            told.add(drivers.server_process(raw))
    return {pid for pid in told if pid is not None}


def _remember(dbapi_connection: Any) -> None:
    with suppress(TypeError):  # a driver's connection without weak references cannot be cancelled
        _OPEN.add(driver_connection(dbapi_connection))


def cancel_running() -> None:
    """Ask the server to cancel what the tool's connections are running (from another thread: on Ctrl-C)."""
    for connection in tuple(_OPEN):  # the other thread may change it
        drivers.ask_to_cancel(connection)


def _is_held() -> bool:
    return any(hold.holds_by_environment for hold in _LOOKING)


def _put_back(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
