"""The page of each format."""

from __future__ import annotations

from collections.abc import Callable

from alembic_rescue.report.html import HtmlPage
from alembic_rescue.report.markdown import MarkdownPage
from alembic_rescue.report.page import Page, Sheet

__all__ = ["DOCUMENTS", "Page", "of"]

DOCUMENTS: dict[str, Callable[[Callable[[str], str]], Sheet]] = {"markdown": MarkdownPage, "html": HtmlPage}
"""The formats that are documents, and not printed as they are."""


def of(name: str, hide: Callable[[str], str]) -> Sheet:
    """A new page of one of these formats.

    Args:
        hide: applied to each text, before it is escaped: takes out secrets.
    """
    return DOCUMENTS[name](hide)
