"""The project as the caller sees it: its settings, and the processes that have loaded it.

None of the project's code runs here.  A worker runs it; see :mod:`alembic_rescue.worker.process`.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic_rescue import errors
from alembic_rescue.dialects.handover import Standing
from alembic_rescue.evidence.completion import Completion
from alembic_rescue.evidence.observation import CatalogObject, Reading
from alembic_rescue.evidence.rehearsal import Demand
from alembic_rescue.model import Identity
from alembic_rescue.project import below
from alembic_rescue.redact import Secrets
from alembic_rescue.worker import interpreter
from alembic_rescue.worker.interpreter import Interpreter
from alembic_rescue.worker.process import Hear, Request, Tell, Worker, live_worker
from alembic_rescue.worker.requests import (
    Backend,
    Guarded,
    Loaded,
    Loading,
    Look,
    Ran,
    Rows,
    ScriptFile,
    ToWrite,
    Written,
)

if TYPE_CHECKING:
    from alembic.config import Config

Key = tuple[str, str]
_WHOLE = 4
"""The limit for a whole request to a worker, as a multiple of the silence allowed: env.py may go on printing."""
_MARGIN_SECONDS = 60.0
"""The time for env.py and its imports, on top of the waits that have their own timeouts."""


HEADS = frozenset(["head", "heads"])
"""The targets of an upgrade for which a database at its heads needs no lock."""


def looking() -> Request:
    """The request of a first :meth:`Project.look`, for :func:`load` to send ahead."""
    return "look", {"known": ()}


def guarding(lock_url: str | None, *, leaving_heads: bool) -> Request:
    """The request of a first :meth:`Project.guard`, for :func:`load` to send ahead."""
    return "guard", {"known": (), "lock_url": lock_url, "leaving_heads": leaving_heads}


def silent(_: Any) -> None:
    """Do nothing."""


@dataclass
class Project:
    """A loaded project.  Its worker ends with it, and does one thing at a time even if several threads call it."""

    named: Loading
    loaded: Loaded
    secrets: Secrets = field(repr=False)
    scratch: str | None = None
    """``--scratch``: a URL, ``local`` or ``none``; None picks one automatically."""
    revision_seconds: float = 60.0
    """``--revision-timeout``."""
    baseline: Path | None = None
    """``--baseline``: SQL that creates what existed before the first revision."""
    tell: Tell = field(default=silent, repr=False)
    hear: Hear = field(default=silent, repr=False)
    _worker: Worker | None = field(default=None, repr=False)
    _known: tuple[ScriptFile, ...] = field(default=(), repr=False)
    _process: int = field(default_factory=os.getpid, repr=False)
    _turn: threading.RLock = field(default_factory=threading.RLock, repr=False)
    python: Interpreter | None = None
    """The project's own interpreter, which runs the workers; None if the project is in the caller's environment."""
    longest: float | None = None
    """The most seconds a look may take; None: as long as its own timeouts allow."""

    @property
    def settings(self) -> dict[str, str]:
        """The section ``[alembic_rescue]``."""
        return self.loaded.settings

    def look(self) -> Look:
        """Run env.py, and return the databases that it visits and the revisions of the scripts.

        Raises:
            RescueError: the scripts, env.py or the database cannot be read.
        """
        found: Look = self._live("look", known=self._known)
        if found.unreadable:
            self._known = self.told_by_running(found.unreadable)
            found = self._live("look", known=self._known)
        return found

    def read(self, wanted: Mapping[Key, Collection[CatalogObject]]) -> dict[Key, Reading]:
        """Read these objects of the live databases."""
        found: dict[Key, Reading] = self._live("read", wanted=dict(wanted))
        return found

    def ask_rows(self, key: Key, demands: Sequence[Demand], tables: Collection[str]) -> Rows:
        """Query one live database for what depends on its rows, and for the sizes of these tables."""
        asked = {"key": key, "demands": tuple(demands), "tables": tuple(tables)}
        found: Rows = self._live("ask_rows", silences=_WHOLE + len(demands), **asked)
        return found

    def standing(self, key: Key, names: Collection[str]) -> tuple[Standing, ...]:
        """Describe these objects of one live database, in a form that a script file can query again."""
        found: tuple[tuple[str, str, dict[str, str] | None], ...] = self._live("standing", key=key, names=tuple(names))
        return tuple(Standing(*one) for one in found)

    def dump(self, key: Key, programs: Path | None) -> Any:
        """The schema of one live database, as SQL."""
        return self._live("dump", key=key, programs=programs)

    def write(
        self, planned: Sequence[ToWrite], left_out: Collection[Key], begin: Callable[[Mapping[Key, str]], None]
    ) -> Written:
        """Lock, look again, call `begin`, stamp, read back.  Never raise after `begin`: the result says what happened.

        If the worker has died by then, a new one reads back once the server has ended what the old one ran.

        Raises:
            RescueError: nothing was written.
        """
        with self._turn:
            return self._write(tuple(planned), tuple(left_out), begin)

    def complete(
        self,
        planned: ToWrite,
        left_out: Collection[Key],
        completion: Completion,
        begin: Callable[[Mapping[Key, str]], None],
    ) -> None:
        """Lock, look again, call `begin`, and run the statements that a revision lacks.

        Raises:
            RescueError: see :func:`alembic_rescue.worker.live.completing.complete`.
        """
        with self._turn:
            worker, silence = self._running(), self._silence()
            worker.tell, worker.hear = self.tell, self.hear
            worker.call_through(
                "complete",
                seconds=silence,
                whole=(_WHOLE + len(completion.statements)) * silence,
                answers={"begin": begin},
                planned=planned,
                left_out=tuple(left_out),
                completion=completion,
            )

    def _write(
        self, planned: tuple[ToWrite, ...], left_out: tuple[Key, ...], begin: Callable[[Mapping[Key, str]], None]
    ) -> Written:
        begun: list[bool] = []
        backends: list[Backend] = []

        def put_on_disk(tables: Mapping[Key, str]) -> None:
            begin(tables)
            begun.append(True)

        worker, silence = self._running(), self._silence()
        hear = self.hear  # a closure over self would keep it alive
        worker.hear = lambda said: backends.append(said) if isinstance(said, Backend) else hear(said)
        try:
            written: Written = worker.call_through(
                "write",
                seconds=silence,
                whole=_WHOLE * silence,
                answers={"begin": put_on_disk},
                planned=planned,
                left_out=left_out,
            )
        except (errors.WorkerDied, errors.WorkerSilent) as error:
            if not begun:
                raise
            return replace(self._read_back(backends), failure=error)
        except KeyboardInterrupt:
            if not begun:
                raise
            return replace(self._read_back(backends, hurry=True), interrupted=True)
        return written

    def _read_back(self, backends: Sequence[Backend], *, hurry: bool = False) -> Written:
        """Read back in a new worker."""
        try:
            told: Written = self._live("read_back", backends=tuple(backends), hurry=hurry)
        except KeyboardInterrupt:
            return Written({}, interrupted=True, unread=errors.Interrupted("before it was read back"))
        except errors.RescueError as error:
            return Written({}, unread=error)
        return told

    def told_by_running(self, files: Sequence[Path]) -> tuple[ScriptFile, ...]:
        """Run revision files that must be executed to be read, in a process that has access to nothing."""
        worker = Worker("scratch", self.secrets, self.tell, self.hear, self.python)
        try:
            told: tuple[ScriptFile, ...] = worker.call("graph", loading=self.named, files=tuple(files))
        finally:
            worker.end()
        return told

    def with_recovered(self, folders: Sequence[str]) -> Project:
        """The same project with more folders of revisions, for the processes that run them.

        The live worker is shared.
        """
        return replace(self, named=replace(self.named, recovered=tuple(folders)))

    def guard(self, lock_url: str | None, *, leaving_heads: bool) -> Guarded:
        """Try to take the rescue lock of each database for the whole upgrade, and look at the databases.

        Args:
            lock_url: the address on which to take the lock; None: env.py's.
            leaving_heads: take no lock on databases at their heads.
        """
        asked: dict[str, Any] = {"lock_url": lock_url, "leaving_heads": leaving_heads}
        found: Guarded = self._live("guard", known=self._known, **asked)
        if found.look is not None and found.look.unreadable:
            self._known = self.told_by_running(found.look.unreadable)
            found = self._live("guard", known=self._known, **asked)
        return found

    def guard_again(self) -> Guarded:
        """Try again to take the missing locks.  Returns no look: the databases must be looked at again."""
        found: Guarded = self._live("guard_again")
        return found

    def unguard(self) -> None:
        """Release the rescue locks."""
        if self._worker is not None and self._worker.alive:
            self._live("unguard")

    def upgrade(self, target: str, visited: Sequence[Identity]) -> Ran:
        """Run ``alembic upgrade`` under the locks, however long that takes.

        Raises:
            WorkerDied, WorkerSilent: the state of the databases must be read again.
            KeyboardInterrupt: likewise; the server has been asked to cancel the running statement.
        """
        found: Ran = self._live("migrate", silences=math.inf, target=target, visited=tuple(visited))
        return found

    def end(self) -> None:
        """End its worker."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    # --- parts -------------------------------------------------------------------------------------------------

    def _live(self, operation: str, silences: float = _WHOLE, **arguments: Any) -> Any:
        with self._turn:
            worker = self._running()
            worker.tell, worker.hear = self.tell, self.hear
            silence = self._silence()
            whole = silences * silence if self.longest is None else min(silences * silence, self.longest)
            return worker.call(operation, seconds=silence, whole=whole, **arguments)

    def _running(self) -> Worker:
        """The live worker; a new one if it has died, or if it belongs to the process that this one was forked from."""
        if self._process != os.getpid():
            self._worker, self._process = None, os.getpid()
        if self._worker is None or not self._worker.alive:
            if self._worker is not None:
                self._worker.end()
            self._worker, self.loaded = _started(self.named, self.secrets, self.tell, self.python)
            weakref.finalize(self, _end, self._worker)
        return self._worker

    def _silence(self) -> float:
        """How long a worker may be silent: longer than all its own timeouts in sequence."""
        loaded = self.loaded
        return 2 * (loaded.lock_seconds + loaded.statement_seconds + loaded.connect_seconds) + _MARGIN_SECONDS


