"""A stamp, or its undo, cannot be done: nothing was written (exit status 3)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Refusal, Text
from alembic_rescue.errors.words import code, listed, rows


class DatabaseMoved(Refusal):
    """The version table changed between the plan and the write."""

    code = "database-moved"
    planned: Sequence[str]
    found: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"the database moved since the plan, from {rows(self.planned)} to {rows(self.found)}; nothing was written",
            "another session changed it. Check again: `alembic-rescue diagnose`",
        )


class DatabaseChanged(Refusal):
    """The connection for the write leads to a database other than the plan's."""

    code = "database-changed"
    planned: str
    found: str

    def _text(self) -> Text:
        return Text(
            f"the plan was made for {self.planned}, but env.py now connects to {self.found}; nothing was written",
            "find out why env.py opens a different database from one run to the next (failover, DNS, "
            "settings), then plan again",
        )


class PlanChanged(Refusal):
    """A sealed plan no longer matches the current state."""

    code = "plan-changed"
    path: str
    differences: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.path} was sealed for a different state: {'; '.join(self.differences)}",
            "plan again, and have the new plan approved: `alembic-rescue plan REVISION --out FILE`",
        )


class BrokeOff(Refusal):
    """A stamp or an undo was interrupted between two statements, and this command would lead elsewhere."""

    code = "broke-off"
    command: str
    receipt: str
    found: Sequence[str]
    ways: str

    def _text(self) -> Text:
        return Text(
            f"the {self.command} of receipt {self.receipt} was interrupted between two statements: the "
            f"database is at {rows(self.found)}, neither the rows before nor the rows after",
            f"finish it first, in either direction. {self.ways}",
        )


class RescueUnderWay(Refusal):
    """Another rescue holds the database's advisory lock."""

    code = "rescue-under-way"
    database: str

    def _text(self) -> Text:
        return Text(
            f"another alembic-rescue is writing to {self.database}; this one wrote nothing",
            "wait for it to finish, then check: `alembic-rescue diagnose`",
        )


class NotConfirmed(Refusal):
    """The answer to the question was not yes."""

    code = "not-confirmed"

    def _text(self) -> Text:
        return Text("not confirmed; nothing was written", "run the command again when you are ready")


class NoReceipt(Refusal):
    """There is no receipt to undo."""

    code = "no-receipt"
    wanted: str
    folder: str

    def _text(self) -> Text:
        return Text(
            f"no receipt {self.wanted} found in {self.folder}",
            "list the receipts: `alembic-rescue receipts`. To use another folder, add --receipts DIR",
        )


class ReceiptOfOtherDatabase(Refusal):
    """The receipt belongs to another database."""

    code = "receipt-of-other-database"
    receipt: str
    theirs: str
    ours: str

    def _text(self) -> Text:
        return Text(
            f"receipt {self.receipt} belongs to {self.theirs}, but env.py opens {self.ours}",
            "use that database's settings, or pass it with --url. A promoted replica or a restored "
            "snapshot has the server id of its original. If this is the same server at another address, "
            "run the receipt's SQL by hand",
        )


class ReceiptIsUndo(Refusal):
    """The receipt is one of an undo."""

    code = "receipt-is-undo"
    receipt: str

    def _text(self) -> Text:
        return Text(
            f"receipt {self.receipt} records an undo and cannot be undone",
            "stamp again instead, with all checks: `alembic-rescue stamp REVISION`",
        )


class ReceiptOfCompletion(Refusal):
    """The receipt is from ``complete``, which changed no row of the version table."""

    code = "receipt-of-completion"
    receipt: str
    revision: str
    sql: Sequence[str] = ()

    def _text(self) -> Text:
        by_hand = code(" ".join(self.sql)) if self.sql else "no statement is known for it"
        return Text(
            f"receipt {self.receipt} records the completion of {self.revision}, which did not change the version table",
            f"to remove what it created, if nothing depends on it by now: {by_hand}",
        )


class ReceiptSpent(Refusal):
    """The receipt has already been undone."""

    code = "receipt-spent"
    receipt: str
    by: str

    def _text(self) -> Text:
        return Text(
            f"receipt {self.receipt} was already undone by {self.by}",
            "to check the current state: `alembic-rescue diagnose`",
        )


