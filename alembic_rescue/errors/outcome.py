"""Written but not verified, interrupted, or a fault of the tool itself (exit statuses 5, 130 and 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alembic_rescue.errors.base import INTERRUPTED, NOT_VERIFIED, RescueError, Text
from alembic_rescue.errors.words import code, listed, rows


class NotVerified(RescueError):
    """Something was written, but a new connection did not read back what was expected."""

    code = "not-verified"
    exit_status = NOT_VERIFIED
    expected: Sequence[str]
    found: Sequence[str] | None
    why: str
    restore: Sequence[str]
    arrived: bool = True
    """Whether the write is known to have reached the database."""

    def _text(self) -> Text:
        state = "and could not be read back" if self.found is None else f"but it is at {rows(self.found)}"
        became = "written" if self.arrived else "perhaps written"
        return Text(
            f"{became}, not verified: the version table should be at {rows(self.expected)}, {state} ({self.why})",
            "check before you deploy: `alembic-rescue diagnose`. "
            + (
                f"To restore the previous rows: `alembic-rescue undo`, or by hand: {code(' '.join(self.restore))}"
                if self.restore
                else "No undo is offered, because it would also undo another session's change"
            ),
        )


class NotCompleted(RescueError):
    """The statements ran, but what they should have created is not proved."""

    code = "not-completed"
    exit_status = NOT_VERIFIED
    revision: str
    missing: Sequence[str]
    receipt: str
    """The path of its file."""
    back: Sequence[str]
    """The SQL that reverts the statements, if any can be offered."""

    def _text(self) -> Text:
        by_hand = f"To revert the statements by hand: {code(' '.join(self.back))}. " if self.back else ""
        return Text(
            f"the statements ran, but {self.revision} is still incomplete: {listed(self.missing)} missing or different",
            f"check the database before you go on: `alembic-rescue diagnose`. {by_hand}The receipt is {self.receipt}",
        )


class HalfWritten(RescueError):
    """Of several databases, some were written; the others were not, or their state is unknown."""

    code = "half-written"
    exit_status = NOT_VERIFIED
    databases: Mapping[str, Sequence[str]]
    """The databases by what became of them."""
    why: str
    """The failure."""
    way_back: str

    def _text(self) -> Text:
        told = "; ".join(f"{what}: {listed(which)}" for what, which in self.databases.items() if which)
        return Text(
            f"interrupted half-way ({self.why}); {told}",
            "fix the cause and run the same command again; it skips what is already written. Or undo "
            f"exactly what was written: {code(self.way_back)}",
        )


class StillWriting(RescueError):
    """The server may still change the rows: the session that was about to write has not ended."""

    code = "still-writing"
    exit_status = NOT_VERIFIED
    pids: Sequence[int]
    """The server's process ids of those sessions."""

    def _text(self) -> Text:
        several = len(self.pids) > 1
        return Text(
            f"the server is still running this tool's statement, in {'processes' if several else 'process'} "
            f"{listed(map(str, self.pids))}: the version table may still change",
            "wait until it ends, or end it, then check: `alembic-rescue diagnose`",
        )


class Interrupted(RescueError):
    """Ctrl-C.  The exit status is the shell's for SIGINT."""

    code = "interrupted"
    exit_status = INTERRUPTED
    done: str

    def _text(self) -> Text:
        return Text(f"interrupted: {self.done}", "to check the state of the database: `alembic-rescue diagnose`")


class InternalError(RescueError):
    """A fault of alembic-rescue itself."""

    code = "internal-error"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"internal error in alembic-rescue: {self.reason}",
            "please report it with the output of the same command with --debug",
        )


class DemoFailed(RescueError):
    """A step of the demo failed."""

    code = "demo-failed"
    what: str
    output: str = ""

    def _text(self) -> Text:
        told = " | ".join(self.output.strip().splitlines()[-3:])
        return Text(
            f"the demo failed: {self.what}" + (f": {told}" if told else ""),
            "please report it with everything the demo printed",
        )
