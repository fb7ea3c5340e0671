"""Replaying migrations so that nothing happens: what each would send to the database is caught before the driver.

`upgrade()` runs as it is, with Alembic's own operations on a migration context of the live session.  Everything that
it sends comes by SQLAlchemy's events ``do_execute`` and ``do_executemany``, whichever way it went: an operation,
``op.execute``, a plugin's operation, ``op.get_bind()``, a Session, ``Table.create``.  Queries pass (the session is
held read-only by the server); everything else is recorded, as the very SQL that Alembic would have run, and goes no
further.  So there is one reader for all of it: :mod:`alembic_rescue.ddl`.
"""

from __future__ import annotations

import copy
import inspect
import io
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from types import FrameType, MethodType, TracebackType
from typing import Any

from alembic.ddl.impl import DefaultImpl
from alembic.operations import BatchOperations, Operations
from alembic.operations.batch import BatchOperationsImpl
from alembic.operations.ops import ExecuteSQLOp
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from alembic_rescue.compat import driver_connection
from alembic_rescue.connecting import poolers
from alembic_rescue.ddl import reader_for
from alembic_rescue.ddl.reader import calls_functions, is_query, one_line, sets_search_path
from alembic_rescue.footprint.deadline import Deadline, TimeIsUp, deadline
from alembic_rescue.footprint.rendering import with_parameters
from alembic_rescue.footprint.worlds import World, finding_nothing, inhabited, looks_at_catalog, no_row
from alembic_rescue.model_evidence import Footprint, Opaque, Statement

_SAVEPOINT = re.compile(r"\s*(?:SAVEPOINT|RELEASE\s+SAVEPOINT|ROLLBACK\s+TO)\b", re.IGNORECASE)
_REORDERING = ("insert_before", "insert_after")


def replay(
    context: MigrationContext,
    script: ScriptDirectory,
    revisions: Sequence[str],
    kw: Mapping[str, Any],
    seconds: float = 10.0,
    home: str | None = None,
) -> tuple[Footprint, ...]:
    """What each of `revisions`, replayed in this order, would send.

    Args:
        context: as env.py configured it; its session must be read-only.
        kw: what env.py gives to ``run_migrations(**kw)``; see :func:`alembic_rescue.environment.keyword_arguments`.
        seconds: the time limit for each revision.
        home: the schema in which the session creates.
    """
    still = _still(context)
    return tuple(_replay_one(still, script, revision, kw, seconds, home) for revision in revisions)


def _replay_one(
    context: MigrationContext,
    script: ScriptDirectory,
    revision: str,
    kw: Mapping[str, Any],
    seconds: float,
    home: str | None,
) -> Footprint:
    """The footprint in the live world, and what guards held back, found in the others."""
    found = script.get_revision(revision)
    path = _absolute(found.path)
    live = _Recorder(context, revision, path, home, World.LIVE)
    failure, line = live.run(found.module, kw, seconds)
    statements = list(live.statements)
    if live.looked:
        for world in (World.SHALLOW, World.EMPTY):
            other = _Recorder(context, revision, path, home, world)
            other.run(found.module, kw, seconds)  # where it fails, what it recorded until then counts all the same
            statements = _merged(other.statements, statements)
    return Footprint(revision, tuple(statements), failure, line, path)


def _merged(hypothetical: Sequence[Statement], statements: Sequence[Statement]) -> list[Statement]:
    """The statements of both, each once, in the order of the migration as far as it goes."""
    known = {(s.line, s.sql): s for s in statements}
    merged: list[Statement] = []
    for statement in hypothetical:
        same = known.pop((statement.line, statement.sql), None)
        if same is not None or not _only_opaque(statement):
            merged.append(same or statement)
    return merged + [s for s in statements if (s.line, s.sql) in known]


def _only_opaque(statement: Statement) -> bool:
    return all(isinstance(effect, Opaque) for effect in statement.effects)


