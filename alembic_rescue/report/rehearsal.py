"""Report a rehearsal: how the run on the copy ended, what the rows say, and which locks the real run takes."""

from __future__ import annotations

from rich.text import Text

from alembic_rescue.evidence.rehearsal import Answer, Lock, Rehearsal
from alembic_rescue.model import DatabaseReport
from alembic_rescue.report.page import Sheet, count

_MODES = {
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ShareLock": "SHARE",
}
_KEPT_FROM = {"ACCESS EXCLUSIVE": "nobody reads or writes it"}
_SHOWN_PLACES = 5


def line(part: DatabaseReport) -> str:
    """Whether the upgrade after a write passes; empty if nothing is pending then."""
    found = part.rehearsal
    if found is None:
        return f"the next upgrade was not rehearsed: {part.not_rehearsed}" if part.not_rehearsed else ""
    if found.passes:
        asked = "" if found.rows_unasked else " and the live rows"
        but = "" if found.is_sure else "; some of it is unknown, see `alembic-rescue rehearse`"
        return f"rehearsed on a copy of the schema{asked}: the next upgrade will succeed{but}"
    if found.fails:
        return f"rehearsed: the next upgrade will fail. {found.why}. See `alembic-rescue rehearse`"
    return f"rehearsed, but the outcome is unknown: {found.why}"


def whole(page: Sheet, found: Rehearsal) -> None:
    """Everything that was found."""
    page.line()
    page.title(f"Rehearsed: {count(found.revisions)}, on a copy of the schema")
    if not found.error:
        page.indented("all succeeded there, without rows" if found.violations else "all succeeded")
    else:
        at = f"{found.failed}: " if found.failed else ""
        page.indented(Text.assemble((at, "bold"), (found.error, "red")))
        if found.path:
            page.indented(f"{found.path}:{found.line}" if found.line else found.path, 4)
        if found.statement:
            page.copied(Text(" ".join(found.statement.split()), "cyan"))
        if found.fix:
            page.indented(found.fix, 4)
    for cause in found.causes:
        if (cause.path, cause.line) != (found.path, found.line):
            hidden = f"; the except at line {cause.handler_line} hides it" if cause.swallowed else ""
            page.indented(f"because {cause.path}:{cause.line} fails: {cause.error}{hidden}")
        if cause.fix != found.fix:
            page.indented(f"fix {cause.revision}: {cause.fix}", 4)
    _rows(page, found)
    if found.locks:
        page.line()
        page.title("Locks on large tables, until the run commits")
        for lock in found.locks:
            page.indented(_lock(lock))


def _rows(page: Sheet, found: Rehearsal) -> None:
    if found.answers:
        page.line()
        page.title("Checks on the live rows")
        for answer in found.answers:
            _answer(page, answer)
    if found.rows_unasked:
        page.line()
        page.line(f"Live rows not checked: {found.rows_unasked}", "yellow")
    if found.unrehearsed:
        page.line()
        places = list(dict.fromkeys(found.unrehearsed))
        more = f" and {len(places) - _SHOWN_PLACES} more" if len(places) > _SHOWN_PLACES else ""
        page.line(f"Not rehearsed, because it ran without rows: {', '.join(places[:_SHOWN_PLACES])}{more}", "yellow")


def _answer(page: Sheet, answer: Answer) -> None:
    demand = answer.demand
    place = f" ({answer.path}:{answer.line})" if answer.line else ""
    if not answer.violated and not answer.unknown:
        page.indented(f"{demand.revision}: {demand.what}: all rows are fine")
        return
    style = "yellow" if answer.unknown or answer.mended_by else "red"
    not_known = "not known: " if answer.unknown or answer.mended_by else ""
    told = (f"{not_known}{answer.told}", style)
    page.indented(Text.assemble((f"{demand.revision}: {demand.what}: ", "bold"), told, place))
    if answer.mended_by and answer.violated:
        page.indented(f"the run changes rows of that table first, and may fix them: {', '.join(answer.mended_by)}", 4)
    if answer.keys:
        page.indented(f"such as {demand.keyed}: {'; '.join(answer.keys)}", 4)
    if demand.where:
        page.copied(Text(f"{demand.query()};", "cyan"))
    if answer.fix:
        page.indented(f"fix {demand.revision}: {answer.fix}", 4)


def _lock(lock: Lock) -> str:
    mode = _MODES.get(lock.mode, lock.mode)
    size = f" ({_bytes(lock.size.bytes)}, about {lock.size.rows:,} rows)" if lock.size else ""
    what = "; it rewrites the whole table" if lock.rewrites else ""
    kept = _KEPT_FROM.get(mode, "no writes")
    return f"{lock.revision}: {mode} on {lock.table}{size}: {kept} meanwhile{what}"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024:  # noqa: PLR2004 - as pg_size_pretty counts
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"
