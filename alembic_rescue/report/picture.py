"""What the picture of a chain shows for each revision: the same for the terminal, Markdown and HTML.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from alembic_rescue.evidence.model import Presence, Verdict
from alembic_rescue.model import Action, DatabaseReport, Link, Outcome, Report, Revision
from alembic_rescue.report import chain

HERE = "database here"
RAN = "ran to here"
"""The same in a run from empty, which opens no database."""
WRITTEN = frozenset([Outcome.STAMPED, Outcome.UNDONE, Outcome.REPAIRED, Outcome.UPGRADED])
"""The outcomes after which the database is already at the target."""
_ALL_SHOWN = 16
"""Up to this many revisions are shown individually: with the text around them, they fit a screen."""
_MOST_SHOWN = 50
"""At a terminal, more is no help; the JSON has all of them."""
_BASE = "base"
_SIGNS = {Verdict.APPLIED: "●", Verdict.PARTIAL: "◐", Verdict.NOT_APPLIED: "○"}
_STYLES = {
    Verdict.APPLIED: "green",
    Verdict.PARTIAL: "bold yellow",
    Verdict.NOT_APPLIED: "red",
    Verdict.UNVERIFIABLE: "yellow",
    Verdict.EMPTY: "dim",
}
_UNPROVED = "◌"
_FOLDED = "⋮"


@dataclass(frozen=True)
class Entry:
    """What is shown for one revision, or for several that are folded."""

    name: str
    """Its id; empty for several."""
    doc: str
    """Its message; for several, their number."""
    sign: str
    marks: tuple[str, ...] = ()
    """What is there: ``database here``, ``ran to here``, ``target``, ``latest``."""
    verdict: Verdict | None = None
    """None if it was not examined."""
    found: str = ""
    """``3 of 7``: how many of its verifiable objects are as expected."""
    remark: str = ""
    """A remark on the verdict."""

    @property
    def is_here(self) -> bool:
        """Whether a row of the version table names it."""
        return HERE in self.marks or RAN in self.marks


@dataclass(frozen=True)
class Line:
    """A line of the picture."""

    cells: str
    """See :class:`~alembic_rescue.report.chain.Row`."""
    entry: Entry | None = None
    key: str = ""
    """Identifies the entry."""
    follows: tuple[str, ...] = ()
    """The keys of the entries that it follows."""

    @property
    def graph(self) -> str:
        """The row's characters, with the entry's own."""
        return self.cells.replace(chain.NODE, self.entry.sign if self.entry else "")


def lines(report: Report, part: DatabaseReport) -> tuple[Line, ...]:
    """The picture of where a database is in the chain, with the evidence for the revisions examined."""
    rows, links, revisions = part.database.current_heads, list(report.chain), in_question(report, part)
    known = {link.revision for link in links}
    missing = [one.revision for one in revisions if one.revision not in known]
    unknown = [row for row in rows if row not in known and row not in missing]
    if not rows:
        links = [Link(_BASE, ()), *(link if link.follows else replace(link, follows=(_BASE,)) for link in links)]
    links = [*(Link(one, ()) for one in dict.fromkeys([*unknown, *missing])), *links]
    marks = _marks(report, part)
    shown = set(chosen(revisions))
    kept = {one for one in marks if one in known} | shown | set(unknown) | {_BASE}
    applied, laid = _laid(tuple(links), rows, frozenset(kept))
    evidence = {one.revision: one for one in revisions}
    docs = {link.revision: link.doc for link in links} | dict.fromkeys(unknown, "not in the scripts")
    none = "no revision ran" if part.from_empty else "no revision is applied"
    docs[_BASE] = none if not rows else docs.get(_BASE, "")
    counts = _FROM_EMPTY if part.from_empty else _OF_A_DATABASE
    return tuple(
        Line(row.cells, _entry(row.node, evidence, docs, marks, applied, counts), row.node.key, row.node.follows)
        if row.node
        else Line(row.cells)
        for row in laid
    )


_OF_A_DATABASE = ("{} pending revisions", "{} applied revisions")
_FROM_EMPTY = ("{} revisions did not run", "{} revisions ran")


@lru_cache(maxsize=32)  # many tenants are often at the same revision
def _laid(
    links: tuple[Link, ...], rows: tuple[str, ...], kept: frozenset[str]
) -> tuple[frozenset[str], tuple[chain.Row, ...]]:
    """The applied revisions by these rows, and the rows of the picture."""
    applied = _up_to(links, rows)
    return applied, chain.drawn(chain.folded(links, kept, applied))


def _entry(
    node: chain.Node,
    evidence: dict[str, Revision],
    docs: dict[str, str],
    marks: dict[str, tuple[str, ...]],
    applied: Collection[str],
    counts: tuple[str, str],
) -> Entry:
    if node.is_folded:
        return Entry("", _counted(node.members, evidence, applied, counts), _FOLDED)
    found = evidence.get(node.key)
    if found is None:
        entry = Entry(node.key, docs[node.key], "●" if node.key in applied else "○", marks.get(node.key, ()))
        return replace(entry, sign="◆") if entry.is_here else entry
    sign = _SIGNS.get(found.verdict, _UNPROVED)
    return Entry(node.key, found.doc, sign, marks.get(node.key, ()), found.verdict, there(found), _remark(found))


def _counted(
    members: Sequence[str], evidence: dict[str, Revision], applied: Collection[str], counts: tuple[str, str]
) -> str:
    verdicts = Counter(evidence[one].verdict.words for one in members if one in evidence)
    if len(verdicts) == 1 and verdicts.total() == len(members):
        return f"{len(members)} revisions, all {next(iter(verdicts))}"
    if verdicts:
        return f"{len(members)} revisions: {', '.join(f'{number} {verdict}' for verdict, number in verdicts.items())}"
    return counts[members[0] in applied].format(len(members))


def _marks(report: Report, part: DatabaseReport) -> dict[str, tuple[str, ...]]:
    """The marks of each revision."""
    advice = part.recommendation
    aims = report.target.revisions if report.target else ()
    if report.outcome in WRITTEN:
        aims = ()
    elif part.stamps:
        aims = part.heads_after or (_BASE,)
    elif report.command == "diagnose" and advice.action is Action.STAMP and advice.revision:
        aims = (advice.revision,)
    at = part.located.revisions if part.located else ()
    marks: dict[str, tuple[str, ...]] = {}
    for mark, revisions in (
        (RAN if part.from_empty else HERE, part.database.current_heads or (_BASE,)),
        ("schema here", at),
        ("target", aims),
        ("latest", report.script_heads),
    ):
        for revision in revisions:
            marks[revision] = (*marks.get(revision, ()), mark)
    return marks


def _up_to(links: Sequence[Link], rows: Collection[str]) -> frozenset[str]:
    """These rows, and everything that they build on."""
    applied = set(rows)
    for link in reversed(links):
        if link.revision in applied:
            applied.update(link.follows)
    return frozenset(applied)


def in_question(report: Report, part: DatabaseReport) -> tuple[Revision, ...]:
    """The revisions with evidence.  An undo looks at rows only."""
    return () if report.command == "undo" else part.revisions


def every(revisions: Sequence[Revision]) -> list[str]:
    """All of them, for pages with room."""
    return [one.revision for one in revisions]


def chosen(revisions: Sequence[Revision]) -> list[str]:
    """The revisions shown individually: of a long run of similar ones, the first and the last."""
    if len(revisions) <= _ALL_SHOWN:
        return every(revisions)
    ends = list(_ends(revisions))
    weightiest = sorted(range(len(ends)), key=lambda number: _WEIGHT.get(ends[number].verdict, 2))[:_MOST_SHOWN]
    return [ends[number].revision for number in sorted(weightiest)]


_WEIGHT = {Verdict.PARTIAL: 0, Verdict.UNVERIFIABLE: 1, Verdict.NOT_APPLIED: 1}


def _ends(revisions: Sequence[Revision]) -> Iterator[Revision]:
    """Leave out revisions whose neighbours have the same verdict.  A partial one is always shown."""
    last = len(revisions) - 1
    for number, one in enumerate(revisions):
        around = {revisions[max(number - 1, 0)].verdict, revisions[min(number + 1, last)].verdict}
        if one.verdict is Verdict.PARTIAL or around != {one.verdict} or number in {0, last}:
            yield one


def styles(entry: Entry | None) -> str:
    """The colour of its verdict, in the printing library's words."""
    return _STYLES[entry.verdict] if entry and entry.verdict else ""


def there(revision: Revision) -> str:
    """``3 of 7``: how many of its verifiable objects are as expected.

    Empty for a revision that is not applied: an object that exists all the same would only confuse.
    """
    if revision.verdict is Verdict.NOT_APPLIED:
        return ""
    checked = [found for found in revision.objects if found.presence is not Presence.UNVERIFIABLE]
    return f"{sum(found.met for found in checked)} of {len(checked)}" if checked else "-"


def _remark(revision: Revision) -> str:
    if revision.accepted:
        return "accepted"
    if revision.verdict is Verdict.EMPTY and revision.cancelled_by:
        return f"reverted by {', '.join(revision.cancelled_by)}"
    return ""