class _Recorder:
    """One replay of one revision, in one world."""

    def __init__(self, context: MigrationContext, revision: str, path: str, home: str | None, world: World) -> None:
        assert context.connection is not None, "online mode has a connection"
        self.statements: list[Statement] = []
        self.looked = False
        """The migration asked what exists."""
        self._context = context
        self._connection: Connection = context.connection
        self._revision, self._path, self._world = revision, path, world
        self._reader = reader_for(context.dialect.name, home)
        self._postgres = context.dialect.name == "postgresql"
        self._executes_text = False
        self._thread = threading.get_ident()  # the hook is on all engines: other threads are none of its business

    def run(self, module: Any, kw: Mapping[str, Any], seconds: float) -> tuple[str | None, int | None]:
        """Replay ``module.upgrade(**kw)``; why and where it could not be finished, or None and None."""
        limit = Deadline()
        too_long = f"it took longer than {seconds:g} seconds"
        try:
            with ExitStack() as around:
                around.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # about the migration, not about the tool
                around.enter_context(redirect_stdout(io.StringIO()))
                around.enter_context(redirect_stderr(io.StringIO()))
                around.enter_context(_rolled_back(self._connection))
                around.enter_context(self._operations())
                around.enter_context(self._caught())
                around.enter_context(inhabited(self._connection, self._world))
                with deadline(seconds, self._cancel) as limit:
                    module.upgrade(**kw)
        except KeyboardInterrupt:
            raise
        except TimeIsUp as error:
            return too_long, _line_of(error.__traceback__, self._path)
        except SystemExit as error:
            return f"it ends the program ({error.code})", _line_of(error.__traceback__, self._path)
        except BaseException as error:  # noqa: BLE001 - whatever a migration raises
            if limit.passed:
                return too_long, _line_of(error.__traceback__, self._path)
            words = one_line(str(error).split("\n", 1)[0])
            return f"it raises {type(error).__name__}: {words}", _line_of(error.__traceback__, self._path)
        return (too_long, None) if limit.passed else (None, None)

    def _cancel(self) -> None:
        poolers.cancel(driver_connection(self._connection.connection))

    @contextmanager
    def _operations(self) -> Iterator[None]:
        """Put ``op`` in place, bound to the replay; what stood there before stands there afterwards."""
        op: Any = Operations(self._context)
        op.batch_alter_table = MethodType(_batch_alter_table, op)
        invoke = op.invoke

        def marking(operation: Any) -> Any:
            before, self._executes_text = self._executes_text, isinstance(operation, ExecuteSQLOp)
            sent = len(self.statements)
            try:
                return invoke(operation)
            finally:
                self._executes_text = before
                if len(self.statements) == sent and not _is_alembics(operation):
                    self._append(
                        "", (Opaque(f"{type(operation).__name__} is a plugin's operation that sends nothing"),)
                    )

        op.invoke = marking
        from alembic import op as module  # noqa: PLC0415 - the proxy that migrations import

        outer = vars(module).get("_proxy")
        op._install_proxy()  # noqa: SLF001 - as Operations.context() does, without taking the outer one away
        try:
            yield
        finally:
            op._remove_proxy()  # noqa: SLF001
            if outer is not None:
                outer._install_proxy()  # noqa: SLF001

    @contextmanager
    def _caught(self) -> Iterator[None]:
        listeners: list[tuple[str, Callable[..., bool | None]]] = [
            ("do_execute", self._do_execute),
            ("do_executemany", self._do_execute),
            ("do_execute_no_params", lambda cursor, sql, context: self._do_execute(cursor, sql, None, context)),
        ]
        for name, listener in listeners:
            event.listen(Engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners:
                event.remove(Engine, name, listener)

    def _do_execute(self, cursor: Any, sql: str, parameters: Any, _context: Any) -> bool | None:
        """SQLAlchemy's hook: True means that the statement was dealt with, and the driver never sees it."""
        if _SAVEPOINT.match(sql) or threading.get_ident() != self._thread:
            return None
        plain = with_parameters(cursor, sql, parameters)
        if not is_query(plain, postgres=self._postgres):
            self._record(plain)
            if self._context.dialect.is_async:  # SQLAlchemy insists that an async driver is awaited
                cursor.execute(no_row(self._context.dialect.name))
            return True
        if sets_search_path(plain):
            self._reader.read(plain)
            return None
        if self._executes_text:  # nobody reads the answer: it was sent for what it does
            if not self._postgres or calls_functions(plain):
                self._append(plain, (Opaque(f"calls functions: {one_line(plain)}"),))
            return True
        if looks_at_catalog(plain):
            self.looked = True
            if self._world is World.EMPTY:
                cursor.execute(finding_nothing(plain, self._context.dialect.name))
                return True
        return None

    def _record(self, sql: str) -> None:
        for statement in self._reader.split(sql):
            self._append(statement, self._reader.read(statement))

    def _append(self, sql: str, effects: tuple[Any, ...]) -> None:
        line = next(
            (line for frame in _stacks(inspect.currentframe()) if (line := _line_of_stack(frame, self._path))), None
        )
        hypothetical = self._world is not World.LIVE
        self.statements.append(Statement(self._revision, sql.strip(), effects, self._path, line, hypothetical))


def _is_alembics(operation: object) -> bool:
    return type(operation).__module__.startswith("alembic.")


def _still(context: MigrationContext) -> MigrationContext:
    """The same context, but for beginning and committing."""
    still: Any = copy.copy(context)
    still.impl = copy.copy(context.impl)
    still.autocommit_block = nullcontext
    still.begin_transaction = lambda *_, **__: nullcontext()
    if context.dialect.name == "sqlite":  # its own refuse what batch mode does by copying the table
        for name in ("add_constraint", "drop_constraint"):
            setattr(still.impl, name, MethodType(getattr(DefaultImpl, name), still.impl))
    return still  # type: ignore[no-any-return]


class _Batch(BatchOperationsImpl):
    """Batch mode as plain ALTERs: what is left behind is the same as by copy and move."""

    def _should_recreate(self) -> bool:
        return True

    def flush(self) -> None:
        for name, args, kw in self.batch:
            getattr(self.operations.impl, name)(*args, **{k: v for k, v in kw.items() if k not in _REORDERING})


@contextmanager
def _batch_alter_table(op: Operations, table_name: str, schema: str | None = None, *_: Any, **__: Any) -> Iterator[Any]:
    impl = _Batch(op, table_name, schema, "never", None, (), {}, (), {}, None, ())  # type: ignore[no-untyped-call]
    yield BatchOperations(op.migration_context, impl=impl)
    impl.flush()


@contextmanager
def _rolled_back(connection: Connection) -> Iterator[None]:
    """A SAVEPOINT around the replay: an error in one revision, or a SET, must not reach the next one."""
    nested = None
    with suppress(Exception):  # some drivers and isolation levels have none
        nested = connection.begin_nested()
    try:
        yield
    finally:
        with suppress(Exception):  # the migration may have ended the transaction
            if nested is not None and nested.is_active:
                nested.rollback()


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve() follows links, and Python's file names do not


def _stacks(frame: FrameType | None) -> Iterator[FrameType | None]:
    """This stack, and below it those of the greenlets that wait for it: an async driver is called from a new one."""
    yield frame
    with suppress(ImportError):
        import greenlet  # noqa: PLC0415 - SQLAlchemy has it where there are async drivers

        waiting = greenlet.getcurrent().parent
        while waiting is not None:
            yield waiting.gr_frame
            waiting = waiting.parent


def _line_of_stack(frame: FrameType | None, path: str) -> int | None:
    while frame is not None:
        if _absolute(frame.f_code.co_filename) == path:
            return frame.f_lineno
        frame = frame.f_back
    return None


def _line_of(traceback: TracebackType | None, path: str) -> int | None:
    line = None
    while traceback is not None:
        if _absolute(traceback.tb_frame.f_code.co_filename) == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
