"""The pages that reports are written to: what all formats have in common, and the page for a terminal."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.model import Action, DatabaseReport, Note, Recommendation, Report
from alembic_rescue.report import chain, explained
from alembic_rescue.report.picture import Entry, Line, styles

CODE = re.compile(r"(`+)(?P<code>.+?)\1")
_ALONE = re.compile(r"(?:(?P<after>:)[ ]|^)(?P<fence>`+)(?P<code>.+?)(?P=fence)(?P<ends>[.;,]?(?:$|(?<=[.;,])[ ]))")
"""A command after a colon, or one in a list.  Someone may copy it, so it gets its own line and is never wrapped."""
_ACTION_STYLE = {Action.NOTHING: "green", Action.STAMP: "green", Action.STOP: "bold red"}
_ANY_WIDTH = 100_000
"""Columns: more than a table needs."""
_KEPT = "\ue000"
"""Replaces the spaces in a command that stays in its sentence, so that no line breaks there."""
_LEAST_ROOM = 20
"""Columns; with fewer, a message is hard to read."""


class Sheet(ABC):
    """Takes a report piece by piece, and writes it in one format."""

    width: int
    """How many columns fit on a line."""

    def line(self, text: str | Text = "", style: str = "") -> None:
        """A line or an empty one.  A command that ends it, or that is followed by more text, gets its own line."""
        self._sentences(Text(text, style=style) if isinstance(text, str) else text, 0)

    def indented(self, text: str | Text, by: int = 2, commands: int = 4) -> None:
        """The same, indented, with its continuation lines; its commands are indented by `commands`."""
        self._sentences(Text(text) if isinstance(text, str) else text, by, commands)

    def unlisted(self, told: str, by: int = 0) -> None:
        """Say what is left out, and where to find it."""
        self.indented(f"{told} To list all, add `--format html` or `--format json`.", by)

    def _sentences(self, text: Text, by: int, commands: int = 4) -> None:
        found = _ALONE.search(text.plain)
        if found is None:
            self._prose(text, by)
            return
        if found["after"]:
            self._sentences(text[: found.start() + 1], by)
        self.copied(found["code"], commands)
        rest = text[found.end() :]
        if rest.plain.strip():
            if found["ends"][0] in ";,":
                rest = Text.assemble(sentence(rest.plain)[0], rest[1:])
            self._sentences(rest, max(by, 2), commands)

    @abstractmethod
    def _prose(self, text: Text, by: int) -> None:
        """Indented sentences."""

    @abstractmethod
    def begin(self, command: str) -> None:
        """The title of a command's output."""

    @abstractmethod
    def title(self, text: str) -> None:
        """The title of what follows."""

    @abstractmethod
    def copied(self, command: str | Text, by: int = 4) -> None:
        """A command or a statement that someone may copy; never wrapped."""

    @abstractmethod
    def fact(self, name: str, value: str, style: str = "") -> None:
        """A name and its value."""

    def kept(self, name: str, value: str) -> None:
        """A name, and a value that someone may copy."""
        self.fact(name, value)

    def has_room_for(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Whether a table fits."""
        return True

    @abstractmethod
    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table."""

    @abstractmethod
    def picture(self, lines: Sequence[Line]) -> None:
        """The chain."""

    @abstractmethod
    def folding(self, title: str, place: str = "") -> AbstractContextManager[None]:
        """Group what is written in this block, under a title; it may be folded.

        Args:
            place: the file that it is about.
        """

    def standing_out(self) -> AbstractContextManager[None]:
        """Mark what is written in this block as the one thing to do."""
        return nullcontext()

    def warning(self, note: Note) -> None:
        """Write a finding: its code, the fact and the help."""
        self._fact_and_help(Text.assemble((f"warning[{note.code}]", "bold yellow"), f": {note.message}"), note)

    def error(self, note: Note) -> None:
        """Write a refusal or an error; with colours, the code links to its entry in the documentation."""
        linked = Style(bold=True, color="red", link=explained.address(note.code))
        self._fact_and_help(Text.assemble((f"error[{note.code}]", linked), f": {note.message}"), note)

    def _fact_and_help(self, fact: Text, note: Note) -> None:
        self.line(fact)
        self.line(Text.assemble(("help", "bold cyan"), f": {note.help}"))

    def recommendation(self, advice: Recommendation) -> None:
        """Write what to do, and why."""
        named = f"{advice.action.value} {advice.revision}" if advice.revision else advice.action.value
        style = _ACTION_STYLE.get(advice.action, "bold")
        self.line(
            Text.assemble(
                ("Recommendation: ", "bold"), (named, style), f": {advice.reason}{':' if advice.steps else '.'}"
            )
        )

    @abstractmethod
    def whole(self, report: Report, part: DatabaseReport) -> None:
        """All that is known of each revision, if there is room for it."""

    @abstractmethod
    def text(self) -> str:
        """The whole page."""


class Page(Sheet):
    """The page for a terminal or a pipe: the only place that uses the printing library's console."""

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

    def _prose(self, text: Text, by: int) -> None:
        kept = CODE.sub(lambda code: code[0].replace(" ", _KEPT), text.plain)
        text.plain = kept  # of the same length, so the styles still fit
        self._console.print(Padding(text, (0, 0, 0, by)), overflow="fold")

    def begin(self, command: str) -> None:
        """Nothing: the command was just typed."""

    def title(self, text: str) -> None:
        """A bold line."""
        self.line(text, "bold")

    def copied(self, command: str | Text, by: int = 4) -> None:
        """On its own line, however long."""
        self._console.print(Text.assemble(" " * by, command), soft_wrap=True)

    def fact(self, name: str, value: str, style: str = "") -> None:
        """A name and its value, with the value's lines aligned."""
        grid = Table.grid()
        grid.add_column(width=9)
        grid.add_column(overflow="fold")
        grid.add_row(Text(name, "dim"), Text(value, style))
        self._console.print(grid)

    def kept(self, name: str, value: str) -> None:
        """On one line, however long."""
        self._console.print(Text.assemble((f"{name:9}", "dim"), value), soft_wrap=True)

    def has_room_for(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Whether no line of it would wrap."""
        wide = self._console.options.update(max_width=_ANY_WIDTH)
        return self._console.measure(_table(names, rows), options=wide).maximum <= self.width

    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table without lines."""
        self._console.print(_table(names, rows))

    def picture(self, lines: Sequence[Line]) -> None:
        """One line per revision: sign, id, verdict, what was found, message, and its marks.

        A message that does not fit continues below, next to the lines of the picture; an id is never broken.
        """
        entries = [line.entry for line in lines if line.entry]
        widths = [max(map(len, column)) for column in zip(*map(_columns, entries), strict=True)]
        signs = max(len(line.cells) for line in lines)
        for line, below in zip(lines, [*(one.cells for one in lines[1:]), ""], strict=True):
            text = Text("  ").append(line.graph, styles(line.entry))
            if line.entry is None:
                self.copied(text, 0)
                continue
            text.append(" " * (signs - len(line.cells) + 2)).append_text(_found(line.entry, widths))
            room, message = self.width - len(text), _message(line.entry)
            is_apart = room < min(_LEAST_ROOM, len(message))
            told = message.wrap(self._console, self.width - signs - 6 if is_apart else room)
            first, *rest = [Text(), *told] if is_apart else told or [Text()]
            self.copied(_ended(text.append_text(first)), 0)
            gap = signs + 4 if is_apart else len(text) - len(first) - 2
            for more in rest:
                on = chain.between(line.cells, below).ljust(gap)
                self.copied(_ended(Text(f"  {on}").append_text(more)), 0)

    def folding(self, title: str, place: str = "") -> AbstractContextManager[None]:
        """Nothing is folded: a reader at a terminal has to act on it."""
        self.line()
        self.title(f"{title}:")
        if place:
            self.indented(Text(place, "dim"))
        return nullcontext()

    def whole(self, report: Report, part: DatabaseReport) -> None:
        """Nothing: there is no room."""

    def text(self) -> str:
        """The whole page."""
        return "\n".join(line.rstrip() for line in self._out.getvalue().replace(_KEPT, " ").split("\n"))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _columns(entry: Entry) -> tuple[str, str, str]:
    return entry.name, entry.verdict.words if entry.verdict else "", entry.found


def _found(entry: Entry, widths: Sequence[int]) -> Text:
    """The parts in columns."""
    text = Text()
    if entry.name:
        looks = ("bold" if entry.marks else "", styles(entry), "")
        for value, space, style in zip(_columns(entry), widths, looks, strict=True):
            if space:
                text.append(value, style).append(" " * (space - len(value) + 2))
    return text


def _message(entry: Entry) -> Text:
    """The part after the columns."""
    text = Text(entry.doc, "" if entry.verdict or entry.marks else "dim")
    if entry.remark:
        text.append(f" ({entry.remark})")
    if entry.marks:
        text.append("  " if text else "")
        text.append(f"← {', '.join(entry.marks)}".replace(" ", _KEPT), "bold cyan")
    return text


def _ended(text: Text) -> Text:
    text.rstrip()
    return text


def pieces(text: Text) -> Iterator[tuple[str, str]]:
    """The text in pieces of one style each, with the style's words."""
    cuts = sorted({0, len(text), *(edge for span in text.spans for edge in (span.start, span.end))})
    for start, end in pairwise(cuts):
        over = [str(span.style) for span in text.spans if span.start <= start and end <= span.end]
        yield text.plain[start:end], " ".join([str(text.style), *over])


def count(revisions: Sequence[object]) -> str:
    """``1 revision``, ``2 revisions``."""
    return f"{len(revisions)} revision{'s' if len(revisions) != 1 else ''}"
