"""What goes wrong on the way from a database that is put right to a deployment that is live."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import DatabaseError, Refusal, Text
from alembic_rescue.errors.words import listed


class WaitTimedOut(DatabaseError):
    """The databases were waited for, and do not stand where they should."""

    code = "wait-timeout"
    seconds: float
    where: Sequence[str]
    """Where each stands that is not there, as far as it was seen."""
    away: str = ""
    """Why they cannot be seen now."""

    def _text(self) -> Text:
        seen = [*([self.away] if self.away else []), *([listed(self.where)] if self.where else [])]
        return Text(
            f"waited for {self.seconds:g} s: {'; last seen: '.join(seen)}",
            "see why it does not go on, and who is in the way: alembic-rescue diagnose"
            if self.where
            else "see whether the server runs, and whether this is its address",
        )


class AppliedMissing(Refusal):
    """The rows say that it is there, and it is not."""

    code = "applied-missing"
    database: str
    what: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} stands where it should by its version table, but {self.what}",
            "see what is missing, and the statements that make it: alembic-rescue diagnose --applied",
        )


class NothingProved(Refusal):
    """The rows say that it is there, and nothing of it could be checked."""

    code = "nothing-proved"
    database: str
    why: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} stands where it should by its version table, and that is not proved: {self.why}",
            "see what is in the way of a proof: alembic-rescue diagnose --applied",
        )
