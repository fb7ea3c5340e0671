"""Wait until databases are at or past a revision.

Each look is independent: it runs env.py and keeps nothing of it, so that no transaction and no lock is held between
two looks.  An unreachable server is waited for; an error that waiting cannot fix is raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, findings, inspection, selection
from alembic_rescue.client import Project
from alembic_rescue.clock import CLOCK, LONGEST_SECONDS, Clock
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.model import Action, Database, DatabaseReport, Note, Outcome, Recommendation, Report, Target

AWAY = (
    errors.ConnectionRefused,  # also a server that starts up or shuts down
    errors.UnknownHost,
    errors.ConnectTimeout,
    errors.ConnectionLost,
    errors.CannotConnect,  # a pooler has its own messages for an unreachable server
    errors.TooManyConnections,
    errors.LockTimeout,  # a migration may lock the version table
    errors.StatementTimeout,
    errors.WorkerSilent,
)
"""Errors that may be gone at the next look."""
LAST_LOOK_SECONDS = 15.0
"""The least time for a look that is under way when the timeout ends."""
TIMEOUT, INTERVAL = 600.0, 2.0
_COUNTS = re.compile(r"(?:.+@)?[+-]\d+")
"""A target relative to the rows."""


@dataclass(frozen=True)
class Standing:
    """How far one database is on the way to the target."""

    database: Database
    targets: tuple[str, ...]
    """Full ids."""
    ahead: tuple[str, ...]
    """The revisions still to run, in Alembic's order."""
    of: int
    """How many revisions lead to the target in all."""
    seconds: float = 0.0
    """For how long its rows have been the same."""

    @property
    def there(self) -> bool:
        """Whether it is at the target, or past it."""
        return not self.ahead

    @property
    def at(self) -> str:
        """For use in a sentence: ``is at r1``."""
        if not self.database.version_table_exists:
            return f"has no version table {self.database.identity.table}"
        return f"is at {errors.rows(self.database.current_heads)}"

    @property
    def done(self) -> int:
        """How many of the revisions up to the target are applied."""
        return self.of - len(self.ahead)


@dataclass(frozen=True)
class Seen:
    """The result of one look."""

    standings: tuple[Standing, ...]
    """From the last look that reached the databases; empty if none has yet."""
    away: RescueError | None = None
    """Why they could not be reached this time."""
    seconds: float = 0.0
    """For how long that has been so."""

    @property
    def there(self) -> bool:
        """Whether all of them are at their target, or past it."""
        return self.away is None and all(standing.there for standing in self.standings)


def nobody(_: Seen) -> None:
    """Do nothing."""


def until_there(
    project: Project,
    target: str,
    *,
    timeout: float,
    interval: float,
    only: str | None,
    told: Callable[[Seen], None] = nobody,
    clock: Clock = CLOCK,
) -> Report:
    """Look until each selected database is at or past the target.

    Args:
        target: as ``alembic upgrade`` takes it, but not relative to the rows (``+1``).
        interval: seconds between the end of a look and the next one; up to a week.
        timeout: in seconds, up to a week; no look begins later.
        told: called with what each look saw.

    Raises:
        BadUsage: the target or a time is invalid for waiting.
        WaitTimedOut: they did not reach it in time.
        Refusal: the rows of a database lead elsewhere, or the target does not exist.
        RescueError: the database cannot be used, however long one waits.
    """
    check(timeout, interval)
    if counts(target):
        raise errors.BadUsage(
            f"wait cannot use {target}: it counts from the database's revision, which changes during the wait",
            "use the revision's id, or count from one: 774225e563ca+1",
        )
    looking = _Looking(project, target, only, clock)
    deadline = clock.now() + timeout
    while True:
        project.longest = max(deadline - clock.now(), LAST_LOOK_SECONDS)
        try:
            seen = looking.once()
        finally:
            project.longest = None
        told(seen)
        if seen.there:
            return looking.report(Outcome.REACHED)
        pause = min(interval, deadline - clock.now())
        if pause <= 0:
            raise _timed_out(seen, timeout, looking)
        clock.sleep(pause)


def counts(target: str) -> bool:
    """Return whether the target counts from the version table's rows, such as ``+1``."""
    return _COUNTS.fullmatch(target) is not None


def check(timeout: float, interval: float = INTERVAL) -> None:
    """Refuse an invalid timeout or interval.

    Raises:
        BadUsage: it is not a valid number of seconds.
    """
    if not (0 <= timeout <= LONGEST_SECONDS and 0 < interval <= LONGEST_SECONDS):  # nan is neither
        raise errors.BadUsage("--timeout must be at least 0 and --interval more than 0 seconds, both at most a week")


def stands_now(project: Project, target: str, *, only: str | None) -> tuple[Standing, ...]:
    """Look once, and return the result.

    Raises:
        RescueError: as :func:`until_there`; an unreachable server is not waited for.
    """
    looking = _Looking(project, target, only, CLOCK)
    seen = looking.once()
    if seen.away is not None:
        raise seen.away
    return seen.standings


def standing(graph: RevisionMap, database: Database, targets: tuple[str, ...]) -> Standing:
    """Where a database is on the way to these revisions.

    Raises:
        Refusal: its rows lead elsewhere: the scripts cannot explain them.
    """
    paths.check_current(graph, database.current_heads)
    whole = paths.up_to(graph, targets)
    ahead = paths.in_order(graph, whole - paths.up_to(graph, database.current_heads))
    return Standing(database, targets, ahead, len(whole))


