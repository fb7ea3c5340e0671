"""Reports for a person, on a page of any format.  Returns strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.text import Text

from alembic_rescue.errors import PlanRefused, RescueError, code, listed, rows, some
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.model import (
    Action,
    Blocker,
    DatabaseReport,
    Identity,
    Note,
    Outcome,
    Recommendation,
    Report,
)
from alembic_rescue.report import completion, evidence, picture, rehearsal
from alembic_rescue.report.page import Page, Sheet, count

_SHOWN_PENDING = 5
_SHOWN_ALIKE = 5
"""Refusals that differ only in the database's name; the rest are counted."""
_UNWRAPPED = 10_000


def diagnosis(report: Report, *, page: Sheet) -> str:
    """The text of ``diagnose``."""
    page.begin(report.command)
    told = _sections(page, report, _diagnosed)
    _left_out(page, report)
    return with_the_whole(page, report, told)


def plan(report: Report, *, page: Sheet) -> str:
    """The text of ``plan``, also shown before ``stamp`` and ``undo`` ask."""
    page.begin(report.command)
    told = _sections(page, report, _planned)
    _left_out(page, report)
    page.line()
    page.line(_closing(report))
    return with_the_whole(page, report, told)


def rehearsed(report: Report, *, page: Sheet) -> str:
    """The text of ``rehearse``."""
    page.begin(report.command)
    told = _sections(page, report, _rehearsed)
    _left_out(page, report)
    page.line()
    if report.outcome is Outcome.NOTHING_TO_DO:
        page.line(Text.assemble(("Nothing to do", "bold green"), ": no revision is pending."))
    elif report.outcome is Outcome.ERROR:
        page.line(Text.assemble(("Not known", "bold yellow"), ". Nothing was written."))
    elif report.outcome is Outcome.PASSES:
        sure = all(part.rehearsal is None or part.rehearsal.is_sure for part in report.databases)
        passed = ". No problem was found for the next upgrade." + ("" if sure else " Some of it is unknown: see above.")
        page.line(Text.assemble(("Passes", "bold green"), f"{passed} Nothing was written."))
    else:
        there = [part for part in report.databases if part.recommendation.command or part.recommendation.choices]
        way = "First fix the problems above."
        if there:
            way = "The version table is behind the schema. First run: `alembic-rescue diagnose`"
        elif any(part.recommendation.steps for part in report.databases):
            way = "First clean up the leftovers named above. Then check again: `alembic-rescue diagnose`"
        page.line(Text.assemble(("The next upgrade will fail", "bold red"), f". Nothing was written. {way}"))
    return with_the_whole(page, report, told)


def _rehearsed(page: Sheet, _: Report, part: DatabaseReport) -> None:
    page.fact("Next", named_pending(part.pending_after))
    if part.rehearsal is not None and part.rehearsal.revisions:
        rehearsal.whole(page, part.rehearsal)
    notes(page, part.findings)


def failure(error: RescueError, *, page: Sheet) -> str:
    """``error[code]: message`` and ``help: what to do``, with the blockers if a lock was not acquired."""
    several = error.report.refusals if isinstance(error, PlanRefused) and error.report else ()
    _refusals(page, several or (Note(error.code, error.message, error.help),))
    _blockers(page, error.blockers)
    return page.text()


# --- parts -------------------------------------------------------------------------------------------------------


def with_the_whole(page: Sheet, report: Report, parts: Iterable[DatabaseReport]) -> str:
    """The page's text, with all that is known of these databases if the page has room."""
    for part in parts:
        page.whole(report, part)
    return page.text()


def _left_out(page: Sheet, report: Report) -> None:
    if report.left_out:
        page.line()
        others = "another one" if len(report.left_out) == 1 else f"{len(report.left_out)} others"
        visited = some((one.sentence for one in report.left_out), verb=False)
        page.fact("Left out", f"{others} that env.py visits: {visited}")


def _sections(
    page: Sheet, report: Report, body: Callable[[Sheet, Report, DatabaseReport], None]
) -> list[DatabaseReport]:
    """A section for each database, and one for all databases with the same content, so that differences stand out.

    Returns:
        One report of each section.
    """
    alike: dict[str, list[DatabaseReport]] = {}
    for part in report.databases:
        aside = Page(_UNWRAPPED, color=False)
        body(aside, report, part)
        alike.setdefault(f"{part.database.current_heads} {aside.text()}", []).append(part)
    for number, parts in enumerate(alike.values()):
        if len(report.databases) > 1:
            if number:
                page.line()
            page.line(f"{len(parts)} of {len(report.databases)}{', all alike' if len(parts) > 1 else ''}", "dim")
        _where(page, report, parts)
        body(page, report, parts[0])
    return [parts[0] for parts in alike.values()]


