"""The caller's side of a worker: start it, enforce its time limits, and end it.

A worker runs in a separate session with its own descriptors, so that env.py's output and signals do not reach the
caller, and a Ctrl-C in the terminal does not reach the worker.  It is killed if it does not answer in time, and dies
with the caller.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import InitVar, dataclass, field
from math import inf
from typing import Any

from alembic_rescue import errors
from alembic_rescue.redact import Secrets
from alembic_rescue.worker.interpreter import Interpreter
from alembic_rescue.worker.protocol import Channel, Ended
from alembic_rescue.worker.spawn import Spawned, spawn, spawned_ahead

GRACE_SECONDS = 2.0
"""How long a worker has to react to a Ctrl-C before it is killed."""
SILENCE_SECONDS = 120.0
"""How long a worker may send nothing while env.py and its imports run."""
_KEPT_LINES = 5
_CHUNK = 1 << 16
_TICK_MILLISECONDS = 100
_DOING = {
    "load": "loading the project",
    "look": "looking at the database",
    "read": "reading the catalog",
    "dump": "copying the schema",
    "write": "writing",
    "read_back": "reading back",
    "graph": "loading the revision files",
    "prepare": "creating the scratch databases",
    "observe": "running the migrations on the scratch database",
    "guard": "taking the rescue lock",
    "guard_again": "waiting for the rescue lock",
    "migrate": "running the migrations",
    "upgrade": "running the migrations on a copy of the schema",
    "probe": "running the migrations on a copy of the schema",
    "settle": "running the migrations on the scratch database",
    "arrive": "running the migrations on the scratch database",
    "compare": "comparing definitions on the scratch database",
    "offline": "asking for the migrations' SQL",
    "reach": "running env.py without a database",
    "see": "running env.py on a scratch database",
    "bring": "running the migrations on the scratch database",
    "run_from_empty": "running the migrations on the scratch database",
    "widen": "widening the version table of the scratch database",
    "compare_models": "comparing the models with the scratch database",
}
"""What each operation does, for messages."""
Request = tuple[str, "dict[str, Any]"]
"""An operation and its arguments."""
Tell = Callable[[str], None]
"""Called with a line that the project's code printed, without secrets."""
Hear = Callable[[Any], None]
"""Called with a worker's progress."""


def live_worker(secrets: Secrets, tell: Tell, by: Interpreter | None = None) -> Worker:
    """Return the worker that was started ahead, if it is alive and runs the right Python; else a new one."""
    if spawned := spawned_ahead():
        worker = Worker("live", secrets, tell, spawned=spawned)
        if worker.alive and by is None:
            return worker
        worker.end()
    return Worker("live", secrets, tell, by=by)


def _nobody(_: Any) -> None:
    pass


