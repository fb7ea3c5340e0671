"""Running the project's env.py, to look or to stamp.  The only module that runs it.

env.py is the only way in: it alone knows the URL, the search path, the version table.  So nothing is opened here;
env.py is run as ``alembic current`` runs it, and what it opens is taken hold of by SQLAlchemy's public events, for
the time of the run:

* ``do_connect``: timeouts, and ``--url`` laid over env.py's own address;
* ``engine_connect``: the session's settings, through the driver's cursor (SQL through SQLAlchemy would begin a
  transaction, and break ``engine.begin()``), and AUTOCOMMIT for the stamp;
* ``before_cursor_execute``: the last check, on the very connection that is about to write;
* ``checkin``: a connection that was touched is closed, and never goes back to the application's pool.
"""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic import context as alembic_context
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.pool import Pool

from alembic_rescue import errors, failures, sessions, urls
from alembic_rescue.model import Blocker
from alembic_rescue.project import Project

T = TypeVar("T")
See = Callable[[MigrationContext, "tuple[str, ...]"], T]
"""What looks: it is given the context that env.py configured, and the rows of its version table."""
BeforeWrite = Callable[[Connection], None]
"""Called on the connection that is about to change the version table, before its first change; may refuse."""
Tell = Callable[[str], None]
"""Takes a line that env.py or Alembic printed, without secrets."""

_OPENED_AT = "alembic_rescue.opened_at"
_TOUCHED = "alembic_rescue.touched"
_OPEN_CONNECTIONS: list[Any] = []


def silent(_: str) -> None:
    """The Tell that tells nobody."""


def look(project: Project, see: See[T], tell: Tell = silent) -> list[T]:
    """Run env.py and call `see` once for each database or tenant that it visits.  The server holds it read-only.

    Returns:
        What `see` returned, in env.py's order; at least one.

    Raises:
        EnvNeverMigrates: env.py ended without running migrations.
        UsageError, DatabaseError: env.py or the database failed; what `see` raises comes through, whatever
            env.py does with it.
    """
    seen: list[T] = []
    raised: list[BaseException] = []

    def fn(rows: tuple[str, ...], context: MigrationContext) -> list[Any]:
        try:
            seen.append(see(context, rows))
        except BaseException as error:
            raised.append(error)
            raise
        return []

    def run() -> None:
        with EnvironmentContext(project.config, project.script, fn=fn, dont_mutate=True):
            project.script.run_env()

    _run(project, run, raised, tell, read_only=True)
    if not seen:
        raise errors.EnvNeverMigrates(failures.shown(project.env_path))
    return seen


def stamp(
    project: Project,
    revisions: tuple[str, ...],
    version_table: str,
    before_write: BeforeWrite,
    tell: Tell = silent,
    *,
    purge: bool = False,
) -> None:
    """Call ``alembic.command.stamp`` so that each of its statements is a transaction of its own.

    Raises:
        RescueError: as :func:`look`, and what `before_write` raises, in which case nothing was written.
    """
    raised: list[BaseException] = []
    checked: set[int] = set()
    writes = re.compile(rf"\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+\S*\b{re.escape(version_table)}\b", re.IGNORECASE)

    def before_cursor_execute(connection: Connection, _: object, statement: str, *__: object) -> None:
        if writes.match(statement) and id(connection) not in checked:
            try:
                before_write(connection)
            except BaseException as error:
                raised.append(error)
                raise
            checked.add(id(connection))

    def run() -> None:
        with _listening((Engine, "before_cursor_execute", before_cursor_execute)):
            command.stamp(project.config, list(revisions), purge=purge)

    _run(project, run, raised, tell, read_only=False)


def fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Run a SELECT through the driver's cursor, unseen by SQLAlchemy: for use inside its events."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def opened_at(connection: Connection) -> URL:
    """The URL that `connection` was really opened with, passwords left out; the engine's where that is unknown."""
    recorded = connection.info.get(_OPENED_AT)
    return recorded if isinstance(recorded, URL) else connection.engine.url.set(password=None)


