"""Reports as Markdown, as GitHub renders it: for a job's summary, an issue, a chat.

All content is plain text: names and messages from databases and files create no markup, end no block, and mention
nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.text import Text

from alembic_rescue.model import DatabaseReport, Report
from alembic_rescue.report import picture as pictures
from alembic_rescue.report import whole
from alembic_rescue.report.page import CODE, Sheet, pieces
from alembic_rescue.report.picture import Entry, Line

_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|^[#+=>-]")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_CALLS = re.compile(r"(?<!\w)(?:@(?=\w)|#(?=\d)|GH-(?=\d))")
_NOTHING = "\u200b"
"""A zero-width space, after characters that would mention a person or link an issue."""
_UNSAID = re.compile(r"[^\w .,:()/+-]")
_LONGEST = 60
"""Characters of a message in the picture."""
_COLOURS = """\
  classDef applied fill:#dafbe1,stroke:#1a7f37,color:#1f2328
  classDef partial fill:#fff8c5,stroke:#9a6700,color:#1f2328,stroke-width:2px
  classDef missing fill:#ffebe9,stroke:#cf222e,color:#1f2328
  classDef other fill:#f6f8fa,stroke:#59636e,color:#1f2328
  classDef here stroke-width:4px"""
_CLASSES = {"●": "applied", "◆": "applied", "◐": "partial", "○": "missing"}


class MarkdownPage(Sheet):
    """Collects blocks: paragraphs, lists of facts, code, tables, pictures."""

    width = 10_000

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide
        self._blocks: list[tuple[str, str]] = []
        self._is_drawn = False

    def _add(self, kind: str, text: str) -> None:
        """Add a block.  Neighbouring blocks of the same kind are joined, where the kind allows it."""
        if kind in {"code", "facts"} and self._blocks and self._blocks[-1][0] == kind:
            text = f"{self._blocks.pop()[1]}\n{text}"
        self._blocks.append((kind, text))

    def _prose(self, text: Text, by: int) -> None:
        if text.plain.strip():
            self._add("prose", self._said(text))

    def line(self, text: str | Text = "", style: str = "") -> None:
        """A paragraph; an empty one only separates its neighbours."""
        if str(text):
            super().line(text, style)
        else:
            self._add("gap", "")

    def _said(self, text: str | Text, *, cell: bool = False) -> str:
        """Escaped, with emphasis in bold, and code as code."""
        if isinstance(text, str):
            text = Text(text)
        said = ((inline(self._hide(piece), cell=cell), style) for piece, style in pieces(text))
        return "".join(_bold(piece) if "bold" in style.split() else piece for piece, style in said).strip()

    def begin(self, command: str) -> None:
        """A third-level heading, because it is inside another document."""
        self._add("title", f"### alembic-rescue {command}")

    def title(self, text: str) -> None:
        """A subheading."""
        self._add("title", f"#### {self._said(text)}")

    def copied(self, command: str | Text, by: int = 4) -> None:
        """In a code block, which joins the one before it."""
        self._add("code", self._hide(str(command)))

    def fact(self, name: str, value: str, style: str = "") -> None:
        """A list item."""
        self._add("facts", f"- {_bold(inline(name))}{': ' if name else ''}{self._said(value)}")

    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table."""
        lines = [names, ["---"] * len(names), *([self._said(value, cell=True) for value in row] for row in rows)]
        self._add("table", "\n".join(f"| {' | '.join(line)} |" for line in lines))

    def picture(self, lines: Sequence[Line]) -> None:
        """A Mermaid graph, and a table for readers who do not see it."""
        self._is_drawn = True
        self._draw(lines)

    def _draw(self, lines: Sequence[Line]) -> None:
        self._add("raw", _mermaid(lines, self._hide))
        entries = [line.entry for line in lines if line.entry]
        self.table(("Revision", "Evidence", "Found", "Message", ""), [_row(entry) for entry in entries])

    @contextmanager
    def folding(self, title: str, place: str = "") -> Iterator[None]:
        """Folded until it is opened."""
        self._add("raw", f"<details>\n<summary>{_plain(self._hide(title))}</summary>")
        if place:
            self._add("prose", code(self._hide(place)))
        yield
        self._add("raw", "</details>")

    def whole(self, report: Report, part: DatabaseReport) -> None:
        """The picture, if not drawn yet; then, folded, the causes with their source, and what was found."""
        if not self._is_drawn and report.chain:
            self._draw(pictures.lines(report, part))
        whole.causes(self, report, part)
        whole.revisions(self, report, part, pictures.chosen)

    def text(self) -> str:
        """The whole page."""
        return "\n\n".join(_block(kind, text) for kind, text in self._blocks if kind != "gap") + "\n\n"


