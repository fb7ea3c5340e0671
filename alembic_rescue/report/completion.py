"""Report a completion: the statements that run, and those that revert them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from alembic_rescue.evidence.completion import Completion
from alembic_rescue.report.page import Sheet


def planned(page: Sheet, completion: Completion | None) -> None:
    """What will run, part by part."""
    assert completion is not None, "there is something to run"
    _part(page, "First, each in its own transaction: new values can be used only after a commit", completion.first)
    _part(page, "Together, in one transaction", completion.together)
    _part(page, "Last, each by itself, outside a transaction", completion.last)


def taking_back(page: Sheet, completion: Completion | None) -> None:
    """The statements that revert it."""
    assert completion is not None, "something was run"
    if completion.back:
        page.line("To revert by hand:", "dim")
        for sql in completion.back:
            page.copied(Text(sql, "cyan"), 2)
    if completion.stays:
        page.line(f"Nothing takes back: {', '.join(completion.stays)}", "dim")


def _part(page: Sheet, title: str, statements: Sequence[str]) -> None:
    if not statements:
        return
    page.line()
    page.title(title)
    for statement in statements:
        for line in f"{statement.rstrip()};".splitlines():
            page.copied(Text(line, "cyan"), 2)
