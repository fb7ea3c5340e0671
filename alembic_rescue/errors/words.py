"""Lists and other parts of sentences, the same in all texts of the tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SOME = 3


def some(items: Iterable[str], *, verb: bool = True) -> str:
    """The first few of many, without duplicates, for use in a sentence: ``a, b, c and 4 more are``."""
    named = list(dict.fromkeys(items))
    shown = ", ".join(named[:_SOME]) + f" and {len(named) - _SOME} more" if len(named) > _SOME else listed(named)
    return f"{shown} {'is' if len(named) == 1 else 'are'}" if verb else shown


def listed(items: Iterable[str]) -> str:
    """Join ids for use in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *front, last = list(items) or ["nothing"]
    return f"{', '.join(front)} and {last}" if front else last


def rows(heads: Iterable[str]) -> str:
    """Name the rows of a version table for use in a sentence; no row is the base."""
    found = list(heads)
    return listed(found) if found else "base (no row)"


def said(error: object) -> str:
    """The text of an exception or of a ``sys.exit`` status; if even that fails, its type."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - others' code
        return f"<{type(error).__name__} that cannot be printed>"


def code(command: str) -> str:
    """A command or statement within a sentence, in Markdown's code marks.  A report may put it on its own line."""
    fence = "``" if "`" in command else "`"
    return f"{fence}{command}{fence}"


def them(items: Sequence[str]) -> str:
    """The pronoun for one or several."""
    return "it" if len(items) == 1 else "them"


def and_printed(output: str) -> str:
    """The end of a sentence that quotes what was printed; empty if there was nothing."""
    return f"; it printed: {output}" if output else ""