def standings(view: View, target: str) -> list[Standing]:
    """Where each database is on the way to `target`, as for ``alembic upgrade``.

    Raises:
        Refusal: as :func:`standing`; or the target does not exist.
    """
    return [
        standing(view.graph, database, paths.targets_of(view.graph, database.current_heads, target))
        for database in view.databases
    ]


def proved(reached: Report, applied: Report) -> Report:
    """The report of databases at their target, with the proof.

    Args:
        applied: as ``diagnose --applied`` returns it.

    Raises:
        AppliedMissing: something that counts as applied is missing.
        NothingProved: nothing of what counts as applied could be verified.
    """
    told = replace(reached, databases=applied.databases)
    for part in applied.databases:
        advice = part.recommendation
        missing = [note for note in part.findings if note.code == "stamped-but-not-there"]
        error: errors.Refusal | None = None
        if missing or part.refusals:
            what = (missing or part.refusals)[0]
            error = errors.AppliedMissing(part.database.identity.name, what.message, _way_on(part, what))
        elif advice.action is not Action.NOTHING:
            error = errors.NothingProved(part.database.identity.name, advice.reason)
        if error is not None:
            error.report = told
            raise error
    return told


def _from_here(refusal: errors.Refusal) -> errors.Refusal:
    """The same for a person who waits: an unknown row may be past the target, and the scripts cannot tell."""
    if not isinstance(refusal, errors.UnknownCurrent):
        return refusal
    return errors.UnknownWhileWaiting(refusal.current)


def _way_on(part: DatabaseReport, what: Note) -> str:
    """What to do about something that is missing."""
    advice = part.recommendation
    if advice.command:
        return f"make it: {advice.command}"
    lacking = [one for one in part.revisions if one.missing]
    if lacking and all(one.verdict is Verdict.NOT_APPLIED for one in lacking):
        return errors.SET_ROWS
    return advice.reason if lacking else what.help


class _Looking:
    """Looks repeatedly, and remembers for how long the state has been the same."""

    def __init__(self, project: Project, target: str, only: str | None, clock: Clock) -> None:
        self._project, self._target, self._only, self._clock = project, target, only, clock
        self._since: dict[object, float] = {}
        self._view: View | None = None
        self._standings: tuple[Standing, ...] = ()

    def once(self) -> Seen:
        """Look once.

        Raises:
            RescueError: see :func:`until_there`.
        """
        try:
            view = inspection.look(self._project, self._only)
        except AWAY as away:
            return Seen(self._standings, away, *self._held([away.code]))
        standings = []
        for database in view.databases:
            try:
                targets = paths.targets_of(view.graph, database.current_heads, self._target)
                standings.append(standing(view.graph, database, targets))
            except errors.Refusal as refusal:
                elsewhere = _from_here(refusal)
                elsewhere.report = self._report(view, standings, Outcome.REFUSED)
                raise selection.naming(database, elsewhere) if len(view.databases) > 1 else elsewhere  # noqa: B904
        self._view = view
        self._standings = tuple(
            replace(one, seconds=seconds)
            for one, seconds in zip(standings, self._held(map(_state, standings)), strict=True)
        )
        return Seen(self._standings)

    def report(self, outcome: Outcome) -> Report:
        """The report of the last look that reached the databases."""
        if self._view is None:
            return Report("wait", outcome, None, (), (), only=self._only)
        return self._report(self._view, self._standings, outcome)

    def _held(self, states: Iterable[object]) -> list[float]:
        """For how many seconds each of these states has held.  Forget the others."""
        now = self._clock.now()
        self._since = {state: self._since.get(state, now) for state in states}
        return [now - since for since in self._since.values()]

    def _report(self, view: View, standings: Sequence[Standing], outcome: Outcome) -> Report:
        targets = tuple(dict.fromkeys(one for standing in standings for one in standing.targets))
        doc = scripts.revisions(view.graph, targets)[0].doc if len(targets) == 1 else None
        return Report(
            "wait",
            outcome,
            Target(self._target, targets, doc),
            scripts.heads(view.graph),
            tuple(self._part(view, one) for one in standings),
            only=self._only,
            left_out=view.left_out,
        )

    def _part(self, view: View, one: Standing) -> DatabaseReport:
        where = f"{one.done} of {one.of} revisions to {errors.listed(one.targets or ('base',))} are applied"
        return DatabaseReport(
            database=one.database,
            revisions=(),
            heads_after=one.database.current_heads,
            stamps=(),
            pending_after=inspection.pending(view.graph, one.database),
            refusals=(),
            findings=(*findings.of(one.database), *inspection.hindrances(self._project, one.database)),
            recommendation=Recommendation(Action.NOTHING if one.there else Action.STOP, None, where),
        )


def _state(one: Standing) -> object:
    return (one.database.identity.rows_key, one.database.current_heads)


def _timed_out(seen: Seen, timeout: float, looking: _Looking) -> errors.WaitTimedOut:
    late = [one for one in seen.standings if not one.there]
    where = [
        f"{one.database.identity.name} {one.at}, {one.done} of {one.of} revisions on the way to "
        f"{errors.listed(one.targets)}"
        for one in late
    ]
    error = errors.WaitTimedOut(timeout, where, seen.away.message if seen.away else "")
    error.report = looking.report(Outcome.ERROR)
    error.blockers = tuple(blocker for one in late for blocker in one.database.blockers)
    return error
