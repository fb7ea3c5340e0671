"""The page for each format."""

from __future__ import annotations

from collections.abc import Callable

from alembic_rescue.report.html import HtmlPage
from alembic_rescue.report.markdown import MarkdownPage
from alembic_rescue.report.page import Page, Sheet

__all__ = ["DOCUMENTS", "Page", "of"]

DOCUMENTS: dict[str, Callable[[Callable[[str], str]], Sheet]] = {"markdown": MarkdownPage, "html": HtmlPage}
"""The formats that are documents, which are not printed as they are."""


def of(name: str, hide: Callable[[str], str]) -> Sheet:
    """A new page in one of these formats.

    Args:
        hide: removes secrets; applied to each text before it is escaped.
    """
    return DOCUMENTS[name](hide)
