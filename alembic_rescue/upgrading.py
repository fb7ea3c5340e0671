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
from typing import TypeVar

from alembic_rescue import advising, errors, findings, history, inspection, rescue, unkept, waiting
from alembic_rescue.client import Project
from alembic_rescue.clock import CLOCK, Clock
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.graph import path as paths
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
from alembic_rescue.proof import prove
from alembic_rescue.records import logs, receipts
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.waiting import Standing
from alembic_rescue.worker.requests import Guarded, Look, Progress, Ran, Swallowed

T = TypeVar("T")
WAIT, RETRIES = 600.0, 3
_HEADS = frozenset(["head", "heads"])
_ASK_AGAIN_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_LAST_LOOK_SECONDS = 5.0
"""How long to wait for the final look at the databases after Ctrl-C."""
_DIAGNOSED = (
    errors.MigrationFailed,
    errors.UpgradeNotKept,
    errors.LockTimeout,
    errors.Deadlock,
    errors.StatementTimeout,
    errors.PermissionDenied,
)
"""After these errors the databases can be diagnosed."""


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
    before, project.hear = project.hear, told
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
        self._moved: tuple[str, ...] | None = None
        """The rows that were not there before, when the version tables were last read; None if they were not."""

    def report(self) -> Report:
        """Run the upgrade."""
        if self._target not in _HEADS:
            view = self._view(self._patiently(self._project.look))
            standings = self._standings(view)
            self._count(standings)
            if _there(standings):
                return self._told_of(view, standings, Outcome.NOTHING_TO_DO)
        view = self._locked()
        standings = self._standings(view)
        if _there(standings):
            return self._told_of(view, standings, Outcome.NOTHING_TO_DO)
        self._check(view)
        if self._chosen.rehearse:
            self._rehearse()
        if self._chosen.verify:
            self._check_scratch(view)
        return self._run(view, standings)

    # --- looking -------------------------------------------------------------------------------------------------

    def _view(self, seen: Look) -> View:
        return inspection.of_look(self._project, seen, None, self._kept)

    def _standings(self, view: View) -> list[Standing]:
        found = []
        for database in view.databases:
            targets = paths.targets_of(view.graph, database.current_heads, self._target)
            found.append(waiting.standing(view.graph, database, targets))
        return found

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
        asked = partial(self._project.guard, self._chosen.lock_url, leaving_heads=self._target in _HEADS)
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
        report = rescue.rehearse(self._project, self._target, folder=self._chosen.folder)
        failing = next((part for part in report.databases if part.rehearsal and part.rehearsal.fails), None)
        if failing is not None:
            error = errors.RehearsalFailed(failing.recommendation.reason)
            error.report = replace(report, command="upgrade", outcome=Outcome.REFUSED)
            raise error

    def _check_scratch(self, view: View) -> None:
        """Check that a scratch database is available for ``verify``."""
        try:
            for visited in view.meant:
                with Bench(self._project) as bench:
                    bench.server(visited)
        except RescueError as error:
            error.message = f"--verify cannot prove anything, so nothing was run: {error.message}"
            raise

    def _run(self, view: View, standings: Sequence[Standing]) -> Report:
        """Run the migrations, with retries, and read the result back on new connections.

        Only a run that failed because of a lock and was rolled back completely is retried.
        """
        visited = [one.database.identity for one in view.scripts.visited]
        done: dict[tuple[str, str], list[str]] = {identity.rows_key: [] for identity in visited}
        try:
            for number in range(1, self._chosen.retries + 2):
                ran = self._attempt(visited)
                for identity, visit in zip(visited, ran.visits, strict=False):
                    done[identity.rows_key] += visit.ran
                for one in ran.swallowed:
                    self._notes = (*self._notes, _swallowed(one))
                if ran.failure is None:
                    return self._read_back(ran, done)
                if number > self._chosen.retries or not (ran.for_a_lock and ran.rolled_back) or ran.unguarded:
                    raise self._failed(ran, ran.failure, standings, number, done)
                for kept in done.values():
                    kept.clear()
                pause = min(_LONGEST_PAUSE, 2 ** (number - 1)) * random.uniform(0.5, 1.5)  # noqa: S311
                self._told(Again(ran.failure, ran.place, number + 1, self._chosen.retries + 1, pause))
                self._clock.sleep(pause)
        except KeyboardInterrupt:
            raise self._interrupted(view, standings) from None
        except (errors.WorkerDied, errors.WorkerSilent) as error:
            error.help = f"{sentence(self._left(standings))}. {sentence(error.help)}"
            raise
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, visited: Sequence[Identity]) -> Ran:
        before, self._project.tell = self._project.tell, self._printed
        try:
            return self._project.upgrade(self._target, visited)
        finally:
            self._project.tell = before

    def _read_back(self, ran: Ran, done: dict[tuple[str, str], list[str]]) -> Report:
        names = [revision for visit in ran.visits for revision in visit.ran]
        if ran.unguarded:
            self._note(_UNGUARDED)
        try:
            view = self._view(self._project.look())
        except RescueError as error:
            raise errors.UpgradeNotRead(names, error.message) from error
        standings = self._standings(view)
        if not _there(standings):
            where = [f"{one.database.identity.name} {one.at}" for one in standings if not one.there]
            raise self._diagnosed(errors.UpgradeNotKept(where, names), ran)
        report = self._told_of(view, standings, Outcome.UPGRADED if names else Outcome.NOTHING_TO_DO, done)
        return self._proved(view, report) if self._chosen.verify and names else report

    def _proved(self, view: View, report: Report) -> Report:
        """Return the report with the evidence for the revisions that ran.

        Raises:
            UpgradeNotProved: something is missing, or nothing can be checked.
        """
        ran = {part.database.identity.rows_key: part.ran for part in report.databases}
        parts, error = [], None
        for part, one in zip(
            report.databases,
            prove(self._project, view, lambda _, database: ran[database.identity.rows_key], besides=inspection.pending),
            strict=True,
        ):
            found, name = one.proof.revisions, part.database.identity.name
            missing = history.stamped_but_not_there(view.graph, found)
            advice = history.recommend_for_applied(found)
            revisions = inspection.with_evidence(view.graph, [each.revision for each in found], one.proof)
            told = replace(part, revisions=revisions, findings=(*part.findings, *one.notes, *missing))
            parts.append(replace(told, recommendation=advice))
            if missing:
                error = error or errors.UpgradeNotProved(name, missing[0].message, missing[0].help)
            elif advice.action is not Action.NOTHING:
                error = error or errors.UpgradeNotProved(name, advice.reason, _UNPROVED)
        report = replace(report, databases=tuple(parts))
        if error is not None:
            error.report = replace(report, outcome=Outcome.ERROR)
            raise error
        return report

    # --- what it came to -----------------------------------------------------------------------------------------

    def _failed(
        self,
        ran: Ran,
        error: RescueError,
        before: Sequence[Standing],
        attempts: int,
        done: dict[tuple[str, str], list[str]],
    ) -> RescueError:
        """Return the error, with the diagnosis and where the databases are now."""
        if not isinstance(error, _DIAGNOSED):
            return self._outside(error, before, [revision for each in done.values() for revision in each])
        where = self._where(before)
        if isinstance(error, errors.MigrationFailed):
            kept = "it left no changes" if ran.rolled_back else "part of it may have been committed"
            error.help = f"{kept}: {where}. Fix the cause, then upgrade again"
        else:
            place = f" at {ran.place}" if ran.place else ""
            tried = f", in {attempts} attempts" if attempts > 1 else ""
            kept = "" if ran.rolled_back else ". Part of it may have been committed, so it was not retried"
            error.message = f"{error.message}{place}{tried}; {where}{kept}"
        return self._diagnosed(error, ran)

    def _outside(self, error: RescueError, before: Sequence[Standing], names: Sequence[str]) -> RescueError:
        """A failure that was none of a revision's, with what became of the revisions that ran before it."""
        if not names:
            return error
        where = self._where(before)
        with suppress(RescueError):
            if _there(self._standings(self._view(self._project.look()))):
                printed = errors.and_printed(getattr(error, "printed", ""))
                ran = errors.some(names, verb=False)
                error.message = f"{ran} ran, and all of it is kept: {where}. Afterwards {error.message}"
                error.help = f"fix env.py, then deploy again: no revision is left to run{printed}"
                return error
        error.message = f"{error.message}; {where}"
        return error

    def _diagnosed(self, error: RescueError, ran: Ran) -> RescueError:
        log = logs.of_lines(ran.log) if isinstance(error, errors.MigrationFailed) else None
        try:
            report = rescue.diagnose(self._project, folder=self._chosen.folder, log=log)
        except RescueError as unseen:
            error.help = f"{error.help}. The database could not be inspected: {unseen.message}"
            return error
        command = advising.upgrading(report.script_heads)
        parts = tuple(_with_notes(unkept.explained(part, ran, command), self._notes) for part in report.databases)
        error.report = replace(report, command="upgrade", outcome=Outcome.ERROR, databases=parts)
        return error

    def _where(self, before: Sequence[Standing]) -> str:
        """Return where each database is now, worded for a sentence."""
        try:
            now = {one.identity.rows_key: one for one in self._view(self._project.look()).databases}
        except RescueError as error:
            return f"the version table could not be read: {error.message}"
        told = []
        self._moved = ()
        for one in before:
            rows, name = one.database.current_heads, one.database.identity.name
            found = now[one.database.identity.rows_key].current_heads if one.database.identity.rows_key in now else rows
            self._moved = (*self._moved, *(found if found != rows else ()))
            was = ", as before" if found == rows else f"; it was at {errors.rows(rows)}"
            told.append(f"{name} is at {errors.rows(found)}{was}")
        return "; ".join(told)

    def _interrupted(self, view: View, before: Sequence[Standing]) -> errors.Interrupted:
        """Return the error for Ctrl-C, with what to do next."""
        error = errors.Interrupted(self._left(before))
        if self._moved is None or not all(one.transactional for one in view.meant):
            return error
        kept = f"the revisions up to {errors.listed(self._moved)} are kept, and the rest was rolled back"
        way_on = f"{kept if self._moved else 'everything was rolled back'}: deploy again"
        error.help = f"{way_on}. If a revision commits by itself, check first: `alembic-rescue diagnose`"
        return error

    def _left(self, before: Sequence[Standing]) -> str:
        """Return the same after an interruption, with short waits.

        Waits up to 5 seconds for the server to end what was running.
        """
        self._project.longest = _LAST_LOOK_SECONDS
        try:
            guarded = self._project.guard(self._chosen.lock_url, leaving_heads=False)
            until = self._clock.now() + _LAST_LOOK_SECONDS
            while not guarded.held and guarded.pid is None and self._clock.now() < until:
                self._clock.sleep(_ASK_AGAIN_SECONDS)
                guarded = self._project.guard_again()
            still = "" if guarded.held or guarded.pid is not None else ". The server is still ending the statement"
            return f"{self._where(before)}{still}"
        except RescueError as error:
            return f"the state of the database is unknown: {error.message}"
        except KeyboardInterrupt:
            return "the state of the database was not read"
        finally:
            self._project.longest = None

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
        return Report("upgrade", outcome, target, scripts.heads(view.graph), tuple(parts))