class NothingLocated(Refusal):
    """No revision can be proved, so there is nothing to set the rows to."""

    code = "nothing-located"
    half: str = ""
    """The first revision, if it is partially applied."""

    def _text(self) -> Text:
        if self.half:
            return Text(
                f"{self.half}, the first revision, is only partially applied, so no revision can be proved",
                f"complete it first: `alembic-rescue complete {self.half}`",
            )
        return Text(
            "no revision can be proved: the schema is empty, or was not created by these scripts",
            "to check each revision: `alembic-rescue diagnose --locate`",
        )


class StampLeadsThere(Refusal):
    """The rows can be explained, and a forward stamp leads to the proved revision."""

    code = "stamp-leads-there"
    targets: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"no repair is needed: a stamp leads to {listed(self.targets)}",
            f"alembic-rescue plan {self.targets[0]}",
        )


class RepairWouldRerun(Refusal):
    """Alembic would run revisions again although some of their objects exist."""

    code = "repair-would-rerun"
    revisions: Sequence[str]
    half: str = ""
    """The first partial revision for which there are statements."""

    def _text(self) -> Text:
        by_hand = "drop what is left of it by hand"
        return Text(
            f"some objects of {listed(self.revisions)} exist: after this repair, Alembic would run it again",
            f"complete {self.half} first: `alembic-rescue complete {self.half}`. Or {by_hand}"
            if self.half
            else (
                f"create what is missing by hand, or {by_hand}. To see which objects exist: `alembic-rescue "
                "diagnose --locate`"
            ),
        )


class RepairMayRerun(Refusal):
    """Alembic would run revisions that may already have run."""

    code = "repair-may-rerun"
    revisions: Sequence[str]
    reasons: Sequence[str]
    """For each, what cannot be verified."""
    ways: Sequence[str]
    """Each possible result of checking the rows, with the command for it."""

    def _text(self) -> Text:
        told = "; ".join(f"{one} ({why})" for one, why in zip(self.revisions, self.reasons, strict=True))
        return Text(
            f"cannot tell whether these revisions ran, and after this repair Alembic would run them: {told}",
            "check the rows that they change. " + ". ".join(self.ways),
        )


class NotRunNotLeft(Refusal):
    """``--not-run`` names a revision that Alembic would not run after the repair."""

    code = "not-run-not-left"
    named: str
    left: Sequence[str]

    def _text(self) -> Text:
        would = f"it would run {listed(self.left)}" if self.left else "it would run none again"
        return Text(
            f"--not-run {self.named}: after this repair, Alembic would not run it ({would})",
            "use --not-run only for revisions listed by repair-may-rerun",
        )


class RowsNotAlembics(Refusal):
    """The rows before a repair are not Alembic's: unknown to the scripts, overlapping, duplicate or empty."""

    code = "rows-not-alembics"
    before: Sequence[str]
    sql: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"Alembic never writes rows like those before the repair ({listed(self.before)}), so "
            "`alembic-rescue undo` cannot restore them",
            f"by hand: {code(' '.join(self.sql))}",
        )


class DatabaseMovedOn(Refusal):
    """The database is no longer where the receipt left it."""

    code = "database-moved-on"
    left_at: Sequence[str]
    found: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"the receipt left the database at {rows(self.left_at)}, but it is now at {rows(self.found)}",
            "migrations have run since. Restoring the old rows would make Alembic run them again. To go "
            "back, use alembic downgrade"
            if self.found
            else "no migration does that. Find out who emptied or dropped the version table, and whether "
            "this is the right database. To find which revision the schema is at: `alembic-rescue "
            "diagnose --locate`",
        )


class NothingStamped(Refusal):
    """The receipt's stamp never reached the database."""

    code = "nothing-stamped"
    receipt: str
    before: Sequence[str]
    found: Sequence[str]

    def _text(self) -> Text:
        since = ", as before" if sorted(self.before) == sorted(self.found) else " now, set by another session"
        return Text(
            f"the stamp of receipt {self.receipt} never reached the database: it is at {rows(self.found)}{since}",
            "there is nothing to undo",
        )
