"""Every wait for a server ends on this side, too: by hanging up.

The server has its own timeouts, which end what it runs.  A server that went silent (a proxy, a NAT that forgot, a
paused machine) answers nothing, and no driver ends such a wait.  So this side runs a clock: after the server's own
timeout it asks the server to cancel, which is the only way to end a statement behind a pooler; a moment later it shuts
the connection down, and the driver reports it as lost.

SQLAlchemy waits for a server only in methods of the dialect, which are wrapped for the time of one run.  The tool's
own statements, which SQLAlchemy does not see, use the same methods.  Calls that env.py makes directly to a driver do
not: there the caller's clock ends the worker.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.pool import Pool

from alembic_rescue import dialects
from alembic_rescue.compat import connection_of, driver_connection
from alembic_rescue.connection import drivers
from alembic_rescue.connection.sessions import GRACE_SECONDS, Timeouts
from alembic_rescue.dialects.blockers import shortened

_STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")
_OTHERS = {
    "do_commit": "COMMIT",
    "do_rollback": "ROLLBACK",
    "do_ping": "a ping",
    "do_close": "the end of the session",
    "do_terminate": "the end of the session",
    "get_isolation_level": "the isolation level",
    "set_isolation_level": "the isolation level",
}
"""What each of these methods asks for."""
_AS_IT_IS_MADE = "the first questions on a new connection"
_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Silence:
    """A server that did not answer, and what it was asked."""

    seconds: float
    asked: str
    """A statement, or a description of another request."""

    def reason(self, hide: Callable[[str], str]) -> str:
        """Return the reason for the error's text; `hide` removes secrets."""
        return f"the server went silent: no answer for {self.seconds:.0f} s to {shortened(self.asked, hide)}"


class Waits:
    """The waits of one run, which must be :meth:`bounded`."""

    def __init__(self, timeouts: Timeouts, *, read_only: bool) -> None:
        self.cancelled = False
        """A statement behind a pooler was cancelled, instead of by the server's own timeout."""
        self.silence: Silence | None = None
        """The first silence of a server, after which all connections of the run were hung up."""
        self.failed: Exception | None = None
        """The error of the last failed wait; SQLAlchemy may have swallowed it."""
        _CLOCK.start()
        self._usual = timeouts.longest_wait - GRACE_SECONDS
        self._behind_a_pooler = timeouts.statement if read_only else timeouts.lock
        self._pooled: weakref.WeakSet[Any] = weakref.WeakSet()
        self._connections: dict[int, weakref.ref[Any]] = {}
        self._wrapped: list[tuple[Dialect, dict[str, Any]]] = []
        self._made: dict[int, _Wait] = {}
        """From a connection's creation until its checkout: listeners may query it."""
        self.listeners = (
            (Engine, "do_connect", lambda dialect, *_: self._wrap(dialect)),
            (Engine, "engine_connect", lambda connection, *_: self._wrap(connection.dialect)),
            (Pool, "first_connect", self._is_made),
            (Pool, "connect", self._is_made),
            (Pool, "checkout", self._is_handed_out),
        )

    def behind_a_pooler(self, raw: Any) -> None:
        """Note that the driver's connection `raw` goes to a pooler: no session timeout applies."""
        self._pooled.add(raw)

    def hang_up(self, silence: Silence) -> None:
        """Shut all of the run's connections down: most go to the same server, and the run fails anyway."""
        for connection in tuple(self._connections.values()):
            with suppress(Exception):  # whatever the driver raises: it may be closed by now
                if drivers.hang_up(connection()):
                    self.silence = self.silence or silence

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Restore the dialects at the end of the block."""
        try:
            yield
        finally:
            while self._wrapped:
                dialect, before = self._wrapped.pop()
                for name in (*_STATEMENTS, *_OTHERS):
                    vars(dialect).pop(name, None)
                vars(dialect).update(before)
            while self._made:
                _CLOCK.end(self._made.popitem()[1])

    def _wrap(self, dialect: Dialect) -> None:
        known = any(dialect is one for one, _ in self._wrapped)
        if known or not dialects.of(dialect.name).holds_sessions:
            return
        names = [name for name in (*_STATEMENTS, *_OTHERS) if hasattr(dialect, name)]
        self._wrapped.append((dialect, {name: vars(dialect)[name] for name in names if name in vars(dialect)}))
        for name in names:
            setattr(dialect, name, self._waiting(getattr(dialect, name), name))

    def _waiting(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(call)
        def waiting(subject: Any, *arguments: Any, **named: Any) -> Any:
            if name in _OTHERS:
                raw, asked = driver_connection(subject), _OTHERS[name]
            else:
                raw, asked = connection_of(subject), str(arguments[0])
            wait = self._begin(raw, asked)
            try:
                return call(subject, *arguments, **named)
            except Exception as error:
                self.failed = error
                raise
            finally:
                _CLOCK.end(wait)

        return waiting

    def _is_made(self, dbapi_connection: Any, _record: Any) -> None:
        raw = driver_connection(dbapi_connection)
        if id(raw) not in self._made:  # the first connection of a pool arrives twice
            self._made[id(raw)] = self._begin(raw, _AS_IT_IS_MADE)

    def _is_handed_out(self, dbapi_connection: Any, *_: object) -> None:
        if wait := self._made.pop(id(driver_connection(dbapi_connection)), None):
            _CLOCK.end(wait)

    def _begin(self, raw: Any, asked: str) -> _Wait:
        with suppress(TypeError):  # a driver's connection without weak references is not hung up
            self._connections[id(raw)] = weakref.ref(raw)
        pooled = raw in self._pooled
        wait = _Wait(self, raw, asked, pooled, self._behind_a_pooler if pooled else self._usual)
        _CLOCK.begin(wait)
        return wait


@dataclass(eq=False)
class _Wait:
    of: Waits
    raw: Any
    asked: str
    pooled: bool
    seconds: float
    """After this time the server is asked to cancel."""
    began: float = field(default_factory=time.monotonic)
    late: bool = False

    def look(self) -> bool:
        """Take the action that is due; return whether it was the last."""
        waited = time.monotonic() - self.began
        if waited > self.seconds and not self.late:
            self.late = True
            with suppress(RuntimeError):  # no more threads: then the connection is hung up all the same
                threading.Thread(target=self._cancel, daemon=True, name="alembic-rescue-cancels").start()
        if waited <= self.seconds + GRACE_SECONDS:
            return False
        self.of.hang_up(Silence(waited, self.asked))
        return True

    def _cancel(self) -> None:
        self.of.cancelled |= self.pooled
        drivers.ask_to_cancel(self.raw)


class _Clock:
    """One thread for all waits of the process; it sleeps while there are none."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._any = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; must be called before env.py may affect threads."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="alembic-rescue-clock")
            self._thread.start()

    def begin(self, wait: _Wait) -> None:
        self._waits.add(wait)
        self._any.set()

    def end(self, wait: _Wait) -> None:
        with self._lock:  # not while it is being hung up: its descriptor may be another's a moment later
            self._waits.discard(wait)

    def _run(self) -> None:
        while self._any.wait():
            self._any.clear()
            while self._waits:
                time.sleep(_TICK_SECONDS)
                with self._lock:
                    self._waits.difference_update([wait for wait in tuple(self._waits) if wait.look()])


_CLOCK = _Clock()
