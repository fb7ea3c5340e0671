"""A check of the target, the graph or the evidence failed, and nothing was written (exit status 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alembic_rescue.errors.base import Refusal, Text
from alembic_rescue.errors.words import code, listed, some
from alembic_rescue.evidence.sentences import sentence

if TYPE_CHECKING:
    from alembic_rescue.model import Report

SET_ROWS = (
    "to find which revision the schema is at: `alembic-rescue diagnose --locate`. To set the version table "
    "to it: `alembic-rescue repair`"
)


class PlanRefused(Refusal):
    """The plan holds refusals: `report` has them all, and this error has the code and text of the first."""

    report: Report

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.code = report.refusals[0].code

    def _text(self) -> Text:
        first = self.report.refusals[0]
        return Text(first.message, first.help)


class UnknownRevision(Refusal):
    """The target is not in any script file."""

    code = "unknown-revision"
    target: str
    reason: str = ""

    def _text(self) -> Text:
        return Text(
            f"the script directory has no revision {self.target!r}" + (f": {self.reason}" if self.reason else ""),
            "list the revisions: `alembic history`. A newer one may be on a branch that is not checked out here",
        )


class AmbiguousRevision(Refusal):
    """A partial id matches several revisions."""

    code = "ambiguous-revision"
    target: str
    candidates: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.target!r} matches several revisions: {listed(self.candidates)}",
            "type more characters of the id",
        )


class SeveralTargets(Refusal):
    """The symbol resolves to several revisions where one is needed."""

    code = "several-heads"
    target: str
    heads: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.target!r} refers to several heads: {listed(self.heads)}",
            "choose one of them or BRANCH@head, or use heads for all of them",
        )


class AmbiguousRelative(Refusal):
    """A relative target with several revisions to count from, or to reach."""

    code = "ambiguous-relative"
    target: str
    reason: str

    def _text(self) -> Text:
        return Text(f"{self.target!r} is ambiguous: {self.reason}", "use the revision's id, or BRANCH@+N")


class TargetBehindCurrent(Refusal):
    """The target is an ancestor of a current head."""

    code = "target-behind-current"
    target: str
    current: str
    rerun: Sequence[str]

    def _text(self) -> Text:
        again = f"{self.rerun[0]} and {len(self.rerun) - 1} more" if len(self.rerun) > 1 else listed(self.rerun)
        return Text(
            f"{self.target} is behind the database's current revision {self.current}",
            f"stamping backwards would make Alembic run {again} again. To check what is applied: "
            "`alembic-rescue diagnose`",
        )


class TargetAboveHead(Refusal):
    """A relative target counts past the last revision."""

    code = "target-above-head"
    target: str
    heads: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.target!r} goes past the last revision ({listed(self.heads)})",
            "use a smaller number, or the revision's id",
        )


class UnknownCurrent(Refusal):
    """A row of the version table is not in any script file."""

    code = "unknown-current"
    current: str

    def _text(self) -> Text:
        return Text(
            f"the database is at {self.current}, which is not in the script directory",
            "the revision's file is missing here. Check out the code that was deployed last and run this "
            "there. If that code is lost, find which revision the schema is at: `alembic-rescue diagnose "
            "--locate`",
        )


class UnknownWhileWaiting(Refusal):
    """The same during ``wait``, for instance in an image that was rolled back."""

    code = "unknown-while-waiting"
    current: str

    def _text(self) -> Text:
        return Text(
            f"the database is at {self.current}, which these scripts do not have: it is ahead of them, or on another "
            "branch. Whether it is past the target is unknown",
            f"deploy the code that has {self.current}. If this code was rolled back on purpose, start it without wait. "
            "If no code has it, find which revision the schema is at: `alembic-rescue diagnose --locate`",
        )


class VersionTableUnfit(Refusal):
    """Alembic cannot work with the table that env.py names as the version table."""

    code = "version-table-unfit"
    table: str
    """For use in a sentence, with its database."""
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.table} is not a version table that Alembic can read: {self.reason}",
            "it needs one column, version_num VARCHAR(32) NOT NULL. Look at the table with the database's own client. "
            "If it belongs to something else, set version_table or version_table_schema in env.py; else change the "
            "column",
        )


class AheadOfTheScripts(Refusal):
    """The version table has a revision that only other code contains, and that may have run."""

    code = "ahead-of-the-scripts"
    rows: Sequence[str]
    places: Sequence[str]
    follows: Sequence[str]
    beside: Sequence[str]
    effects: str
    command: str
    unproved: Sequence[str] = ()

    def _text(self) -> Text:
        beside = f", which continue with {some(self.beside, verb=False)} instead" if self.beside else ""
        not_run = "".join(f" --not-run {one}" for one in self.unproved)
        ways = [f"deploy code that includes it, or restore its file to these scripts: `{self.command}`"]
        if len(self.follows) == 1:
            ways.append(f"To go back instead, restore the file and run: `alembic downgrade {self.follows[0]}`")
        if not_run:
            ways.append(f"If it did not run here: `alembic-rescue repair{not_run}`")
        return Text(
            "the database is ahead of this code, which was rolled back or is another branch: the database "
            f"is at {listed(self.rows)}. Found in git: {'; '.join(self.places)}. It follows "
            f"{listed(self.follows)} in these scripts{beside}; {self.effects}",
            ". ".join(ways),
        )


class OverlappingCurrent(Refusal):
    """The version table has both a revision and one of its ancestors."""

    code = "overlapping-current"
    ancestor: str
    descendant: str

    def _text(self) -> Text:
        return Text(
            f"the version table has both {self.descendant} and its ancestor {self.ancestor}",
            f"one of the two rows is wrong. If {self.descendant} is applied, the row {self.ancestor} must go. "
            f"{sentence(SET_ROWS)}",
        )


class EmptyRow(Refusal):
    """A row of the version table has no revision."""

    code = "empty-row"

    def _text(self) -> Text:
        return Text(
            "a row of the version table has version_num NULL, which Alembic never writes",
            SET_ROWS,
        )


class DoubledRow(Refusal):
    """Two rows of the version table have the same revision."""

    code = "doubled-row"
    revision: str

    def _text(self) -> Text:
        return Text(
            f"the version table has {self.revision} more than once, so Alembic can neither upgrade nor stamp",
            f"{SET_ROWS}. Then make version_num the primary key again",
        )


class DuplicateRevision(Refusal):
    """Two script files have the same revision id."""

    code = "duplicate-revision"
    revision: str
    files: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"several files use the revision id {self.revision}" + (f": {listed(self.files)}" if self.files else ""),
            "Alembic loads only one of them and never runs the other. Give the newer file a new id and "
            "make it follow the other (revision, down_revision), or delete it",
        )


class RevisionCycle(Refusal):
    """The script files form a cycle."""

    code = "revision-cycle"
    revisions: Sequence[str]

    def _text(self) -> Text:
        shown = 10
        named = (
            [*self.revisions[:shown], f"{len(self.revisions) - shown} more"]
            if len(self.revisions) > shown
            else self.revisions
        )
        return Text(
            f"the revisions form a cycle: {listed(named)}",
            "fix down_revision or depends_on in one of these files",
        )


class MissingRevision(Refusal):
    """A script file follows a revision that is not in any file."""

    code = "missing-revision"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the script directory has a gap: {self.reason}",
            "a file is missing (not checked out, not merged, or not in the image). Restore it",
        )


def wide_enough(widen: str, revision: str) -> str:
    """The statement that widens the version column enough for this id."""
    return widen.replace("(128)", f"({max(128, len(revision))})")


class RevisionTooLong(Refusal):
    """The version column cannot hold the target's id."""

    code = "revision-too-long"
    revision: str
    limit: int
    widen: str

    def _text(self) -> Text:
        return Text(
            f"the id {self.revision} has {len(self.revision)} characters, but the version column holds only "
            f"{self.limit}",
            f"widen it first: {code(wide_enough(self.widen, self.revision))}",
        )


