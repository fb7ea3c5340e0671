"""Ask the person at the terminal, on stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from alembic_rescue import errors
from alembic_rescue.cli.call import COMMAND, Call

if TYPE_CHECKING:
    from alembic_rescue.model import DatabaseReport, Report

Ask = Callable[[Call, "Report"], bool]


def confirming(call: Call, pause: Callable[[], None], ask: Ask, *, yes: bool) -> Callable[[Report], bool]:
    """Return a function that shows the plan on stderr, and asks there."""

    def confirm(report: Report) -> bool:
        from alembic_rescue.report import text

        pause()
        call.tell(text.plan(report, **call.style(sys.stderr)))
        return yes or ask(call, report)

    return confirm


def agreed(call: Call, report: Report) -> bool:
    """Ask for yes, and for the id of each revision whose missing objects will never be created."""
    written = [part for part in report.databases if part.stamps]
    if answered(call, f"{_question(written)} [y/N]: ").lower() not in {"y", "yes"}:
        return False
    skipped = [revision for part in written for revision in part.revisions]
    lost = dict.fromkeys(one.revision for one in skipped if one.accepted and one.missing)
    named = "The missing objects of {} will never be created. Type its id to go on without them: "
    return all(answered(call, named.format(revision)) == revision for revision in lost)


def statements_agreed(call: Call, report: Report) -> bool:
    """Ask whether to run the statements."""
    (part,) = (part for part in report.databases if part.completion is not None)
    number = len(part.completion.statements) if part.completion else 0
    what = "this statement" if number == 1 else f"these {number} statements"
    return answered(call, f"Run {what} in {part.database.identity.name}? [y/N]: ").lower() in {"y", "yes"}


def deploying_agreed(call: Call) -> bool:
    """Ask whether to start the deployment that was shown."""
    return answered(call, "Deploy? [y/N]: ").lower() in {"y", "yes"}


def rows_typed(call: Call, report: Report) -> bool:
    """Ask the user to type the new rows of each version table."""
    asked = {part.database.identity.sentence: part.heads_after for part in report.databases if part.stamps}
    question = "Type the new rows of {} ({}): "
    return all(answered(call, question.format(w, " ".join(rows))).split() == list(rows) for w, rows in asked.items())


def _question(parts: Sequence[DatabaseReport]) -> str:
    tables: dict[str, list[str]] = {}
    for part in parts:
        change = f"from {errors.rows(part.database.current_heads)} to {errors.rows(part.heads_after)}"
        tables.setdefault(change, []).append(part.database.identity.sentence)
    return "\n".join(f"Set {errors.some(named, verb=False)} {change}?" for change, named in tables.items())


def answered(call: Call, question: str) -> str:
    """Ask a question on stderr, and return what is typed."""
    try:
        call.tell(question)
        return sys.stdin.readline().strip()
    except KeyboardInterrupt:
        call.tell("\n")  # the terminal printed ^C after the question
        raise


def terminal_or_yes(command: str, look: str, *, yes: bool) -> None:
    """Refuse a command that has to ask when there is no terminal.  `look` shows what it would do."""
    if not yes and not sys.stdin.isatty():
        verb = command.split()[1]
        after = sys.argv[sys.argv.index(verb) :] if verb in sys.argv else command.split()[1:]
        raise errors.NoTerminal(command, look, shlex.join([COMMAND, *after]))