def cancel_running() -> None:
    """Ask the server to cancel what the tool's connections are running (from another thread: on Ctrl-C)."""
    for connection in tuple(_OPEN_CONNECTIONS):  # the other thread may change it
        cancel = getattr(connection, "cancel", None) or getattr(connection, "interrupt", None)
        if cancel is not None:
            try:
                cancel()
            except Exception:  # noqa: BLE001, S112 - it may be closed by now
                continue


def _run(
    project: Project, run: Callable[[], None], raised: list[BaseException], tell: Tell, *, read_only: bool
) -> None:
    printed = _Printed(project.secrets.hide, tell)
    attempted: list[URL] = []
    blocking: list[Blocker] = []
    try:
        with ExitStack() as around:
            around.enter_context(_logging_restored())
            around.enter_context(redirect_stdout(printed))
            around.enter_context(redirect_stderr(printed))
            around.enter_context(_listening(*_session_events(project, attempted, read_only=read_only)))
            around.enter_context(_listening((Engine, "handle_error", _who_blocks(project, blocking))))
            run()
    except BaseException as error:  # noqa: BLE001 - SystemExit too: env.py may end the program
        raised.append(error)
    if not raised:
        return
    first = raised[0]  # what the tool itself raised comes first, whatever env.py made of it
    if isinstance(first, (errors.RescueError, KeyboardInterrupt)):
        raise first
    explained = _explained(project, first, attempted, printed, read_only=read_only)
    if isinstance(explained, errors.LockTimeout):
        explained.blockers = tuple(blocking)
    raise explained from first


def _explained(
    project: Project, error: BaseException, attempted: list[URL], printed: _Printed, *, read_only: bool
) -> errors.RescueError:
    hide = project.secrets.hide
    at = attempted[-1] if attempted else project.url
    database = urls.name_of(at) if at is not None else "the database"
    role = (at.username if at is not None else None) or "in use"
    explained: errors.RescueError | None = failures.of_database(
        error, database, role, ("the version table (or what env.py waits for)", project.timeouts.lock)
    )
    if read_only and isinstance(explained, errors.ReadOnlyServer):
        explained = errors.EnvWrites(failures.one_line(error), failures.place_of(error, project.env_path))
    if explained is None:
        explained = failures.of_env(error, project.env_path, printed.tail())
    explained.message, explained.help = hide(explained.message), hide(explained.help)
    explained.args = (explained.message,)
    return explained


def _session_events(project: Project, attempted: list[URL], *, read_only: bool) -> list[tuple[Any, str, Any]]:
    """The listeners that every run of env.py has."""
    timeouts, secrets = project.timeouts, project.secrets

    def do_connect(dialect: Dialect, _record: Any, cargs: list[Any], cparams: dict[str, Any]) -> None:
        if project.url is not None:
            at = urls.laid_over(project.url, dialect, cargs, cparams)
            urls.require_encryption(at, dialect.driver, cparams, os.environ)
        else:
            at = _address(dialect, cargs, cparams)
        secrets.add(cparams.get("password"), cparams.get("passwd"))
        for name, value in sessions.connect_arguments(dialect.driver, timeouts).items():
            cparams.setdefault(name, value)
        attempted.append(at.set(password=None))
        if dialect.name == "sqlite":
            _check_file(at)

    def connect(dbapi_connection: Any, record: Any) -> None:
        if attempted:
            record.info[_OPENED_AT] = attempted[-1]
        _OPEN_CONNECTIONS.append(getattr(dbapi_connection, "driver_connection", dbapi_connection))

    def engine_connect(connection: Connection, *_branch: bool) -> None:
        if project.url is not None and _OPENED_AT not in connection.info:
            raise errors.UrlNotHeeded("it opens its connection by a function of its own, or had opened it before")
        statements = sessions.settings(connection.dialect.name, timeouts, read_only=read_only)
        connection.info[_TOUCHED] = True
        _set_up(connection, statements)
        if not read_only:
            connection.execution_options(isolation_level="AUTOCOMMIT")

    def checkin(dbapi_connection: Any, record: Any) -> None:
        raw = getattr(dbapi_connection, "driver_connection", dbapi_connection)
        if raw in _OPEN_CONNECTIONS:
            _OPEN_CONNECTIONS.remove(raw)
        if dbapi_connection is not None and record.info.pop(_TOUCHED, False):
            record.invalidate()

    return [
        (Engine, "do_connect", do_connect),
        (Pool, "connect", connect),
        (Engine, "engine_connect", engine_connect),
        (Pool, "checkin", checkin),
    ]


