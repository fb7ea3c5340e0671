"""Errors of a guarded upgrade."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import NOT_VERIFIED, REFUSED, DatabaseError, Refusal, RescueError, Text, UsageError
from alembic_rescue.errors.words import code, listed


class MigrationFailed(RescueError):
    """A revision failed.  The help says where the database is now."""

    code = "migration-failed"
    exit_status = REFUSED
    revision: str
    place: str
    """File and line."""
    reason: str
    statement: str = ""

    def _text(self) -> Text:
        statement = f" Statement: {code(self.statement)}" if self.statement else ""
        return Text(f"{self.revision} failed at {self.place}: {self.reason}.{statement}", "fix it, then upgrade again")


class UpgradeNotKept(RescueError):
    """The upgrade ended without an error, but a new connection does not find the database at the target."""

    code = "upgrade-not-kept"
    exit_status = REFUSED
    where: Sequence[str]
    """Where each database is that is not at the target."""
    ran: Sequence[str]
    """The revisions that ran to their end."""

    def _text(self) -> Text:
        ran = f" after it ran {listed(self.ran)}" if self.ran else ""
        return Text(
            f"`alembic upgrade` ended without an error{ran}, but {listed(self.where)}",
            "env.py did not commit, or it hides an error. Fix it, then upgrade again",
        )


class UpgradeNotRead(RescueError):
    """The migrations ran, but the version table could not be read afterwards."""

    code = "upgrade-not-read"
    exit_status = NOT_VERIFIED
    ran: Sequence[str]
    why: str

    def _text(self) -> Text:
        return Text(
            f"{listed(self.ran)} ran, but the version table could not be read afterwards: {self.why}",
            "check before you deploy: `alembic-rescue diagnose --applied`",
        )


class UpgradeNotProved(RescueError):
    """The rows are right, but ``--verify`` could not prove that the revisions' objects exist."""

    code = "upgrade-not-proved"
    exit_status = NOT_VERIFIED
    database: str
    what: str
    way_on: str

    def _text(self) -> Text:
        return Text(f"{self.database} was upgraded, but the result is not proved: {self.what}", self.way_on)


class UpgradeWaitTimedOut(DatabaseError):
    """Another upgrade or rescue ran for as long as this one waited."""

    code = "upgrade-wait-timeout"
    seconds: float
    who: str

    def _text(self) -> Text:
        return Text(
            f"waited for {self.seconds:g} s: {self.who}. This one ran nothing",
            "wait longer with --wait SECONDS, or see what it is doing: `alembic-rescue diagnose`",
        )


class RehearsalFailed(Refusal):
    """``--rehearse``: the upgrade would fail, or that is unknown."""

    code = "rehearsal-failed"
    why: str

    def _text(self) -> Text:
        return Text(
            f"the rehearsal failed, so nothing was run: {self.why}",
            "fix it and try again, or run the upgrade without --rehearse",
        )


class LockUrlElsewhere(UsageError):
    """``--lock-url`` leads to a different database from env.py's."""

    code = "lock-url-elsewhere"
    found: str
    wanted: str

    def _text(self) -> Text:
        return Text(
            f"--lock-url leads to {self.found}, but env.py opens {self.wanted}",
            "pass the direct address of the same database, without the pooler",
        )
