"""The verb :func:`upgrade`: ``alembic upgrade`` through the project's env.py, one at a time, and read back.

look -> lock -> look again -> rehearse -> run -> read back -> prove; after a failure that left nothing behind, again.
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
"""How long a person who typed Ctrl-C waits for what the server has."""
_DIAGNOSED = (
    errors.MigrationFailed,
    errors.UpgradeNotKept,
    errors.LockTimeout,
    errors.Deadlock,
    errors.StatementTimeout,
    errors.PermissionDenied,
)
"""After these the databases can be looked at."""


@dataclass(frozen=True)
class Waiting:
    """Another one is at work."""

    who: str
    """For a sentence."""
    seconds: float
    """How long this one has waited."""


@dataclass(frozen=True)
class Again:
    """An attempt failed for a lock, and left nothing behind."""

    failure: RescueError
    place: str
    number: int
    """Of the attempt that comes next."""
    of: int
    pause: float
    """In seconds."""


Said = Waiting | Again | Swallowed | Progress | Note
"""What there is to tell while it goes on."""


def nobody(_: Said) -> None:
    """Tells nobody."""


def unheard(_: str) -> None:
    """Takes a line that env.py prints, and keeps it to itself."""


@dataclass(frozen=True)
class Chosen:
    """What is asked for."""

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
        target: as ``alembic upgrade`` takes it.
        wait: seconds to wait while another upgrade is at work; a week at most.
        retries: how often a run is tried again that failed for a lock and was rolled back whole.
        lock_url: where the lock is taken, past a pooler.
        rehearse: run it on a copy first, and run nothing here where that fails.
        verify: prove what ran on a scratch database.
        folder: where receipts are kept: one of them may tell of a stamp that broke off.
        told: is told what goes on.
        printed: takes each line that env.py prints while the migrations run.

    Returns:
        A report whose outcome is UPGRADED or NOTHING_TO_DO.

    Raises:
        MigrationFailed, UpgradeNotKept: the databases are not where they should be; the report is the diagnosis.
        UpgradeNotRead, UpgradeNotProved: the migrations ran.
        UpgradeWaitTimedOut, LockTimeout, Deadlock, DatabaseError: the database was not to be had.
        RehearsalFailed, LockUrlElsewhere, Refusal: nothing was run.
        ScratchMissing, ScratchUnfit, ScratchFailed: `verify` has nothing to prove it on, so nothing was run.
        Interrupted: what the server has then is told.
    """
    waiting.check(wait)
    chosen = Chosen(target, wait, retries, lock_url, rehearse, verify, folder)
    doing = _Upgrade(project, chosen, told, printed, clock)
    before, project.hear = project.hear, told
    try:
        return doing.report()
    finally:
        project.hear = before
        with suppress(RescueError):  # it is gone, and its locks with it
            project.unguard()