_AT_ITS_TARGET = "the database is at the target"
_UNPROVED = "check it yourself: `alembic-rescue diagnose --applied` shows what could be checked"
_UNGUARDED = Note(
    "upgrade-lock-lost",
    "the connection that held the rescue lock was lost while the migrations ran",
    "another upgrade may have run at the same time. Check: `alembic-rescue diagnose --applied`",
)


SWALLOWED = "re-raise it; or, if it may fail, put the statement in `with op.get_bind().begin_nested():` inside the try"
"""What to do about a failure that a revision hides."""


def _there(standings: Sequence[Standing]) -> bool:
    return all(one.there for one in standings)


def _of_an_upgrade(database: Database) -> Iterator[Note]:
    """Yield the findings of a database, except the one about a pooler: an upgrade has its own."""
    return (note for note in findings.of(database) if note.code != "behind-a-pooler")


def _with_notes(part: DatabaseReport, notes: Sequence[Note]) -> DatabaseReport:
    """Return the diagnosis with the notes of the run whose codes it does not have."""
    known = {found.code for found in part.findings}
    return replace(part, findings=(*part.findings, *(note for note in notes if note.code not in known)))


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


def _swallowed(one: Swallowed) -> Note:
    place = f"{one.path}:{one.line}" if one.line else one.path
    hidden = f"the except at line {one.handler_line} hides it" if one.handler_line else "the revision hides it"
    return Note(
        "swallowed-error",
        f"{place}: {one.statement} failed: {one.error}; {hidden}",
        SWALLOWED,
    )