def _diagnosed(page: Sheet, report: Report, part: DatabaseReport) -> None:
    if part.revisions:
        page.line()
        stamped = part.located is None and part.revisions[0].revision not in part.pending_after
        number = len(part.revisions)
        told = f"all {number} compared" if part.located else f"{number} pending"
        page.title(f"Revisions: {f'{number} applied, according to the version table' if stamped else told}")
        page.picture(picture.lines(report, part))
        evidence.details(page, part.revisions, stamped=stamped)
    _blockers(page, part.database.blockers)
    notes(page, part.findings)
    if part.refusals:
        page.line()
    _refusals(page, part.refusals)
    page.line()
    with page.standing_out():
        _advice(page, report, part.recommendation)


def _advice(page: Sheet, report: Report, advice: Recommendation) -> None:
    page.recommendation(advice)
    commands = advice.steps or ((advice.command,) if advice.command else ())
    alike = len({one.recommendation for one in report.databases}) == 1
    if (commands or advice.choices) and not alike and advice.only is None:
        page.indented("for each of these, with --only NAME:")
    for command in commands:
        page.copied(command)
    for choice in advice.choices:
        page.indented(f"If {choice.found}:")
        for command in choice.commands:
            page.copied(command)


def _planned(page: Sheet, report: Report, part: DatabaseReport) -> None:
    if report.target is not None:
        page.fact("Target", _target(report))
    if part.located is not None and part.stamps:
        unproved = part.located.unproved
        but = f", except what cannot be verified: {some(unproved, verb=False)}" if unproved else ""
        page.line()
        page.fact("Proved", f"the schema is at {rows(part.heads_after)}{but}")
    if part.revisions and report.command != "undo":
        page.line()
        page.title(_title(report, part))
        page.picture(picture.lines(report, part))
        evidence.details(page, part.revisions)
        evidence.sent(page, part.revisions)
    if part.stamps:
        page.line()
        page.fact("Change", f"{rows(part.database.current_heads)} -> {rows(part.heads_after)}", style="bold")
        page.fact("Then", named_pending(part.pending_after))
        if told := rehearsal.line(part):
            page.fact("", told)
    elif part.completion is not None:
        completion.planned(page, part.completion)
    elif len(report.databases) > 1 and not part.refusals:
        page.fact("Change", "none, it is already at this revision")
    _blockers(page, part.database.blockers)
    notes(page, part.findings)


def _title(report: Report, part: DatabaseReport) -> str:
    if report.command == "complete":
        return "To be completed"
    if part.located:
        return f"New: {count(part.revisions)}, counted as applied from now on"
    return f"Skipped: {count(part.revisions)}, marked as applied without being run"


def _where(page: Sheet, report: Report, parts: Sequence[DatabaseReport]) -> None:
    """The databases that the section is about."""
    identities = [part.database.identity for part in parts]
    called = list(dict.fromkeys(name for part in parts for name in part.database.called))
    named = listed(dict.fromkeys(identity.name for identity in identities))
    page.fact("Database", f"{named} ({listed(called)})" if called else named, style="bold")
    for url in dict.fromkeys(identity.url for identity in identities):
        page.fact("URL", url)
    for server in dict.fromkeys(_server(identity) for identity in identities):
        page.fact("Server", server)
    tables = listed(dict.fromkeys(identity.table for identity in identities))
    page.fact("Version", f"{tables}: {_current(parts[0])}")
    page.fact("Scripts", f"{'head' if len(report.script_heads) == 1 else 'heads'} {rows(report.script_heads)}")


def _server(identity: Identity) -> str:
    facts = [f"{identity.dialect} {identity.server_version}", f"id {identity.server_id}"]
    if identity.server_address not in {None, f"{identity.host}:{identity.port}"}:
        facts.append(f"names itself {identity.server_address}")
    if identity.role:
        facts.append(f"role {identity.role}")
    if identity.encrypted is not None:
        facts.append("encrypted" if identity.encrypted else "not encrypted")
    return ", ".join(facts)


def _current(part: DatabaseReport) -> str:
    if not part.database.version_table_exists:
        return "does not exist"
    return f"at {rows(part.database.current_heads)}"


