"""A page of text: the one place that knows the printing library's console."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_CODE = re.compile(r"(`+)(?P<code>.+?)\1")
_ALONE = re.compile(r"(?:(?P<after>:)[ ]|^)(?P<fence>`+)(?P<code>.+?)(?P=fence)(?P<ends>[.;,]?(?:$|(?<=[.;,])[ ]))")
"""A command after a colon, or one of a list: somebody may copy it, so it gets a line of its own, never wrapped."""
_ANY_WIDTH = 100_000
"""Columns: more than a table takes."""
_KEPT = "\ue000"
"""In place of a space within a command that stays in its sentence: the line is not broken there."""


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
        """A line or an empty one, and each command that it ends with, or goes on after, on one of its own."""
        self._sentences(Text(text, style=style) if isinstance(text, str) else text, 0)

    def indented(self, text: str | Text, by: int = 2, commands: int = 4) -> None:
        """The same, set in, its continuation too, and its commands by as much as is told."""
        self._sentences(Text(text) if isinstance(text, str) else text, by, commands)

    def copied(self, command: str | Text, by: int = 4) -> None:
        """A command or a statement that somebody may copy: never wrapped."""
        self._console.print(Text.assemble(" " * by, command), soft_wrap=True)

    def _sentences(self, text: Text, by: int, commands: int = 4) -> None:
        found = _ALONE.search(text.plain)
        if found is None:
            kept = _CODE.sub(lambda code: code[0].replace(" ", _KEPT), text.plain)
            text.plain = kept  # of the same length: styles stay where they are
            self._console.print(Padding(text, (0, 0, 0, by)), overflow="fold")
            return
        if found["after"]:
            self._sentences(text[: found.start() + 1], by)
        self.copied(found["code"], commands)
        rest = text[found.end() :]
        if rest.plain.strip():
            first = rest.plain[0]
            self._sentences(
                Text.assemble(first.upper() if found["ends"][0] in ";," else first, rest[1:]), max(by, 2), commands
            )

    def fact(self, name: str, value: str, style: str = "") -> None:
        """A name and its value, whose lines stand below one another."""
        grid = Table.grid()
        grid.add_column(width=9)
        grid.add_column(overflow="fold")
        grid.add_row(Text(name, "dim"), Text(value, style))
        self._console.print(grid)

    def kept(self, name: str, value: str) -> None:
        """The same of a value that somebody may copy: never wrapped."""
        self._console.print(Text.assemble((f"{name:9}", "dim"), value), soft_wrap=True)

    def has_room_for(self, table: Table) -> bool:
        """Whether a table fits without breaking a line."""
        wide = self._console.options.update(max_width=_ANY_WIDTH)
        return self._console.measure(table, options=wide).maximum <= self.width

    def table(self, table: Table) -> None:
        """A table, as wide as it needs to be."""
        self._console.print(table)

    def text(self) -> str:
        """All of it."""
        return "\n".join(line.rstrip() for line in self._out.getvalue().replace(_KEPT, " ").split("\n"))


def columns(*names: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def count(revisions: Sequence[object]) -> str:
    """``1 revision``, ``2 revisions``."""
    return f"{len(revisions)} revision{'s' if len(revisions) != 1 else ''}"