@dataclass
class Worker:
    """One worker process.

    Args:
        mode: ``live`` looks at the project's databases and stamps them; ``scratch`` runs the chain without access to
            them.
        secrets: gets those that come up in the worker.
        tell: see :data:`Tell`.
        by: the Python that runs it; None for this one.
        spawned: its process, if already started.
    """

    mode: str
    secrets: Secrets
    tell: Tell = _nobody
    hear: Hear = _nobody
    by: Interpreter | None = None
    spawned: InitVar[Spawned | None] = None
    _last: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    _asked: bool = False
    """An answer is awaited."""
    _kept_back: list[str] | None = None
    """What it printed before the first answer, which brings the secrets; None once that has arrived."""
    _begun: deque[Request] = field(default_factory=deque)
    """The requests sent ahead, whose answers nobody has received yet."""

    def __post_init__(self, spawned: Spawned | None) -> None:
        self._process, reads, writes = spawned or spawn(self.mode, self.by)
        self._channel = Channel(reads, writes)
        self._ended = threading.Event()
        self._printing = threading.Lock()
        self._drain = threading.Thread(target=self._read_output, daemon=True, name="worker-output")
        self._drain.start()

    @property
    def alive(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def begin(self, request: Request) -> None:
        """Send a request ahead; :meth:`call` with the same operation and arguments then only receives its answer.

        The answer of another one that is called first is received and dropped.
        """
        if not self._begun:
            self._kept_back = []
        with suppress(errors.RescueError):  # the call tells how it died
            self._send(request)
        self._begun.append(request)

    def call(
        self,
        operation: str,
        *,
        seconds: float = SILENCE_SECONDS,
        whole: float = inf,
        answers: Mapping[str, Callable[..., Any]] | None = None,
        **arguments: Any,
    ) -> Any:
        """Run an operation in the worker, and return its result.

        Args:
            seconds: how long it may send nothing.
            whole: how long it may take in total.
            answers: handlers of the questions that the worker may ask.

        Raises:
            RescueError: raised by the worker.
            WorkerDied, WorkerSilent: it ended, or was killed because it sent nothing.
            KeyboardInterrupt: after the worker has reacted or was killed.
        """
        try:
            self._ask((operation, arguments), seconds)
            return self._listen(operation, seconds, answers or {}, time.monotonic() + whole)
        except KeyboardInterrupt:
            self.interrupt(1 + len(self._begun))
            raise
        finally:
            self._leave()

    def call_through(
        self,
        operation: str,
        *,
        seconds: float,
        whole: float = inf,
        answers: Mapping[str, Callable[..., Any]],
        **arguments: Any,
    ) -> Any:
        """Like :meth:`call`, but pass a Ctrl-C on to the worker, and return the result that it still gives."""
        self._ask((operation, arguments), seconds)
        try:
            return self._listen(operation, seconds, answers, time.monotonic() + whole)
        except KeyboardInterrupt:
            self._signal(signal.SIGINT)
            try:
                return self._listen(operation, GRACE_SECONDS, answers)
            except (errors.WorkerDied, errors.WorkerSilent, KeyboardInterrupt):
                self.kill()
                raise KeyboardInterrupt from None
        finally:
            self._leave()

    def interrupt(self, answers: int = 1) -> None:
        """Have it cancel the statement that its server runs, then kill it.

        Args:
            answers: how many it owes; each of the requests may run a statement.
        """
        self._signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            deadline = time.monotonic() + GRACE_SECONDS
            while self.alive and time.monotonic() < deadline:
                try:
                    message = self._channel.receive(0.1)
                except Ended:
                    break
                if message is None:
                    continue
                if "progress" in message:
                    self.hear(message["progress"])
                if {"done", "failed"} & message.keys():
                    answers -= 1
                    if not answers:
                        break
                    self._signal(signal.SIGINT)
        self.kill()

    def kill(self) -> None:
        """Kill it now; a statement still running on its server ends by the server's own timeouts."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Close the conversation, which makes it exit; kill it if it does not."""
        if self._begun and self.alive:
            self.interrupt(len(self._begun))
        self._channel.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.kill()
        self._ended.set()
        self._drain.join(0.5)

    def printed(self) -> str:
        """Return the last lines that it printed, for an error message."""
        self._drain.join(0.2)
        return self.secrets.hide(" | ".join(self._last))

    # --- parts -------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Kill the worker if its answer is outstanding, because that would be taken for the answer to the next call."""
        if self._asked:
            self.kill()
        with self._printing:
            kept_back, self._kept_back = self._kept_back or [], None
            for line in kept_back:
                self._pass_on(line)

    def _ask(self, request: Request, seconds: float) -> None:
        while self._begun:
            begun = self._begun.popleft()
            self._asked = True
            if begun == request:
                return
            with suppress(errors.RescueError):
                self._listen(begun[0], seconds, {})
        self._send(request)

    def _send(self, request: Request) -> None:
        self._tell_worker({"do": request[0], "with": request[1]})

    def _tell_worker(self, message: Mapping[str, Any]) -> None:
        self._asked = True
        try:
            self._channel.send(message)
        except Ended:
            raise self._died("starting") from None

    def _listen(self, doing: str, seconds: float, answers: Mapping[str, Callable[..., Any]], until: float = inf) -> Any:
        began = time.monotonic()
        while True:
            left = min(seconds, until - time.monotonic())
            try:
                message = self._channel.receive(left) if left > 0 else None
            except Ended:
                raise self._died(doing) from None
            if message is None:
                self.kill()
                waited = seconds if left == seconds else until - began
                raise errors.WorkerSilent(round(waited, 1), _DOING.get(doing, doing))
            self._learn(message)
            if "line" in message:
                try:
                    self._line(message["line"])
                except BaseException:
                    self.kill()  # nobody will receive its result
                    raise
            elif "progress" in message:
                self.hear(message["progress"])
            elif "ask" in message:
                self._tell_worker({"answer": answers[message["ask"]](**message["with"])})
            else:
                self._asked = False
                if "failed" in message:
                    raise message["failed"]
                return message["done"]

    def _learn(self, message: Mapping[str, Any]) -> None:
        known = message.get("secrets")
        if known:
            self.secrets.add(*known["known"])
            self.secrets.add_public(*known["public"])

    def _died(self, doing: str) -> errors.RescueError:
        try:
            how = _status(self._process.wait(1))
        except subprocess.TimeoutExpired:
            self.kill()
            how = "closed its end of the conversation"
        return errors.WorkerDied(how, _DOING.get(doing, doing), self.printed())

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _read_output(self) -> None:
        """Read the output through its descriptor, because a process left behind by env.py may keep the pipe open."""
        assert self._process.stdout is not None
        with self._process.stdout as output:
            ready, rest = select.poll(), b""
            ready.register(output, select.POLLIN)
            while not (self._ended.is_set() and not ready.poll(0)):
                if not ready.poll(_TICK_MILLISECONDS):
                    continue
                if not (chunk := os.read(output.fileno(), _CHUNK)):
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._printed_line(line)
            if rest:
                self._printed_line(rest)

    def _printed_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        with self._printing:
            if self._kept_back is None:
                self._pass_on(text)
            else:
                self._kept_back.append(text)

    def _pass_on(self, text: str) -> None:
        try:
            self._line(self.secrets.hide(text))
        except Exception:  # noqa: BLE001 - keep reading: a worker hangs if nobody reads its output
            self.tell = _nobody

    def _line(self, line: str) -> None:
        if line.strip():
            self._last.append(line.strip())
        self.tell(line)


def _status(status: int) -> str:
    """Describe an exit status for a message: ``ended with status 3``."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
