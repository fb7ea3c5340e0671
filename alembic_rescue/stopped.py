"""Explain an upgrade that stopped before its target: where the databases are now, and the diagnosis.

Imported only when that happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from alembic_rescue import advising, errors, inspection, rescue, unkept, waiting
from alembic_rescue.client import Project
from alembic_rescue.clock import Clock
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.inspection import View
from alembic_rescue.model import DatabaseReport, Note, Outcome, Receipt
from alembic_rescue.records import logs
from alembic_rescue.waiting import Standing
from alembic_rescue.worker.requests import Progress, Ran

_ASK_AGAIN_SECONDS = 0.5
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


class Stopped:
    """Looks at the databases once more.

    Args:
        before: where the databases were.
        half: the revision that was running, if a part of it may be committed; else empty.
        folder: the folder of receipts.
        kept: the receipts, oldest first.
    """

    def __init__(
        self,
        project: Project,
        target: str,
        before: Sequence[Standing],
        half: str,
        *,
        folder: Path | None,
        kept: Sequence[Receipt],
    ) -> None:
        self._project, self._target, self._before = project, target, before
        self._half, self._folder, self._kept = half, folder, kept
        self._moved: tuple[str, ...] | None = None
        """The rows that were not there before, when the version tables were last read; None if that is not known."""

    def failed(
        self, ran: Ran, error: RescueError, attempts: int, names: Sequence[str], notes: Sequence[Note]
    ) -> RescueError:
        """Return the error with where the databases are now, and with the diagnosis.

        Args:
            names: the revisions that ran to their end.
            notes: what the run itself noticed.
        """
        if not isinstance(error, _DIAGNOSED):
            return self._outside(error, names)
        where = self._where()
        if isinstance(error, errors.MigrationFailed):
            left = "left no changes" if ran.rolled_back else "may have been committed in part"
            kept = f"{error.revision} {left}"
            error.help = f"{kept}: {where}. Fix the cause, then upgrade again"
        else:
            place = f" at {ran.place}" if ran.place else ""
            tried = f", in {attempts} attempts" if attempts > 1 else ""
            kept = "" if ran.rolled_back else ". Part of it may have been committed, so it was not retried"
            error.message = f"{error.message}{place}{tried}; {where}{kept}"
        return self.diagnosed(error, ran, notes)

    def diagnosed(self, error: RescueError, ran: Ran, notes: Sequence[Note]) -> RescueError:
        """Return the error with the diagnosis."""
        log = logs.of_lines(ran.log) if isinstance(error, errors.MigrationFailed) else None
        hear = self._project.hear
        self._project.hear = lambda said: hear(_of_the_diagnosis(said))
        try:
            report = rescue.diagnose(self._project, folder=self._folder, log=log)
        except RescueError as unseen:
            error.help = f"{error.help}. The database could not be inspected: {unseen.message}"
            return error
        finally:
            self._project.hear = hear
        alembics = advising.upgrading(report.script_heads)
        again = "alembic-rescue upgrade" if self._target == "heads" else f"alembic-rescue upgrade {self._target}"
        explained = (unkept.explained(part, ran, alembics, again) for part in report.databases)
        parts = tuple(_with_notes(part, notes) for part in explained)
        error.report = replace(report, command="upgrade", outcome=Outcome.ERROR, databases=parts)
        return error

    def interrupted(self, view: View, lock_url: str | None, clock: Clock) -> errors.Interrupted:
        """Return the error for Ctrl-C, with what to do next."""
        error = errors.Interrupted(self.left(lock_url, clock))
        error.help = self._way_on(view) or error.help
        return error

    def lost(self, error: RescueError, view: View, lock_url: str | None, clock: Clock) -> None:
        """Add to the error of a worker that died or fell silent where the databases are, and what to do next."""
        left = self.left(lock_url, clock)
        error.help = ". ".join(sentence(one) for one in (left, self._way_on(view), error.help) if one)

    def _way_on(self, view: View) -> str:
        """Return what to do after :meth:`left`; empty if it is not certain what was rolled back."""
        if self._moved is None or not all(one.transactional for one in view.meant):
            return ""
        if self._half:
            half = f"{self._half} may have been committed in part"
            return f"{half}. Check before you deploy again: `alembic-rescue diagnose`"
        kept = f"the revisions up to {errors.listed(self._moved)} are kept, and the rest was rolled back"
        way_on = f"{kept if self._moved else 'everything was rolled back'}: deploy again"
        return f"{way_on}. If a revision commits by itself, check first: `alembic-rescue diagnose`"

    def left(self, lock_url: str | None, clock: Clock) -> str:
        """Return where the databases are after the worker was interrupted or lost, worded for a sentence.

        Waits up to 5 seconds for the server to end what was running.
        """
        self._project.longest = _LAST_LOOK_SECONDS
        try:
            guarded = self._project.guard(lock_url, leaving_heads=False)
            until = clock.now() + _LAST_LOOK_SECONDS
            while not guarded.held and guarded.pid is None and clock.now() < until:
                clock.sleep(_ASK_AGAIN_SECONDS)
                guarded = self._project.guard_again()
            where = self._where()
            if not guarded.held and guarded.pid is None:
                self._moved, where = None, f"{where}. The server is still ending the statement"
            return where  # noqa: TRY300 - the two below are sentences, too
        except RescueError as error:
            return f"the state of the database is unknown: {error.message}"
        except KeyboardInterrupt:
            return "the state of the database was not read"
        finally:
            self._project.longest = None

    # --- parts ---------------------------------------------------------------------------------------------------

    def _outside(self, error: RescueError, names: Sequence[str]) -> RescueError:
        """A failure that was none of a revision's, with what became of the revisions that ran before it."""
        if not names:
            return error
        where = self._where()
        with suppress(RescueError):
            if all(one.there for one in waiting.standings(self._view(), self._target)):
                printed = errors.and_printed(getattr(error, "printed", ""))
                ran = errors.some(names, verb=False)
                error.message = f"{ran} ran, and all of it is kept: {where}. Afterwards {error.message}"
                error.help = f"fix env.py, then deploy again: no revision is left to run{printed}"
                return error
        error.message = f"{error.message}; {where}"
        return error

    def _where(self) -> str:
        """Return where each database is now, worded for a sentence."""
        try:
            now = {one.identity.rows_key: one for one in self._view().databases}
        except RescueError as error:
            return f"the version table could not be read: {error.message}"
        told = []
        self._moved = ()
        for one in self._before:
            rows, name = one.database.current_heads, one.database.identity.name
            found = now[one.database.identity.rows_key].current_heads if one.database.identity.rows_key in now else rows
            self._moved = (*self._moved, *(found if found != rows else ()))
            was = ", as before" if found == rows else f"; it was at {errors.rows(rows)}"
            told.append(f"{name} is at {errors.rows(found)}{was}")
        return "; ".join(told)

    def _view(self) -> View:
        return inspection.look(self._project, None, self._kept)


def _of_the_diagnosis(said: object) -> object:
    """Tell progress that it belongs to the diagnosis: a reader could take it for the upgrade's."""
    return replace(said, doing=f"Diagnosing: {said.doing.lower()}") if isinstance(said, Progress) else said


def _with_notes(part: DatabaseReport, notes: Sequence[Note]) -> DatabaseReport:
    """Return the diagnosis with the notes of the run whose codes it does not have."""
    known = {found.code for found in part.findings}
    return replace(part, findings=(*part.findings, *(note for note in notes if note.code not in known)))
