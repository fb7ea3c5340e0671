"""Run env.py once, for any purpose: with its sessions guarded, and its failures raised as the tool's own errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from alembic_rescue import dialects, errors
from alembic_rescue.connection import failures, urls
from alembic_rescue.connection.connections import Hold, listening
from alembic_rescue.environment import handed_over, version_column
from alembic_rescue.environment.handed_over import Given
from alembic_rescue.environment.left_out import LeftOut
from alembic_rescue.environment.printed import Printed, Tell
from alembic_rescue.environment.two_phase import in_one_phase
from alembic_rescue.model import Note
from alembic_rescue.project.loading import Project
from alembic_rescue.project.sources import connections_of_its_own


@dataclass(frozen=True)
class Remark:
    """Something about env.py that the user should know, but that is no reason to refuse."""

    note: Note
    visit: int | None
    """Index of the visit that it is about, from 0; None for all."""


class Run:
    """A run of env.py.

    Args:
        read_only: whether sessions are held read-only.
    """

    def __init__(self, project: Project, tell: Tell, *, read_only: bool) -> None:
        self.hold = self._hold(project, read_only=read_only)
        self.raised: list[BaseException] = []
        """Errors raised by the tool's own code inside env.py, which may have swallowed them."""
        self.visits = 0
        """How many times env.py ran its migrations."""
        self.remarks: list[Remark] = []
        self._project = project
        self._hint = ""
        self._printed = Printed(project.secrets.hide, tell)
        self._left_out = LeftOut(lambda note: self.remarks.append(Remark(note, self.visits)))
        self._connections_seen = 0
        self._listeners = self._left_out.listeners if read_only else ()

    def _hold(self, project: Project, *, read_only: bool) -> Hold:
        return Hold(project, read_only=read_only)

    def _transactions(self) -> AbstractContextManager[None]:
        """Return the context in which env.py's transactions run."""
        return in_one_phase()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Wrap what the tool does at each visit of env.py."""
        self._left_out.at_rest = True
        try:
            yield
        except BaseException as error:
            self.raised.append(error)
            raise
        finally:
            self._left_out.at_rest = False
            self.visits += 1
            self._connections_seen = self.hold.connections

    def __call__(self, call: Callable[[], None], *, done: Callable[[], bool]) -> None:
        """Call `call`, which runs env.py, and raise any failure as the tool's own error.

        Args:
            done: whether the work is done, as far as env.py has got.

        Raises:
            RescueError: env.py or the tool's own code failed.  If env.py fails after its last visit for a reason
                unrelated to a database, that is a remark instead.
        """
        error = self._run(call, done)
        self._printed.end()
        self.remarks += [Remark(note, None) for note in _not_held(self.hold)]
        if error is None:
            return
        first = self.raised[0] if self.raised else error  # the tool's own error first, however env.py handled it
        if isinstance(first, (errors.RescueError, KeyboardInterrupt)):
            raise first
        if isinstance(first, asyncio.CancelledError):  # how an event loop reports a Ctrl-C
            raise KeyboardInterrupt from first
        explained = self._explained(first)
        if isinstance(explained, errors.LockTimeout):
            self._show_blockers(explained)
        if self.raised or not done() or not isinstance(explained, errors.UsageError) or not self._came_after(first):
            raise explained from first
        if not (isinstance(first, SystemExit) and not first.code):
            self._failed_afterwards(explained, first)

    def _failed_afterwards(self, explained: errors.RescueError, _: BaseException) -> None:
        """Env.py failed, and what it was run for is done."""
        self.remarks.append(Remark(_failed_afterwards(explained), None))

    def _run(self, call: Callable[[], None], done: Callable[[], bool]) -> BaseException | None:
        """Run env.py, and again with a connection if it failed without one.  Return the error, if any."""
        error, asked = self._attempt(call, done, Given.NOTHING)
        if error is not None and not self.visits and self.hold.is_refused_options(error):
            error, asked = self._attempt(call, done, Given.NOTHING)
        if error is None or not asked or self.visits or self.hold.connections:
            return error
        if not handed_over.is_missed(self._project, error):
            self._hint = handed_over.hint()
            if isinstance(error, errors.EnvNeverMigrates):
                error.help += self._hint
            return error
        error, _ = self._attempt(call, done, Given.CONNECTION)
        if error is not None and not self.visits and handed_over.is_of_wrong_kind(error):
            second, _ = self._attempt(call, done, Given.ENGINE)
            of_kind = isinstance(error, (AttributeError, TypeError))
            error = second if second is None or self.visits or of_kind else error
        if note := handed_over.note(self._project):
            self.remarks.append(Remark(note, None))
        return error

    def _attempt(
        self, call: Callable[[], None], done: Callable[[], bool], given: Given
    ) -> tuple[BaseException | None, bool]:
        """Return the error of env.py, if any, and whether it looked for a connection that was not set."""
        asked = False
        self.hold.failures.clear()
        try:
            with ExitStack() as around:
                around.enter_context(self._printed.taking())
                around.enter_context(self.hold.in_force())
                around.enter_context(listening(*self._listeners))
                around.enter_context(self._transactions())
                around.enter_context(self._project.around())
                around.enter_context(connections_of_its_own(self._project.config))
                attributes = around.enter_context(handed_over.giving(self._project, given))
                try:
                    call()
                finally:
                    asked = attributes.asked
        except BaseException as error:  # noqa: BLE001 - SystemExit too: env.py may end the program
            return error, asked
        if self.raised:
            return self.raised[0], asked
        if done():
            return None, asked
        swallowed = self.hold.failures[-1:]
        never = errors.EnvNeverMigrates(failures.shown(self._project.env_path), self._printed.tail())
        return (*swallowed, never)[0], asked

    def _came_after(self, error: BaseException) -> bool:
        """Whether env.py failed after its last visit, rather than while connecting to another database."""
        with_a_database = any(isinstance(link, (errors.RescueError, DBAPIError)) for link in failures.chain(error))
        return not with_a_database and self.hold.connections == self._connections_seen

    def _show_blockers(self, error: errors.LockTimeout) -> None:
        hold = self.hold
        error.blockers = hold.lock_waits.seen.blockers if hold.lock_waits.seen else tuple(hold.blocking)
        if not error.blockers and (at := hold.failed_at or hold.attempted[-1]):
            error.help = dialects.of(at.get_backend_name()).server.nobody_shown

    def _explained(self, error: BaseException) -> errors.RescueError:
        project, hold = self._project, self.hold
        hide = project.secrets.hide
        at = hold.failed_at or (hold.attempted[-1] if hold.attempted else project.url)
        database = urls.name_of(at) if at is not None else "the database"
        role = (at.username if at is not None else None) or "in use"
        unseen = "the lock on the version table" if hold.writes_to else "a requested lock"
        awaited = f"{hold.lock_waits.seen.what if hold.lock_waits.seen else unseen} in {database}"
        where = failures.At(database, role, (awaited, project.timeouts.lock))
        explained: errors.RescueError | None = failures.of_database(error, where, hide)
        if explained is None and isinstance(error, InvalidRequestError) and hold.waits.failed:
            explained = failures.of_database(hold.waits.failed, where, hide)  # SQLAlchemy continued after it
        explained = explained or version_column.unfit(error, database, hide)
        if explained is None or isinstance(explained, (errors.ConnectionLost, errors.CannotConnect)):
            explained = hold.connection_lost(at) or explained
        if hold.waits.cancelled and isinstance(explained, errors.StatementTimeout) and not hold.read_only:
            explained = errors.LockTimeout(awaited, project.timeouts.lock)
        if hold.read_only and isinstance(explained, errors.ReadOnlyServer):
            explained = errors.EnvWrites(failures.one_line(error, hide), failures.place_of(error, project.env_path))
        if explained is None and isinstance(error, DBAPIError) and hold.writes_to:
            explained = errors.WriteRefused(hold.writes_to, failures.one_line(error, hide))
        if explained is None and isinstance(error, DBAPIError) and failures.is_ours(error):
            explained = errors.ServerUnable(failures.one_line(error, hide))
        if explained is None and self.raised and not isinstance(error, CommandError) and failures.is_ours(error):
            explained = errors.InternalError(f"{type(error).__name__}: {failures.one_line(error, hide)}")
        if explained is None:
            explained = failures.of_env(error, project.env_path, self._printed.tail(), hide)
        if isinstance(explained, (errors.EnvFailed, errors.EnvExited)):
            explained.help += self._hint
        return explained


def _not_held(hold: Hold) -> Iterator[Note]:
    """Yield a note for each session that env.py made writable although it should be read-only."""
    for wrote_at in dict.fromkeys(hold.wrote):
        yield Note(
            "look-wrote",
            f"env.py wrote to {urls.name_of(wrote_at)} in a transaction that it made writable, although "
            "this command only reads",
            "have it make no transaction READ WRITE: whatever runs env.py, such as `alembic current`, writes the same",
        )
    for at, how in dict.fromkeys(hold.let_go):
        yield Note(
            "look-not-held",
            f"env.py made its session on {urls.name_of(at) if at else 'a database'} writable ({how}), "
            "although this command only reads. Whether it wrote is unknown",
            "remove that setting from env.py: every command that runs env.py, such as `alembic current`, "
            "may write in the same way",
        )


def _failed_afterwards(error: errors.RescueError) -> Note:
    return Note(
        "env-failed-after",
        f"after its migrations had run, {error.message}",
        "the output shows the state before that. `alembic upgrade` fails with the same error. After a "
        "stamp, the rows read back are what counts. Databases that env.py would visit after that were not "
        "seen",
    )