def _target(report: Report) -> str:
    target = report.target
    assert target is not None
    named = listed(target.revisions) if target.revisions else "base"
    asked = f" ({target.asked})" if target.asked not in target.revisions else ""
    return f"{named}{asked}" + (f"  {target.doc}" if target.doc else "")


def named_pending(revisions: Sequence[str]) -> str:
    """For use in a sentence: ``2 revisions pending: a and b``."""
    if not revisions:
        return "no revision is pending"
    more = f" and {len(revisions) - _SHOWN_PENDING} more" if len(revisions) > _SHOWN_PENDING else ""
    named = ", ".join(revisions[:_SHOWN_PENDING]) if more else listed(revisions)
    return f"{count(revisions)} pending: {named}{more}"


def only(report: Report) -> str:
    """The option that selects the report's database, for a command; empty if there is no choice."""
    return f" --only {report.only}" if report.only else ""


def _accepted(report: Report) -> str:
    """The options that accept what was accepted."""
    accepted = {one.revision: one.verdict for part in report.databases for one in part.revisions if one.accepted}
    return "".join(
        f" {'--accept' if verdict is Verdict.UNVERIFIABLE else '--accept-missing'} {revision}"
        for revision, verdict in accepted.items()
    )


def all_heads(report: Report) -> str:
    """What to upgrade to: ``head``, or ``heads`` if there are several."""
    return "head" if len(report.script_heads) == 1 else "heads"


def _blockers(page: Sheet, blockers: Sequence[Blocker]) -> None:
    if not blockers:
        return
    page.line()
    page.title("Sessions that hold or wait for locks")
    for one in blockers:
        age = "" if one.age_seconds is None else f", for {one.age_seconds:.0f} s"
        page.indented(
            Text.assemble(
                (one.application if one.pid is None else f"pid {one.pid}", "bold"),
                f"  {one.state}{age}  " + ("" if one.pid is None else f"{one.application}, "),
                f"role {one.role}, {one.client}",
            )
        )
        if one.locks:
            page.indented(f"holds: {', '.join(one.locks)}", 4)
        if one.awaits:
            page.indented(f"awaits: {', '.join(one.awaits)}", 4)
        if one.query:
            page.indented(f"last query: {one.query}", 4)
        if one.waiting:
            page.indented(f"{one.waiting} waiting for it", 4)
        if one.note:
            page.indented(one.note, 4)
        if one.end_command:
            page.indented(f"to end it: {code(one.end_command)}", 4)


def notes(page: Sheet, found: Iterable[Note]) -> None:
    """The warnings, each after an empty line."""
    for note in found:
        page.line()
        page.warning(note)


def _refusals(page: Sheet, notes: Iterable[Note]) -> None:
    told: dict[tuple[str, str], int] = {}
    for note in notes:
        kind = (note.code, note.help)
        told[kind] = told.get(kind, 0) + 1
        if told[kind] > _SHOWN_ALIKE:
            continue
        page.error(note)
    for (alike, _), number in told.items():
        if number > _SHOWN_ALIKE:
            page.line(f"and {number - _SHOWN_ALIKE} more of {alike}. To list all, add `--format json`.")


def _as_far_as_proved(report: Report) -> str:
    """For a refused plan: the target that would not be refused, if there is one."""
    advice = report.databases[0].recommendation
    asked = () if report.target is None else report.target.revisions
    if report.command != "plan" or len(report.databases) > 1 or advice.action is not Action.STAMP:
        return ""
    return (
        ""
        if advice.revision in asked
        else f" All revisions up to {advice.revision} are proved: `alembic-rescue plan {advice.revision}`"
    )


def _closing(report: Report) -> Text:
    match report.outcome:
        case Outcome.REFUSED:
            codes = listed(dict.fromkeys(note.code for note in report.refusals))
            return Text.assemble(("Refused", "bold red"), f": {codes}. Nothing was written.{_as_far_as_proved(report)}")
        case Outcome.NOTHING_TO_DO:
            return Text.assemble(("Nothing to do", "bold green"), ": the database is already at this revision.")
        case _ if report.command == "plan":
            asked = report.target.asked if report.target else ""
            return Text.assemble(
                ("Ready", "bold green"),
                ". Nothing was written. To apply this plan: `alembic-rescue stamp "
                f"{asked}{only(report)}{_accepted(report)}`",
            )
        case _:
            return Text("Nothing has been written yet.")
