"""A connection of an asynchronous driver that is held open next to env.py's event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Connection, Engine

T = TypeVar("T")
U = TypeVar("U")
_CLOSING_SECONDS = 2
"""How long to wait for the connection to close; after that the thread is abandoned, and ends with the process."""


class HeldOpen(Generic[T]):
    """A connection of `engine`, on which `first` has run, held open until :meth:`release`.

    A thread with a separate event loop holds it: env.py's loop ends with env.py, and while it runs it waits for us.
    """

    def __init__(self, engine: Engine, first: Callable[[Connection], T]) -> None:
        self._engine, self._first = engine, first
        self._outcome: Future[T] = Future()
        self._connection: Any = None
        self._loop = asyncio.new_event_loop()
        self._holding = self._loop.create_task(self._hold())
        self._thread = threading.Thread(target=self._run, daemon=True, name="alembic-rescue-holds-connection")
        self._thread.start()

    def came_about(self, seconds: float) -> bool:
        """Wait until `first` has run or failed; return False if it did neither in that time."""
        return bool(wait([self._outcome], seconds).done)

    def outcome(self) -> T:
        """Return what `first` returned; raise what it raised, or what connecting raised."""
        return self._outcome.result()

    def ask(self, question: Callable[[Connection], U]) -> U:
        """Return what `question` returns on the connection, once earlier questions are done; raise what it raises."""
        return asyncio.run_coroutine_threadsafe(self._asked(question), self._loop).result()

    def release(self) -> None:
        """Close the connection, or stop opening it; never raises, and never waits long."""
        with suppress(RuntimeError):  # the loop has already ended
            self._loop.call_soon_threadsafe(self._holding.cancel)
        self._thread.join(_CLOSING_SECONDS)

    async def _hold(self) -> None:
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - it is there where the driver is asynchronous

        engine = AsyncEngine(self._engine)
        try:
            async with engine.connect() as connection:
                try:
                    first = await connection.run_sync(self._first)
                    self._connection = connection
                    self._outcome.set_result(first)
                    await asyncio.Event().wait()  # until cancelled
                finally:
                    await connection.invalidate()  # it may be lost: a rollback would log that as an error
        finally:
            await engine.dispose()

    async def _asked(self, question: Callable[[Connection], U]) -> U:
        answer: U = await self._connection.run_sync(question)
        return answer

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._holding)
        except BaseException as error:  # noqa: BLE001 - CancelledError, or what is to be raised in the other thread
            if not self._outcome.done():
                self._outcome.set_exception(error)
        finally:
            self._loop.close()
