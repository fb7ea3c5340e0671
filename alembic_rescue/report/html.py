"""Reports as one self-contained HTML file: no network, no script.  Light and dark, for any width, printable.

Each answer is a fragment; the first one in a file follows :func:`head`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

from rich.text import Text

from alembic_rescue.model import DatabaseReport, Report
from alembic_rescue.report import chain, whole
from alembic_rescue.report import picture as pictures
from alembic_rescue.report.page import CODE, Sheet, pieces
from alembic_rescue.report.picture import Entry, Line

_ROW, _JOINT, _LANE = 46, 18, 18
"""Pixels: the height of a revision's row and of a connecting row; the width of a lane."""


def head() -> str:
    """The beginning of a file."""
    style = Path(__file__).with_name("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>alembic-rescue</title>\n<style>\n{style}</style>\n"
    )


class HtmlPage(Sheet):
    """Collects elements."""

    width = 10_000

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide
        self._parts: list[tuple[str, str]] = []
        self._is_drawn = False

    def _add(self, kind: str, html: str) -> None:
        """Add an element.  Elements of the same kind share a list or block, where the kind allows it."""
        if kind in {"pre", "dl"} and self._parts and self._parts[-1][0] == kind:
            html = f"{self._parts.pop()[1]}\n{html}"
        self._parts.append((kind, html))

    def _said(self, text: str | Text) -> str:
        """Escaped, with emphasis marked, and code as code."""
        if isinstance(text, str):
            text = Text(text)
        return "".join(_marked(_inline(self._hide(piece)), style) for piece, style in pieces(text))

    def _prose(self, text: Text, by: int) -> None:
        if text.plain.strip():
            kind = ' class="in"' if by else ""
            self._add("p", f"<p{kind}>{self._said(text)}</p>")

    def line(self, text: str | Text = "", style: str = "") -> None:
        """A paragraph; an empty one only separates its neighbours."""
        if str(text):
            super().line(text, style)
        else:
            self._add("gap", "")

    def unlisted(self, told: str, by: int = 0) -> None:
        """Point to :meth:`whole`, which lists everything."""
        self.indented(f"{told} All are listed below.", by)

    def begin(self, command: str) -> None:
        """A heading."""
        self._add("h", f"<h1>alembic-rescue {escape(command)}</h1>")

    def title(self, text: str) -> None:
        """A subheading."""
        self._add("h", f"<h2>{self._said(text)}</h2>")

    def copied(self, command: str | Text, by: int = 4) -> None:
        """In a code block."""
        self._add("pre", escape(self._hide(str(command))))

    def fact(self, name: str, value: str, style: str = "") -> None:
        """A list item."""
        term = f"<dt>{escape(name)}</dt>" if name else ""
        self._add("dl", f"{term}<dd>{_marked(self._said(value), style)}</dd>")

    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, which scrolls if it is too wide."""
        titles = "".join(f"<th>{escape(name)}</th>" for name in names)
        lines = ["".join(f"<td>{self._said(value)}</td>" for value in row) for row in rows]
        body = "\n".join(f"<tr>{line}</tr>" for line in [titles, *lines])
        self._add("table", f'<div class="scroll"><table>\n{body}\n</table></div>')

    def picture(self, lines: Sequence[Line]) -> None:
        """The lines and dots as SVG, with each revision's text next to its dot."""
        self._is_drawn = True
        self._draw(lines)

    def _draw(self, lines: Sequence[Line]) -> None:
        items, before = [], 0
        for line in lines:
            if line.entry is None:
                before += _JOINT
            else:
                items.append(self._item(line.entry, before))
                before = 0
        body = "\n".join(items)
        self._add("div", f'<div class="chain">\n{_svg(lines)}\n<ol>\n{body}\n</ol></div>')

    def _item(self, entry: Entry, before: int) -> str:
        def said(kind: str, text: str) -> str:
            return f'<span class="{kind}">{escape(self._hide(text))}</span>' if text else ""

        remark = f" ({entry.remark})" if entry.remark else ""
        verdict = f"{entry.verdict.words}{remark}" if entry.verdict else ""
        found = f", {entry.found}" if entry.found not in {"", "-"} else ""
        above = f' style="margin-top:{before}px"' if before else ""
        marks = "".join(said("mark", mark) for mark in entry.marks)
        return (
            f"<li{above}><div>{said('id', entry.name)}{said(f'verdict {_colour(entry)}', verdict + found)}{marks}</div>"
            f"<div>{said('doc', entry.doc)}</div></li>"
        )

    @contextmanager
    def folding(self, title: str, place: str = "") -> Iterator[None]:
        """A section that can be closed."""
        at = f'<p class="place">{escape(self._hide(place))}</p>' if place else ""
        self._add("open", f"<details open><summary>{self._said(title)}</summary>{at}")
        yield
        self._add("close", "</details>")

    @contextmanager
    def standing_out(self) -> Iterator[None]:
        """In a box."""
        self._add("open", '<section class="advice">')
        yield
        self._add("close", "</section>")

    def whole(self, report: Report, part: DatabaseReport) -> None:
        """The picture, if not drawn yet; the causes with their source, and each revision."""
        if not self._is_drawn and report.chain:
            self._draw(pictures.lines(report, part))
        whole.causes(self, report, part)
        whole.revisions(self, report, part, pictures.every)

    def text(self) -> str:
        """The fragment."""
        around = {"pre": ("<pre>", "</pre>"), "dl": ("<dl>", "</dl>")}
        found = (html.join(around.get(kind, ("", ""))) for kind, html in self._parts if kind != "gap")
        html = "\n".join(["<main>", *found, "</main>\n"])
        return html.encode("ascii", "xmlcharrefreplace").decode()  # works in any encoding of the stream