def _block(kind: str, text: str) -> str:
    if kind != "code":
        return text
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}\n{text}\n{fence}"


def _longest(text: str) -> int:
    """The longest run of backticks in it."""
    return max(map(len, re.findall("`+", text)), default=0)


def inline(text: str, *, cell: bool = False) -> str:
    """The text on one line, escaped, with its code as code."""
    said, done = "", 0
    for found in CODE.finditer(text):
        said += _escaped(text[done : found.start()]) + code(found["code"], cell=cell)
        done = found.end()
    return said + _escaped(text[done:])


def code(text: str, *, cell: bool = False) -> str:
    """A code span on one line; in a table cell its pipes are escaped."""
    text = " ".join(text.split("\n")).replace("|", "\\|") if cell else " ".join(text.split("\n"))
    fence = "`" * (_longest(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}" if text.strip() else ""


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda sign: f"\\{sign[0]}", _plain(text))


def _plain(text: str) -> str:
    """On one line, without HTML and without mentions."""
    text = _ENTITY.sub("&amp;", re.sub(r"\s*\n\s*", " ", text)).replace("<", "&lt;")
    return _CALLS.sub(lambda call: call[0] + _NOTHING, text)


def _bold(text: str) -> str:
    inner = text.strip()
    return text.replace(inner, f"**{inner}**") if inner else text


def _row(entry: Entry) -> list[str]:
    verdict = entry.verdict.words if entry.verdict else ""
    remark = f" ({entry.remark})" if entry.remark else ""
    name = f"`{entry.name}`" if entry.name and "`" not in entry.name else entry.name
    return [name, f"{entry.sign} {verdict}{remark}", entry.found, entry.doc, ", ".join(entry.marks)]


def _mermaid(lines: Sequence[Line], hide: Callable[[str], str]) -> str:
    """The picture for GitHub.  Ids and messages are quoted, and their special characters written as numbers."""
    nodes = {line.key: f"n{number}" for number, line in enumerate(lines) if line.entry}
    drawn = ["```mermaid", "flowchart TD"]
    for line in lines:
        if line.entry is not None:
            drawn += _node(nodes[line.key], line.entry, hide)
            drawn += [f"  {nodes[before]} --> {nodes[line.key]}" for before in line.follows]
    return "\n".join([*drawn, _COLOURS, "```"])


def _worded(entry: Entry) -> str:
    """The verdict with what was found, where both are known."""
    if entry.verdict is None or entry.found == "-":
        return ""
    return f"{entry.verdict.words}, {entry.found}" if entry.found else entry.verdict.words


def _node(name: str, entry: Entry, hide: Callable[[str], str]) -> list[str]:
    doc = entry.doc if len(entry.doc) <= _LONGEST else f"{entry.doc[:_LONGEST].rstrip()}..."
    verdict = _worded(entry)
    parts = (entry.name, doc, verdict, ", ".join(entry.marks).upper())
    label = "<br>".join(_UNSAID.sub(lambda sign: f"#{ord(sign[0])};", hide(part)) for part in parts if part)
    kind = "other" if entry.verdict is None and entry.sign == "○" else _CLASSES.get(entry.sign, "other")
    lines = [f'  {name}["{label}"]:::{kind}']
    return [*lines, f"  class {name} here"] if entry.is_here else lines
