"""Lists and other parts of sentences, the same in every text of the tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SOME = 3


def some(items: Iterable[str], *, verb: bool = True) -> str:
    """The first few of many, once each, for a sentence: ``a, b, c and 4 more are``."""
    named = list(dict.fromkeys(items))
    shown = ", ".join(named[:_SOME]) + f" and {len(named) - _SOME} more" if len(named) > _SOME else listed(named)
    return f"{shown} {'is' if len(named) == 1 else 'are'}" if verb else shown


def listed(items: Iterable[str]) -> str:
    """Join ids for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *front, last = list(items) or ["nothing"]
    return f"{', '.join(front)} and {last}" if front else last


def rows(heads: Iterable[str]) -> str:
    """Name the rows of a version table for a sentence; no row is the base."""
    found = list(heads)
    return listed(found) if found else "base (no row)"


def said(error: object) -> str:
    """What an exception, or the status of a ``sys.exit``, says; of one that fails even at that, its type."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - others' code
        return f"<{type(error).__name__} that cannot be printed>"


def code(command: str) -> str:
    """A command or a statement within a sentence, as Markdown marks it; a report may give it a line of its own."""
    fence = "``" if "`" in command else "`"
    return f"{fence}{command}{fence}"


def them(items: Sequence[str]) -> str:
    """The pronoun for one, or for several."""
    return "it" if len(items) == 1 else "them"


def and_printed(output: str) -> str:
    """The end of a sentence that tells what was printed; nothing where nothing was."""
    return f"; it printed: {output}" if output else ""
