"""A page of text: the one place that knows the printing library's console."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


class Page:
    """Collects what a report prints, for a width."""

    def __init__(self, width: int, *, color: bool) -> None:
        self.width = width
        self._out = io.StringIO()
        self._console = Console(
            file=self._out,
            width=width,
            color_system="standard" if color else None,
            force_terminal=color,
            highlight=False,
            soft_wrap=False,
            legacy_windows=False,
        )

    def line(self, text: str | Text = "", style: str = "") -> None:
        """One line, or an empty one."""
        self._console.print(Text(text, style=style) if isinstance(text, str) else text, overflow="fold")

    def indented(self, text: str | Text, by: int = 2) -> None:
        """A line set in, its continuation too."""
        self._console.print(Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, by)), overflow="fold")

    def table(self, table: Table) -> None:
        """A table, as wide as it needs to be."""
        self._console.print(table)

    def text(self) -> str:
        """All of it."""
        return "\n".join(line.rstrip() for line in self._out.getvalue().split("\n"))


def columns(*names: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def count(revisions: Sequence[object]) -> str:
    """``1 revision``, ``2 revisions``."""
    return f"{len(revisions)} revision{'s' if len(revisions) != 1 else ''}"
