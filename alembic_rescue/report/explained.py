"""Where an error is explained: under its code, in the installed documentation."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_NAME = "docs/troubleshooting.md"


@cache
def _document() -> str | None:
    """In a wheel it is inside the package; in the repository it is next to it."""
    found = (folder / _NAME for folder in (_PACKAGE, _PACKAGE.parent))
    return next((file.as_uri() for file in found if file.is_file()), None)


def address(code: str) -> str | None:
    """The URL of the code's entry; None if the document is not installed."""
    document = _document()
    return document and f"{document}#{code}"