def _inline(text: str) -> str:
    said, done = "", 0
    for found in CODE.finditer(text):
        said += escape(text[done : found.start()]) + f"<code>{escape(found['code'])}</code>"
        done = found.end()
    return said + escape(text[done:])


def _marked(html: str, style: str) -> str:
    """The printing library's style, as a class."""
    words = [word for word in style.split() if word in {"bold", "dim", "green", "red", "yellow"}]
    return f'<span class="{" ".join(words)}">{html}</span>' if words else html


def _colour(entry: Entry) -> str:
    return pictures.styles(entry).split()[-1] if entry.verdict else ""


def _svg(lines: Sequence[Line]) -> str:
    """The picture as strokes and dots, each row as high as the text next to it."""
    strokes, dots, top = "", "", 0
    lanes = max((len(line.cells) + 1) // 2 for line in lines)
    rows = ["", *(line.cells for line in lines), ""]
    for line, above, below in zip(lines, rows, rows[2:], strict=False):
        height = _ROW if line.entry else _JOINT
        for at, sign in enumerate(line.cells[::2]):
            x, y = at * _LANE + _LANE // 2, top + height // 2
            sides = chain.SIDES.get(sign, "")
            if sign == chain.NODE and line.entry is not None:
                sides = ("n" if chain.leads(above, at, "s") else "") + ("s" if chain.leads(below, at, "n") else "")
                dots += _dot(line.entry, x, y)
            ends = {"n": f"V{top}", "s": f"V{top + height}", "e": f"H{x + _LANE // 2}", "w": f"H{x - _LANE // 2}"}
            strokes += "".join(f"M{x} {y}{ends[side]}" for side in sides)
        top += height
    return f'<svg aria-hidden="true" width="{lanes * _LANE}" height="{top}"><path d="{strokes}"/>{dots}</svg>'


def _dot(entry: Entry, x: int, y: int) -> str:
    kind = "folded" if not entry.name else _colour(entry) or ("there" if entry.sign in "●◆" else "pending")
    here = f'<circle class="here" cx="{x}" cy="{y}" r="8"/>' if entry.is_here else ""
    return f'{here}<circle class="{kind}" cx="{x}" cy="{y}" r="5"/>'