class _Upgrade:
    """One call."""

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
        """As Alembic is given it: one that counts from the rows is counted once, before anybody is waited for."""
        self._notes: tuple[Note, ...] = ()
        self._moved: tuple[str, ...] | None = None
        """The rows that were not there before, when the version tables were last read; None if they were not."""

    def report(self) -> Report:
        """Do it."""
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
        """Refuse what Alembic would make worse."""
        for database in view.databases:
            if database.broke_off:
                raise findings.broke_off(database, database.broke_off)

    # --- one at a time -------------------------------------------------------------------------------------------

    def _locked(self) -> View:
        """What is seen once no other upgrade, and no other rescue, is at work.

        Raises:
            UpgradeWaitTimedOut: one is, for as long as is waited.
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
        """A look, tried again while a migration that is under way has locked the version table."""
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
        """Refuse a run that could not be proved."""
        try:
            for visited in view.meant:
                with Bench(self._project) as bench:
                    bench.server(visited)
        except RescueError as error:
            error.message = f"--verify cannot prove anything, so nothing was run: {error.message}"
            raise

    def _run(self, view: View, standings: Sequence[Standing]) -> Report:
        """Run it, as often as it fails for a lock and is rolled back whole; then read back, on new connections."""
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
        """The report with what proves it.

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
        """The failure, with where the databases are now, and the diagnosis."""
        if not isinstance(error, _DIAGNOSED):
            return self._outside(error, before, [revision for each in done.values() for revision in each])
        where = self._where(before)
        if isinstance(error, errors.MigrationFailed):
            kept = "nothing of it was kept" if ran.rolled_back else "part of it may have been committed"
            error.help = f"{kept}: {where}. Fix the cause, then upgrade again"
        else:
            place = f" at {ran.place}" if ran.place else ""
            tried = f", in {attempts} attempts" if attempts > 1 else ""
            error.message = f"{error.message}{place}{tried}; {where}"
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
        """Where each database is now, for a sentence."""
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
        """Ctrl-C, with what to do now."""
        error = errors.Interrupted(self._left(before))
        if self._moved is None or not all(one.transactional for one in view.meant):
            return error
        kept = f"the revisions up to {errors.listed(self._moved)} are kept, and the rest was rolled back"
        way_on = f"{kept if self._moved else 'everything was rolled back'}: deploy again"
        error.help = f"{way_on}. If a revision commits by itself, check first: `alembic-rescue diagnose`"
        return error

    def _left(self, before: Sequence[Standing]) -> str:
        """The same in a hurry, once the server has ended what was running, as far as it does so at once."""
        self._project.longest = _LAST_LOOK_SECONDS
        try:
            guarded = self._project.guard(self._chosen.lock_url, leaving_heads=False)
            until = self._clock.now() + _LAST_LOOK_SECONDS
            while not guarded.held and guarded.pid is None and self._clock.now() < until:
                self._clock.sleep(_ASK_AGAIN_SECONDS)
                guarded = self._project.guard_again()
            still = "" if guarded.held or guarded.pid is not None else ". The server is still ending what was running"
            return f"{self._where(before)}{still}"
        except RescueError as error:
            return f"what the server has is not known: {error.message}"
        except KeyboardInterrupt:
            return "what the server has was not read"
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
        for one in standings:
            ran = tuple((done or {}).get(one.database.identity.rows_key, ()))
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


SWALLOWED = "let it be raised; or, if it may fail, put it in `with op.get_bind().begin_nested():` within the try"
"""What to do about a failure that a revision hides."""


def _there(standings: Sequence[Standing]) -> bool:
    return all(one.there for one in standings)


def _of_an_upgrade(database: Database) -> Iterator[Note]:
    """What is to be said of it; of a pooler is told what it is to an upgrade."""
    return (note for note in findings.of(database) if note.code != "behind-a-pooler")


def _with_notes(part: DatabaseReport, notes: Sequence[Note]) -> DatabaseReport:
    """The diagnosis, with what was noticed while it ran, unless it says the same."""
    known = {found.code for found in part.findings}
    return replace(part, findings=(*part.findings, *(note for note in notes if note.code not in known)))


def _who(guarded: Guarded) -> str:
    if guarded.pid is None:
        return "a session of an upgrade that was stopped is still at work"
    since = f", connected for {guarded.seconds:.0f} s" if guarded.seconds is not None else ""
    client = f" from {guarded.client}" if guarded.client else ""
    return f"another alembic-rescue is at work (pid {guarded.pid}{client}{since})"


def _pooled(database: str) -> Note:
    return Note(
        "upgrade-behind-a-pooler",
        f"a connection pooler stands before {database}. The rescue lock keeps one of its server sessions in a "
        "transaction for as long as the upgrade takes",
        "pass the database's direct address with --lock-url if the pooler ends idle transactions",
    )


def _swallowed(one: Swallowed) -> Note:
    place = f"{one.path}:{one.line}" if one.line else one.path
    hidden = f"the except in line {one.handler_line} hides it" if one.handler_line else "the revision hides it"
    return Note(
        "swallowed-error",
        f"{place}: {one.statement} failed: {one.error}; {hidden}",
        SWALLOWED,
    )