def _who_blocks(project: Project, blocking: list[Blocker]) -> Callable[[Any], None]:
    """A listener that, on a lock timeout, asks on a connection of its own who holds the lock."""

    def handle_error(failed: Any) -> None:
        original = failed.original_exception
        if blocking or getattr(original, "pgcode", getattr(original, "sqlstate", None)) != "55P03":
            return
        table = "alembic_version"
        with suppress(Exception):  # env.py may not have come as far as configure()
            context: MigrationContext = alembic_context.get_context()
            table = sessions.qualified(context.dialect, context.version_table, context.version_table_schema)
        with suppress(Exception), sessions.own_engine(failed.engine).connect() as connection:
            blocking.extend(sessions.blockers(connection, table, project.secrets.hide))

    return handle_error


def _set_up(connection: Connection, statements: tuple[str, ...]) -> None:
    if not statements:
        return
    raw = connection.connection
    cursor = raw.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()
    raw.commit()  # a SET is undone by the rollback of the transaction that it was made in


def _address(dialect: Dialect, cargs: list[Any], cparams: Mapping[str, Any]) -> URL:
    """The URL that connect arguments stand for, without password."""
    name = f"{dialect.name}+{dialect.driver}"
    if dialect.name == "sqlite":
        return URL.create(name, database=str(cargs[0]) if cargs else str(cparams.get("database", "")))
    arguments = {**_from_dsn(cparams.get("dsn") or (cargs[0] if cargs else "")), **cparams}
    port = arguments.get("port")
    return URL.create(
        name,
        username=arguments.get("user") or os.environ.get("PGUSER"),
        host=arguments.get("host") or os.environ.get("PGHOST") or None,
        port=int(port) if port and str(port).isdigit() else None,
        database=arguments.get("dbname") or arguments.get("database") or arguments.get("db"),
    )


def _from_dsn(dsn: object) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", dsn)) if isinstance(dsn, str) else {}


def _check_file(url: URL) -> None:
    """SQLite makes the file that it does not find: looking must not."""
    name = url.database or ""
    if name and name != ":memory:" and not name.startswith("file:") and not Path(name).exists():
        raise errors.DatabaseMissing(urls.name_of(url), "there is no such file")


@contextmanager
def _listening(*listeners: tuple[Any, str, Any]) -> Iterator[None]:
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        yield
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Undo what env.py's ``fileConfig`` does to the loggers of the host process: it disables them by default."""
    root = logging.getLogger()
    loggers = [root, *(lg for lg in logging.Logger.manager.loggerDict.values() if isinstance(lg, logging.Logger))]
    before = [(lg, lg.level, lg.handlers[:], lg.propagate, lg.disabled) for lg in loggers]
    try:
        yield
    finally:
        for logger, level, handlers, propagate, disabled in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate, logger.disabled = propagate, disabled


class _Printed(io.TextIOBase):
    """Stands in for stdout and stderr while env.py runs; hands each line on without secrets, keeps the last ones."""

    _KEPT = 3

    def __init__(self, hide: Callable[[str], str], tell: Tell) -> None:
        self._hide, self._tell = hide, tell
        self._partial = ""
        self._last: list[str] = []

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._line(line)
        return len(text)

    def writable(self) -> bool:
        return True

    def _line(self, line: str) -> None:
        hidden = self._hide(line)
        if hidden.strip():
            self._last = [*self._last, hidden.strip()][-self._KEPT :]
        self._tell(hidden)

    def tail(self) -> str:
        """The last lines, Alembic's own notices left out."""
        if self._partial:
            self._line(self._partial)
            self._partial = ""
        return " | ".join(line for line in self._last if "alembic.runtime" not in line)
