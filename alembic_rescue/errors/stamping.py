"""What stands in the way of a stamp, or of its undo: nothing was written (exit status 3)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Refusal, Text
from alembic_rescue.errors.words import listed, rows


class DatabaseMoved(Refusal):
    """The version table changed between the plan and the write."""

    code = "database-moved"
    planned: Sequence[str]
    found: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"the database moved since the plan: it stood at {rows(self.planned)}, "
            f"and now stands at {rows(self.found)}; nothing was written",
            "somebody else is at work on it. Look again: alembic-rescue diagnose",
        )


class DatabaseChanged(Refusal):
    """The connection about to write leads to another database than the plan's."""

    code = "database-changed"
    planned: str
    found: str

    def _text(self) -> Text:
        return Text(
            f"the plan was made for {self.planned}, but the connection now leads to {self.found}; nothing was written",
            "find out why env.py opens another database from one run to the next (fail-over, DNS, settings), "
            "then plan again",
        )


class PlanChanged(Refusal):
    """A sealed plan no longer describes what is there."""

    code = "plan-changed"
    path: str
    differences: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.path} was sealed for another state: {'; '.join(self.differences)}",
            "plan again, and have the new plan approved: alembic-rescue plan REVISION --out FILE",
        )


class BrokeOff(Refusal):
    """A stamp or an undo broke off between two statements, and this would lead elsewhere."""

    code = "broke-off"
    command: str
    receipt: str
    found: Sequence[str]
    ways: str

    def _text(self) -> Text:
        return Text(
            f"the {self.command} of receipt {self.receipt} broke off between two statements: "
            f"the database stands at {rows(self.found)}, neither before nor after it",
            f"finish it first, either way. {self.ways}",
        )


class RescueUnderWay(Refusal):
    """Another rescue holds the database's advisory lock."""

    code = "rescue-under-way"
    database: str

    def _text(self) -> Text:
        return Text(
            f"another alembic-rescue is writing to {self.database}; nothing was written by this one",
            "wait for it, then look: alembic-rescue diagnose",
        )


class NotConfirmed(Refusal):
    """The answer to the question was not yes."""

    code = "not-confirmed"

    def _text(self) -> Text:
        return Text("not confirmed; nothing was written", "run it again when you are sure")


class NoReceipt(Refusal):
    """There is no receipt to undo."""

    code = "no-receipt"
    wanted: str
    folder: str

    def _text(self) -> Text:
        return Text(
            f"no receipt {self.wanted} in {self.folder}",
            "alembic-rescue receipts lists them; --receipts DIR names another folder",
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
            "use the settings of that database, or name it with --url. A promoted replica and a restored snapshot have "
            "the original's server id: if this is the very server under another address, run the receipt's SQL by hand",
        )


class ReceiptIsUndo(Refusal):
    """The receipt is one of an undo."""

    code = "receipt-is-undo"
    receipt: str

    def _text(self) -> Text:
        return Text(
            f"receipt {self.receipt} is of an undo, which is not undone",
            "stamp again instead, with its checks: alembic-rescue stamp REVISION",
        )


class ReceiptOfCompletion(Refusal):
    """The receipt is of ``complete``, which changed no row of the version table."""

    code = "receipt-of-completion"
    receipt: str
    revision: str
    sql: Sequence[str] = ()

    def _text(self) -> Text:
        by_hand = " ".join(self.sql) or "no statement is known for it"
        return Text(
            f"receipt {self.receipt} is of what completed {self.revision}: no row of a version table was written",
            f"what it made is taken back by hand, if nothing builds on it by now: {by_hand}",
        )


class ReceiptSpent(Refusal):
    """The receipt has been undone already."""

    code = "receipt-spent"
    receipt: str
    by: str

    def _text(self) -> Text:
        return Text(
            f"receipt {self.receipt} was undone already, by {self.by}", "alembic-rescue diagnose shows what is now"
        )


