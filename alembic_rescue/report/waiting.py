"""Report on waiting for databases, and on their arrival.  Returns strings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from alembic_rescue.errors import listed, rows
from alembic_rescue.model import Report
from alembic_rescue.report.page import Sheet
from alembic_rescue.waiting import Seen, Standing


def progress(seen: Seen) -> list[tuple[str, str]]:
    """The lines for one look: each the part that stays the same while nothing changes, and for how long it has."""
    if seen.away is not None:
        return [(f"{seen.away.message}; waiting for it", _since(seen.seconds))]
    tables = (_no_table(one) for one in seen.standings if not (one.there or one.database.version_table_exists))
    return [*((told, "") for told in tables), *((_standing(one), _since(one.seconds)) for one in seen.standings)]


def _no_table(one: Standing) -> str:
    identity = one.database.identity
    schema = f", schema {identity.schema}" if identity.schema else ""
    return (
        f"warning[version-table-missing]: version table {identity.version_table} does not exist in "
        f"{identity.name}{schema}. If migrations have run, this is the wrong database or schema. Waiting "
        "for it"
    )


def _standing(one: Standing) -> str:
    identity = one.database.identity
    at = f"{identity.sentence} {one.at}" if one.database.version_table_exists else f"{identity.name} {one.at}"
    aim = listed(one.targets) if one.targets else "base"
    if one.there:
        return f"{at}: there"
    return f"{at}, {one.done} of {one.of} on the way to {aim}"


def _since(seconds: float) -> str:
    return f", for {seconds:.0f} s" if seconds >= 1 else ""


def reached(report: Report, *, page: Sheet, is_proved: bool) -> str:
    """The text of ``wait`` once all databases have arrived."""
    if report.command == "wait":
        page.begin("wait")
    stands: dict[str, list[str]] = {}
    for part in report.databases:
        stands.setdefault(rows(part.database.current_heads), []).append(part.database.identity.sentence)
    for at, tables in stands.items():
        now = f": {listed(tables)} {'is' if len(tables) == 1 else 'are'} at {at}{_past(report, at)}."
        page.line(Text.assemble(("Reached", "bold green"), now))
    if is_proved:
        proved(page, report)
    for note in (note for part in report.databases for note in part.findings):
        page.warning(note)
    return page.text()


def proved(page: Sheet, report: Report) -> None:
    """State that what counts as applied exists."""
    reasons: Sequence[str] = list(dict.fromkeys(part.recommendation.reason for part in report.databases))
    page.line(Text.assemble(("Proved", "bold green"), f": {'; '.join(reasons)}."))


def _past(report: Report, at: str) -> str:
    targets = report.target.revisions if report.target else ()
    return "" if not targets or at == rows(sorted(targets)) else f", past {listed(targets)}"