class RevisionNotApplied(Refusal):
    """Nothing exists of a revision that the stamp would skip."""

    code = "revision-not-applied"
    revision: str
    missing: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.revision} is not applied: {some(self.missing)} missing or different",
            "do not stamp it, because Alembic would never create what is missing. Fix the migration and "
            f"run `alembic upgrade`. Only if you never want these objects, add `--accept-missing {self.revision}`",
        )


class RevisionPartial(Refusal):
    """A revision that the stamp would skip is partially applied."""

    code = "revision-partial"
    revision: str
    missing: Sequence[str]
    has_statements: bool = True

    def _text(self) -> Text:
        statements = "the plan lists the statements under the revision"
        return Text(
            f"{self.revision} is partially applied: {some(self.missing)} missing or different",
            "complete it first: "
            f"{statements if self.has_statements else 'no statement can be offered for it'}. Only if you "
            f"never want what is missing, add `--accept-missing {self.revision}`",
        )


class RevisionUnverifiable(Refusal):
    """A revision that the stamp would skip cannot be verified."""

    code = "revision-unverifiable"
    revision: str
    reasons: Sequence[str]
    locked: Sequence[str] = ()
    """The objects that could not be read because a session has locked them."""

    def _text(self) -> Text:
        return Text(
            f"{self.revision} cannot be verified: {some(self.reasons, verb=False)}",
            f"wait for the session that holds {listed(self.locked)}, or end it, then run this again"
            if self.locked
            else (f"check the database. If you know that it is applied, add `--accept {self.revision} --reason TEXT`"),
        )