class NothingLocated(Refusal):
    """No revision can be shown to be there, so there is nothing to set the rows to."""

    code = "nothing-located"
    half: str = ""
    """The first revision, where that is only half there."""

    def _text(self) -> Text:
        if self.half:
            return Text(
                f"{self.half}, the first revision, is only half there, so that nothing can be shown to be there",
                f"make it whole first: alembic-rescue complete {self.half}",
            )
        return Text(
            "no revision can be shown to be there: an empty schema, or not one of these scripts",
            "look at each revision: alembic-rescue diagnose --locate",
        )


class StampLeadsThere(Refusal):
    """The rows can be explained, and a forward stamp leads to what is proved."""

    code = "stamp-leads-there"
    targets: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"nothing has to be repaired: a stamp leads to {listed(self.targets)}",
            f"alembic-rescue plan {self.targets[0]}",
        )


class RepairWouldRerun(Refusal):
    """Alembic would run revisions again of which something is there."""

    code = "repair-would-rerun"
    revisions: Sequence[str]
    half: str = ""
    """The first of them that is half there, and for which there are statements."""

    def _text(self) -> Text:
        by_hand = "take away what is left of it by hand"
        return Text(
            f"something of {listed(self.revisions)} is there: after this repair Alembic would run it again",
            f"make {self.half} whole first: alembic-rescue complete {self.half}. Or {by_hand}"
            if self.half
            else f"make it whole by hand, or {by_hand}: alembic-rescue diagnose --locate shows what is there",
        )


class RepairMayRerun(Refusal):
    """Alembic would run revisions of which nobody can tell whether they ran."""

    code = "repair-may-rerun"
    revisions: Sequence[str]
    reasons: Sequence[str]
    """For each, what of it cannot be checked."""
    ways: Sequence[str]
    """What a look at the rows may find, and what to type then."""

    def _text(self) -> Text:
        told = "; ".join(f"{one} ({why})" for one, why in zip(self.revisions, self.reasons, strict=True))
        return Text(
            f"nobody can tell whether these ran, and after this repair Alembic would run them: {told}",
            "look at the rows that they change. " + ". ".join(self.ways),
        )


class NotRunNotLeft(Refusal):
    """``--not-run`` names a revision that Alembic would not run after the repair."""

    code = "not-run-not-left"
    named: str
    left: Sequence[str]

    def _text(self) -> Text:
        would = f"it would run {listed(self.left)}" if self.left else "it would run none again"
        return Text(
            f"{self.named} is given as not run, but after this repair Alembic would not run it ({would})",
            "name only revisions that repair-may-rerun names",
        )


class RowsNotAlembics(Refusal):
    """The rows before a repair are none that Alembic writes: unknown to the scripts, overlapping, doubled or empty."""

    code = "rows-not-alembics"
    before: Sequence[str]
    sql: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"the rows before the repair, {listed(self.before)}, are none that Alembic writes: it cannot put them back",
            f"by hand: {' '.join(self.sql)}",
        )


class DatabaseMovedOn(Refusal):
    """The database no longer stands where the receipt left it."""

    code = "database-moved-on"
    left_at: Sequence[str]
    found: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"the receipt left the database at {rows(self.left_at)}, but it stands at {rows(self.found)} now",
            "migrations ran since; putting the old rows back would make Alembic run them again. "
            "To go back, use alembic downgrade"
            if self.found
            else "no migration does that: find out who emptied or dropped the version table, and whether this is the "
            "right database; where it stands is told by: alembic-rescue diagnose --locate",
        )


class NothingStamped(Refusal):
    """The receipt's stamp never reached the database."""

    code = "nothing-stamped"
    receipt: str
    before: Sequence[str]
    found: Sequence[str]

    def _text(self) -> Text:
        since = ", as before" if sorted(self.before) == sorted(self.found) else " now, where others set it"
        return Text(
            f"the stamp of receipt {self.receipt} did not reach the database: it stands at {rows(self.found)}{since}",
            "there is nothing to undo",
        )
