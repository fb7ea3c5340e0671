"""The verb :func:`upgrade`: run ``alembic upgrade`` through the project's env.py, one at a time, and verify the result.

look -> lock -> look again -> rehearse -> run -> read back -> prove; retried after a failure that left nothing behind.
Nothing here prints, and nothing is ever stamped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from alembic_rescue import errors, findings, inspection, waiting
from alembic_rescue.client import HEADS, Project
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.errors import RescueError
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.model import (
    Action,
    Database,
    DatabaseReport,
    Identity,
    Note,
    Outcome,
    Recommendation,
    Report,
    Target,
)
from alembic_rescue.records import receipts
from alembic_rescue.waiting import Standing
from alembic_rescue.worker.requests import MAY_BE_KEPT, Guarded, InvalidIndex, Look, Progress, Ran, Swallowed

if TYPE_CHECKING:
    from alembic_rescue.stopped import Stopped

T = TypeVar("T")
WAIT, RETRIES = 600.0, 3
_ASK_AGAIN_SECONDS = 0.5
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Waiting:
    """Another upgrade or rescue is running, and this one waits for it."""

    who: str
    """Who is running, worded for a sentence."""
    seconds: float
    """How long this one has waited so far."""


@dataclass(frozen=True)
class Again:
    """An attempt failed because of a lock, left nothing behind, and will be retried."""

    failure: RescueError
    place: str
    number: int
    """Number of the next attempt."""
    of: int
    pause: float
    """In seconds."""


Said = Waiting | Again | Swallowed | Progress | Note
"""What an upgrade reports while it runs."""


def nobody(_: Said) -> None:
    """Ignore it."""


def unheard(_: str) -> None:
    """Ignore a line that env.py printed."""


@dataclass(frozen=True)
class Chosen:
    """The options of one call."""

    target: str
    wait: float
    retries: int
    lock_url: str | None
    rehearse: bool
    verify: bool
    folder: Path | None


def upgrade(
    project: Project,
    target: str = "heads",
    *,
    wait: float = WAIT,
    retries: int = RETRIES,
    lock_url: str | None = None,
    rehearse: bool = False,
    verify: bool = False,
    folder: Path | None = None,
    told: Callable[[Said], None] = nobody,
    printed: Callable[[str], None] = unheard,
    clock: Clock = CLOCK,
) -> Report:
    """Run ``alembic upgrade``, guarded.  Never stamps.

    Args:
        target: as for ``alembic upgrade``.
        wait: seconds to wait while another upgrade runs; a week at most.
        retries: how often to retry a run that failed because of a lock and was rolled back completely.
        lock_url: direct address of the database, past a pooler, on which to take the lock.
        rehearse: run the migrations on a copy first; if that fails, run nothing here.
        verify: prove on a scratch database that the objects of the revisions that ran exist.
        folder: the folder of receipts, one of which may show an interrupted stamp.
        told: called with what happens during the run.
        printed: called with each line that env.py prints while the migrations run.

    Returns:
        A report whose outcome is UPGRADED or NOTHING_TO_DO.

    Raises:
        MigrationFailed, UpgradeNotKept: the databases are not at the target; the error's report is the diagnosis.
        UpgradeNotRead, UpgradeNotProved: the migrations ran, but the result could not be read or proved.
        UpgradeWaitTimedOut, LockTimeout, Deadlock, DatabaseError: the database or a lock was not available.
        RehearsalFailed, LockUrlElsewhere, Refusal: nothing was run.
        ScratchMissing, ScratchUnfit, ScratchFailed: no scratch database for `verify`; nothing was run.
        Interrupted: the message says where the databases are now.
    """
    waiting.check(wait)
    chosen = Chosen(target, wait, retries, lock_url, rehearse, verify, folder)
    doing = _Upgrade(project, chosen, told, printed, clock)
    before, project.hear = project.hear, doing.hear
    try:
        return doing.report()
    finally:
        project.hear = before
        with suppress(RescueError):  # the worker is gone, and its locks with it
            project.unguard()


class _Upgrade:
    """One call of :func:`upgrade`."""

    def __init__(
        self,
        project: Project,
        chosen: Chosen,
        told: Callable[[Said], None],
        printed: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._project, self._chosen, self._told, self._printed, self._clock = project, chosen, told, printed, clock
        self._until = clock.now() + chosen.wait
        self._kept = receipts.listed(chosen.folder or receipts.folder_of(project.settings))
        self._target = chosen.target
        """As passed to Alembic.  A target that counts from the rows (``+1``) is resolved once, before any wait."""
        self._notes: tuple[Note, ...] = ()
        self._progress: Progress | None = None
        """The last one that the worker reported."""

    def hear(self, said: Said) -> None:
        """Pass on what the worker reports."""
        if isinstance(said, Progress):
            self._progress = said
        self._told(said)

    def report(self) -> Report:
        """Run the upgrade."""
        if self._target not in HEADS:
            view = self._view(self._patiently(self._project.look))
            standings = waiting.standings(view, self._target)
            self._count(standings)
            if _there(standings):
                return self._told_of(view, standings, Outcome.NOTHING_TO_DO)
        view = self._locked()
        standings = waiting.standings(view, self._target)
        if _there(standings):
            return self._told_of(view, standings, Outcome.NOTHING_TO_DO)
        self._check(view)
        if self._chosen.rehearse:
            self._rehearse()
        if self._chosen.verify:
            from alembic_rescue import verifying  # noqa: PLC0415 - most upgrades do without

            verifying.check_scratch(self._project, view)
        return self._run(view, standings)

    # --- looking -------------------------------------------------------------------------------------------------

    def _view(self, seen: Look) -> View:
        return inspection.of_look(self._project, seen, None, self._kept)

    def _count(self, standings: Sequence[Standing]) -> None:
        if not waiting.counts(self._target):
            return
        targets = {one.targets for one in standings}
        if len(targets) > 1 or len(next(iter(targets))) != 1:
            raise errors.BadUsage(
                f"upgrade cannot use {self._target}: it counts from each database's revision, and they differ",
                "use the revision's id",
            )
        ((self._target,),) = targets

    def _check(self, view: View) -> None:
        """Refuse databases with an interrupted stamp: Alembic would make it worse."""
        for database in view.databases:
            if database.broke_off:
                raise findings.broke_off(database, database.broke_off)

    # --- one at a time -------------------------------------------------------------------------------------------

    def _locked(self) -> View:
        """Take the rescue lock, and return the view under it, when no other upgrade or rescue runs.

        Raises:
            UpgradeWaitTimedOut: another one ran for the whole waiting time.
        """
        asked = partial(self._project.guard, self._chosen.lock_url, leaving_heads=self._target in HEADS)
        guarded: Guarded = self._patiently(asked)
        while not guarded.held:
            self._pause(_who(guarded))
            guarded = self._project.guard_again()
        for database in guarded.pooled:
            self._note(_pooled(database))
        return self._view(guarded.look or self._patiently(self._project.look))

    def _patiently(self, look: Callable[[], T]) -> T:
        """Call `look`; retry while a running migration has locked the version table."""
        while True:
            try:
                return look()
            except errors.LockTimeout as error:
                self._pause(error.message)

    def _pause(self, who: str) -> None:
        left = self._until - self._clock.now()
        if left <= 0:
            raise errors.UpgradeWaitTimedOut(self._chosen.wait, who)
        self._told(Waiting(who, self._chosen.wait - left))
        self._clock.sleep(min(left, _ASK_AGAIN_SECONDS * random.uniform(0.5, 1.5)))  # noqa: S311 - to part replicas

    def _note(self, note: Note) -> None:
        self._notes = (*self._notes, note)
        self._told(note)

    # --- running -------------------------------------------------------------------------------------------------

    def _rehearse(self) -> None:
        from alembic_rescue import rescue  # noqa: PLC0415 - most upgrades do without

        report = rescue.rehearse(self._project, self._target, folder=self._chosen.folder)
        failing = next((part for part in report.databases if part.rehearsal and part.rehearsal.fails), None)
        if failing is not None:
            error = errors.RehearsalFailed(failing.recommendation.reason)
            error.report = replace(report, command="upgrade", outcome=Outcome.REFUSED)
            raise error

    def _run(self, view: View, standings: Sequence[Standing]) -> Report:
        """Run the migrations, with retries, and read the result back on new connections.

        Only a run that failed because of a lock and was rolled back completely is retried.
        """
        visited = [one.database.identity for one in view.scripts.visited]
        done: dict[tuple[str, str], list[str]] = {identity.rows_key: [] for identity in visited}
        try:
            for number in range(1, self._chosen.retries + 2):
                ran = self._attempt(visited)
                again = number <= self._chosen.retries and ran.for_a_lock and ran.rolled_back and not ran.unguarded
                for identity, visit in zip(visited, ran.visits, strict=False):
                    done[identity.rows_key] += visit.kept if ran.failure is not None and again else visit.ran
                for one in ran.swallowed:
                    self._notes = (*self._notes, swallowed(one))
                if ran.failure is None:
                    return self._read_back(ran, done)
                if not again:
                    names = [revision for each in done.values() for revision in each]
                    raise self._stopped(standings).failed(ran, ran.failure, number, names, self._notes)
                pause = min(_LONGEST_PAUSE, 2 ** (number - 1)) * random.uniform(0.5, 1.5)  # noqa: S311
                self._told(Again(ran.failure, ran.place, number + 1, self._chosen.retries + 1, pause))
                self._clock.sleep(pause)
        except (KeyboardInterrupt, errors.Interrupted):  # the latter if only the worker got the signal
            raise self._stopped(standings).interrupted(view, self._chosen.lock_url, self._clock) from None
        except (errors.WorkerDied, errors.WorkerSilent) as error:
            self._stopped(standings).lost(error, view, self._chosen.lock_url, self._clock)
            raise
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, visited: Sequence[Identity]) -> Ran:
        before, self._project.tell = self._project.tell, self._printed
        try:
            return self._project.upgrade(self._target, visited)
        finally:
            self._project.tell = before

    def _read_back(self, ran: Ran, done: dict[tuple[str, str], list[str]]) -> Report:
        names = [revision for each in done.values() for revision in each]
        if ran.unguarded:
            self._note(_UNGUARDED)
        for index in ran.invalid:
            self._note(_invalid(index))
        try:
            view = self._view(self._project.look())
        except RescueError as error:
            raise errors.UpgradeNotRead(names, error.message) from error
        standings = waiting.standings(view, self._target)
        if not _there(standings):
            where = [f"{one.database.identity.name} {one.at}" for one in standings if not one.there]
            raise self._stopped(standings).diagnosed(errors.UpgradeNotKept(where, names), ran, self._notes)
        report = self._told_of(view, standings, Outcome.UPGRADED if names else Outcome.NOTHING_TO_DO, done)
        if not (self._chosen.verify and names):
            return report
        from alembic_rescue import verifying  # noqa: PLC0415 - most upgrades do without

        return verifying.proved(self._project, view, report)

    # --- what it came to -----------------------------------------------------------------------------------------

    def _stopped(self, before: Sequence[Standing]) -> Stopped:
        from alembic_rescue.stopped import Stopped  # noqa: PLC0415 - it brings the whole diagnosis

        last = self._progress
        half = last.revision if last is not None and last.facts.get(MAY_BE_KEPT) else ""
        return Stopped(self._project, self._target, before, half, folder=self._chosen.folder, kept=self._kept)

    def _told_of(
        self,
        view: View,
        standings: Sequence[Standing],
        outcome: Outcome,
        done: dict[tuple[str, str], list[str]] | None = None,
    ) -> Report:
        targets = tuple(dict.fromkeys(one for standing in standings for one in standing.targets))
        doc = scripts.revisions(view.graph, targets)[0].doc if len(targets) == 1 else None
        parts = []
        by_visit = list((done or {}).values())  # by position, since the version table's place may be another one now
        for number, one in enumerate(standings):
            ran = tuple(by_visit[number]) if len(by_visit) == len(standings) else ()
            part = DatabaseReport(
                database=one.database,
                revisions=(),
                heads_after=one.database.current_heads,
                stamps=(),
                pending_after=inspection.pending(view.graph, one.database),
                refusals=(),
                findings=(*_of_an_upgrade(one.database), *self._notes),
                recommendation=Recommendation(Action.NOTHING, None, _AT_ITS_TARGET),
                ran=ran,
            )
            parts.append(part)
        target = Target(self._chosen.target, targets, doc)
        heads, chain = scripts.heads(view.graph), scripts.chain(view.graph)
        return Report("upgrade", outcome, target, heads, tuple(parts), chain=chain)


_AT_ITS_TARGET = "the database is at the target"
_UNGUARDED = Note(
    "upgrade-lock-lost",
    "the connection that held the rescue lock was lost while the migrations ran",
    "another upgrade may have run at the same time. Check: `alembic-rescue diagnose --applied`",
)


def _there(standings: Sequence[Standing]) -> bool:
    return all(one.there for one in standings)


def _of_an_upgrade(database: Database) -> Iterator[Note]:
    """Yield the findings of a database, except those for which an upgrade has its own warnings."""
    return (note for note in findings.of(database) if note.code not in {"behind-a-pooler", "rescue-under-way"})


def _who(guarded: Guarded) -> str:
    if guarded.pid is None:
        return "a session of a stopped upgrade is still running"
    since = f", connected for {guarded.seconds:.0f} s" if guarded.seconds is not None else ""
    client = f" from {guarded.client}" if guarded.client else ""
    return f"another alembic-rescue is running (pid {guarded.pid}{client}{since})"


def _pooled(database: str) -> Note:
    return Note(
        "upgrade-behind-a-pooler",
        f"{database} is behind a connection pooler. The rescue lock keeps one of its server sessions in a transaction "
        "for the whole upgrade",
        "pass the database's direct address with --lock-url if the pooler ends idle transactions",
    )


def _invalid(index: InvalidIndex) -> Note:
    return Note(
        "invalid-index",
        f"index {index.name} in {index.database} is invalid: a CREATE INDEX CONCURRENTLY did not finish, so no query "
        "uses it",
        f"build it again: `REINDEX INDEX CONCURRENTLY {index.name}`",
    )


def swallowed(one: Swallowed) -> Note:
    """The warning about a failed statement that a revision hides."""
    place = f"{one.path}:{one.line}" if one.line else one.path
    hidden = f"The except at line {one.handler_line} hides it" if one.handler_line else "The revision hides it"
    return Note(
        "swallowed-error",
        f"{place}: {one.statement} failed: {one.error}. {hidden}",
        "re-raise it; or, if it may fail, put the statement in `with op.get_bind().begin_nested():` inside the try",
    )