class NotPartial(Refusal):
    """There is nothing to complete in the revision."""

    code = "not-partial"
    revision: str
    why: str
    way: str

    def _text(self) -> Text:
        return Text(f"{self.revision} cannot be completed: {self.why}", self.way)


class CompletionMoved(Refusal):
    """The revision's objects changed between the plan and the write."""

    code = "completion-moved"
    revision: str

    def _text(self) -> Text:
        return Text(
            f"{self.revision} changed after the statements were shown: another session altered some of its objects",
            f"nothing was run. Start again: `alembic-rescue complete {self.revision}`",
        )


class SeveralPartial(Refusal):
    """A revision is partially applied in several databases."""

    code = "several-partial"
    revision: str
    databases: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.revision} is partially applied in several databases: {listed(self.databases)}",
            "complete them one at a time, with `--only NAME`",
        )


class CompletionWouldFail(Refusal):
    """A statement to complete a revision fails on a copy of the schema."""

    code = "completion-would-fail"
    revision: str
    statement: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"completing {self.revision} would fail. On a copy of the schema, {self.statement} fails: {self.reason}",
            "create the missing objects by hand, after what they depend on, then check: `alembic-rescue diagnose`",
        )


class BatchBrokeOff(Refusal):
    """A table replacement of several statements was interrupted, and left a table over."""

    code = "batch-broke-off"
    table: str
    copy: str
    holds_the_rows: bool
    sql: str

    def _text(self) -> Text:
        broke_off = f"a migration was interrupted while replacing table {self.table}"
        if self.holds_the_rows:
            return Text(
                f"{broke_off}; its rows are in {self.copy}", f"rename it back: {code(self.sql)}. Then check again"
            )
        return Text(
            f"{broke_off}; {self.copy} is left over, and the next run will fail on it",
            f"the rows are still in {self.table}. Drop the leftover: {code(self.sql)}. Then check again",
        )


class AcceptedNotSkipped(Refusal):
    """``--accept`` or ``--accept-missing`` names a revision that the stamp does not skip."""

    code = "accepted-not-skipped"
    named: str
    skipped: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"{self.named} is accepted, but this stamp does not skip it (it skips {listed(self.skipped)})",
            "accept only revisions that the plan refuses",
        )


class OtherDatabase(Refusal):
    """The environment names a database other than the one that env.py opens."""

    code = "other-database"
    variable: str
    named: str
    opened: str

    def _text(self) -> Text:
        return Text(
            f"{self.variable} points to {self.named}, but env.py opens {self.opened}",
            f'choose: --url "${self.variable}" for the first, '
            f"or `env -u {self.variable} alembic-rescue ...` for the second",
        )