def _started(
    named: Loading,
    secrets: Secrets,
    tell: Tell,
    python: Interpreter | None,
    meanwhile: Callable[[], object] = dict,
    ahead: Request | None = None,
) -> tuple[Worker, Loaded]:
    worker = live_worker(secrets, tell, python)
    try:
        worker.begin(("load", {"loading": named}))
        if ahead is not None:
            worker.begin(ahead)
        meanwhile()
        return worker, worker.call("load", loading=named)
    except BaseException:
        worker.end()
        raise


def _end(worker: Worker) -> None:
    with suppress(OSError):
        worker.end()


def load(
    config_file: str | Sequence[str] | None = None,
    section: str | None = None,
    x: Sequence[str] = (),
    url: str | None = None,
    lock_timeout: float | None = None,
    secrets: Secrets | None = None,
    *,
    config: Config | None = None,
    config_from: str | None = None,
    app: str | None = None,
    scratch: str | None = None,
    revision_timeout: float = 60.0,
    baseline: Path | None = None,
    python: str | Path | None = None,
    tell: Tell = silent,
    hear: Hear = silent,
    meanwhile: Callable[[], object] = dict,
    ahead: Request | None = None,
) -> Project:
    """Load the project of the working directory, or the named one, in a separate process.

    Args:
        config_file: as ``alembic -c``; an ini file, a ``pyproject.toml``, or one of each.
        section: as ``alembic -n``.
        x: as ``alembic -x``, for env.py.
        url: the database to use, whatever env.py says.
        lock_timeout: in seconds; None takes the project's setting, or 5.
        secrets: collects the passwords that come up, to keep them out of all text.
        config: a Config made in code, instead of files.  Its options are sent to the other process, and so are its
            attributes that JSON can represent.
        config_from: ``package.module:callable``, which returns such a Config in the other process.
        app: a Flask application with Flask-Migrate, as ``flask --app``.  A `config_file` given with it names the
            migrations folder, if that is not the application's own.
        scratch: where the chain may run: the URL of a server or of an empty database, ``local``, or ``none``.
        revision_timeout: how many seconds one revision may take on the scratch database.
        baseline: SQL that creates, on the scratch database, what existed before the first revision.
        python: the project's interpreter or its environment's folder, if it is not the caller's; None takes the
            setting in the project's files.
        tell: called with each line that the project's code prints, without secrets.
        hear: called with the progress of long work; see :class:`alembic_rescue.worker.requests.Progress`.
        meanwhile: called while the other process starts.
        ahead: what the caller asks for first, so that the other process need not wait for it.

    Raises:
        NoConfig, BadConfig, NoScriptLocation, BadUrl: see there.
        BadConfigFrom, FlaskAppNeeded, FlaskNotInstalled, NoFlaskApp, NoFlaskMigrate: see there.
        NoPython, AlembicMissing, TooOld: `python` cannot run it.
        ConfigDoesNotTravel: something in `config` cannot be sent to another process.
        SetupFailed, SetupWrites: the project's own configuration code failed.
        WorkerDied, WorkerSilent: the process that was loading the project ended, or did not answer.
    """
    if sum(given is not None for given in (config, config_from, config_file or app)) > 1:
        raise errors.BadUsage("pass exactly one of: files (or an application), a callable, or a Config")
    files = (config_file,) if isinstance(config_file, str) else tuple(config_file or ())
    secrets = secrets or Secrets()
    secrets.add(os.environ.get("PGPASSWORD"))
    secrets.add_environment(os.environ)
    secrets.add_url(url or "")
    folder = os.getcwd()  # noqa: PTH109 - as it is
    named = Loading(files, section, tuple(x), url, lock_timeout, config_from, app, _travelling(config), folder)
    by = _interpreter(str(python) if python else below.setting("python", files))
    worker, loaded = _started(named, secrets, tell, by, meanwhile, ahead)
    project = Project(named, loaded, secrets, scratch, revision_timeout, baseline, tell, hear, worker, python=by)
    weakref.finalize(project, _end, worker)
    return project


def _interpreter(named: str | None) -> Interpreter | None:
    return interpreter.chosen(named) if named else None


def _travelling(config: Config | None) -> dict[str, Any] | None:
    if config is None:
        return None
    from alembic_rescue.project import travelling  # noqa: PLC0415 - the command line never needs it

    return travelling.ready(config)
