"""The worker's side: run the caller's requests one after another, and die with the caller.

Needs only the standard library, Alembic, SQLAlchemy and the driver; nothing here prints.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from alembic_rescue import errors, interrupts
from alembic_rescue.redact import Secrets
from alembic_rescue.worker.protocol import Channel, Ended

_MODES = {"live": "alembic_rescue.worker.live.operations", "scratch": "alembic_rescue.worker.scratch.operations"}
_PR_SET_PDEATHSIG = 1
_HIGH = 200
"""Lowest number for the worker's descriptors, out of the way of code that closes or expects low ones."""


class Conversation:
    """What an operation can send to the caller, and ask it."""

    def __init__(self, channel: Channel) -> None:
        self.secrets = Secrets()
        self._channel = channel
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._sent: tuple[int, int] = (0, 0)
        self._process = os.getpid()

    def tell(self, line: str) -> None:
        """Forward a line that the project's code printed, without secrets."""
        self.say({"line": self.secrets.hide(line)})

    def progress(self, how_far: object) -> None:
        """Report progress."""
        self.say({"progress": how_far})

    def ask(self, question: str, **given: Any) -> Any:
        """Ask the caller and wait for its answer."""
        self.say({"ask": question, "with": given})
        return self.next()["answer"]

    def say(self, message: dict[str, Any]) -> None:
        """Send a message, with the secrets that are new since the last one.  Does nothing in a fork by env.py."""
        if os.getpid() != self._process:
            return
        known, public = self.secrets.all()
        if (len(known), len(public)) != self._sent:
            self._sent = (len(known), len(public))
            message = {**message, "secrets": {"known": sorted(known), "public": sorted(public)}}
        with suppress(Ended):
            self._channel.send(message)

    def next(self) -> dict[str, Any]:
        """Return the caller's next request.  A fork by env.py exits instead."""
        if os.getpid() != self._process:
            os._exit(0)
        return self._inbox.get()

    def listen(self) -> None:
        """Receive the caller's messages.  Exit the process once the caller is gone, whatever it is doing."""
        try:
            while (message := self._channel.receive()) is not None:
                self._inbox.put(message)
        except Ended:
            pass
        finally:
            os._exit(0)


Operation = Callable[..., Any]
"""Takes the conversation and the request's arguments, and returns the answer."""


def serve(given: Mapping[str, Any]) -> None:
    """Serve the caller until it is gone."""
    _die_with(given["caller"])
    conversation = Conversation(Channel(_out_of_the_way(given["reads"]), _out_of_the_way(given["writes"])))
    threading.Thread(target=conversation.listen, daemon=True, name="caller").start()
    gc.disable()  # imports leave no garbage, and collecting during them takes a third of the time
    operations: Mapping[str, Operation] = import_module(_MODES[given["mode"]]).OPERATIONS
    gc.freeze()
    gc.enable()
    while True:
        request = conversation.next()
        conversation.say(_answer(conversation, operations[request["do"]], request["with"]))


def _answer(conversation: Conversation, operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        with interrupts.at_once(_cancel_running, lambda: None, errors.INTERRUPTED):
            return {"done": operation(conversation, **given)}
    except errors.RescueError as error:
        return {"failed": _traced(error, error)}
    except KeyboardInterrupt:
        return {"failed": errors.Interrupted("nothing was written")}
    except BaseException as error:  # noqa: BLE001 - the last handler: a bug in the tool itself
        told = errors.InternalError(conversation.secrets.hide(f"{type(error).__name__}: {errors.said(error)}"))
        return {"failed": _traced(told, error)}


def _traced(error: errors.RescueError, cause: BaseException) -> errors.RescueError:
    vars(error).pop("report", None)
    error.trace = "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    return error


def _cancel_running() -> None:
    connections = sys.modules.get("alembic_rescue.connection.connections")
    if connections is not None:
        connections.cancel_running()


def _out_of_the_way(descriptor: int) -> int:
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(descriptor)
    return high


def _die_with(caller: int | None) -> None:
    """Have the Linux kernel kill this process when the caller dies; elsewhere the end of the conversation ends it.

    Linux kills it with the *thread* that started it, so this is set only if that was the main thread.
    """
    if caller is None or sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != caller:
        os._exit(0)
