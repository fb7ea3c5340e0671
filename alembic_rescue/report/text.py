"""Reports for a person, on a page of any format.  Returns strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress

from rich.text import Text

from alembic_rescue.errors import PlanRefused, RescueError, code, listed, rows, some
from alembic_rescue.evidence.deployed import Redeploy
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.model import (
    Action,
    Blocker,
    DatabaseReport,
    Identity,
    Note,
    Outcome,
    Receipt,
    Recommendation,
    Report,
)
from alembic_rescue.records import ledger
from alembic_rescue.report import completion, evidence, picture, rehearsal
from alembic_rescue.report.page import Page, Sheet, count

_DONE = {Outcome.STAMPED: "Stamped", Outcome.REPAIRED: "Repaired", Outcome.UNDONE: "Undone"}
_SHOWN_PENDING = 5
_SHOWN_ALIKE = 5
"""Refusals that differ only in the database's name; the rest are counted."""
_UNWRAPPED = 10_000


def diagnosis(report: Report, *, page: Sheet) -> str:
    """The text of ``diagnose``."""
    page.begin(report.command)
    told = _sections(page, report, _diagnosed)
    _left_out(page, report)
    return _with_the_whole(page, report, told)


def plan(report: Report, *, page: Sheet) -> str:
    """The text of ``plan``, also shown before ``stamp`` and ``undo`` ask."""
    page.begin(report.command)
    told = _sections(page, report, _planned)
    _left_out(page, report)
    page.line()
    page.line(_closing(report))
    return _with_the_whole(page, report, told)


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
    return _with_the_whole(page, report, told)


def _rehearsed(page: Sheet, _: Report, part: DatabaseReport) -> None:
    page.fact("Next", named_pending(part.pending_after))
    if part.rehearsal is not None and part.rehearsal.revisions:
        rehearsal.whole(page, part.rehearsal)
    _notes(page, part.findings)


def stamped(report: Report, receipt: Receipt, *, page: Sheet) -> str:
    """The text after a verified ``stamp`` or ``undo``: the current rows, what to do next, and how to go back."""
    page.begin(report.command)
    page.line()
    after = {part.database.identity.rows_key: part for part in report.databases}
    written = [(part, after[part.database.rows_key]) for part in receipt.parts]
    stands: dict[str, list[str]] = {}
    for kept, part in written:
        before = "between the two" if part.database.broke_off else f"at {rows(kept.rows_before)}"
        change = f"at {rows(part.heads_after)}, was {before}"
        stands.setdefault(change, []).append(kept.database.sentence)
    for change, tables in stands.items():
        done = (_DONE[report.outcome], "bold green")
        now = f"{some(tables, verb=False)} {'is' if len(tables) == 1 else 'are'} {change}."
        page.line(Text.assemble(done, f" and verified on a new connection: {now}"))
    _next_steps(page, report, [part for _, part in written])
    if report.outcome is not Outcome.UNDONE:
        how = ", run the SQL below." if receipt.only_by_hand else ": `alembic-rescue undo`"
        page.indented(f"2. To undo, as long as no migration has run since{how}", commands=7)
    page.line()
    page.kept("Receipt", str(receipt.path))
    for kept, _ in written:
        where = f" in {kept.database.name}" if len(written) > 1 else ""
        page.fact("SQL", f"to undo it by hand{where}:")
        for sql in kept.sql:
            page.copied(sql)
    return _with_the_whole(page, report, [part for _, part in written])


def completed(report: Report, receipt: Receipt, *, page: Sheet) -> str:
    """The text after ``complete``."""
    page.begin(report.command)
    (part,) = (part for part in report.databases if part.completion is not None)
    (revision,) = part.revisions
    page.line()
    proved = "and proved again" if revision.verdict is Verdict.APPLIED else "as far as the catalog shows"
    done, told = ("Completed", "bold green"), f": {revision.revision} now has what it lacked, {proved}"
    if revision.verdict is Verdict.PARTIAL:
        done, told = (
            ("Incomplete", "bold yellow"),
            f": the statements ran, but {revision.revision} is still only partially applied",
        )
    page.line(Text.assemble(done, f"{told}, in {part.database.identity.name}."))
    _notes(page, part.findings)
    page.line()
    page.title("Next steps")
    advice = part.recommendation
    if advice.command:
        page.indented(f"{sentence(advice.reason)}. {'Stamp it' if advice.action is Action.STAMP else 'Run'}:")
        page.copied(f"{advice.command}{_only(report)}")
    else:
        page.indented(f"{sentence(advice.reason)}.")
    if told := rehearsal.line(part):
        page.indented(f"After that: {told}.")
    if report.redeploy is not None:
        page.indented(f"Then {redeploying(report.redeploy)[0].lower()}{redeploying(report.redeploy)[1:]}")
    page.line()
    page.kept("Receipt", str(receipt.path))
    completion.taking_back(page, part.completion)
    return _with_the_whole(page, report, [part])


def _next_steps(page: Sheet, report: Report, written: Sequence[DatabaseReport]) -> None:
    page.line()
    page.title("Next steps")
    pending = {part.pending_after: part for part in written}
    if report.outcome is Outcome.UNDONE:
        for part in pending.values():
            page.indented(f"Alembic is where it was before the stamp; {named_pending(part.pending_after)}.")
    elif report.left_out:
        others = some((one.sentence for one in report.left_out), verb=False)
        page.indented(
            "1. Before you redeploy, check the databases that were left out: `alembic-rescue diagnose`", commands=7
        )
        page.indented(f"Pending revisions in {others} will run.", 5)
    elif any(pending):
        _redeploy(page, report, f"alembic upgrade {_all_heads(report)}")
        for part in pending.values():
            page.indented(f"Alembic continues from {rows(part.heads_after)}: {named_pending(part.pending_after)}.", 5)
            if told := rehearsal.line(part):
                page.indented(f"{sentence(told)}.", 5)
    else:
        who = "each database is" if len(written) > 1 else "the database is"
        if report.redeploy is None:
            page.indented(f"1. Redeploy. Nothing is pending: {who} at the latest revision.", commands=7)
        else:
            _redeploy(page, report)
            page.indented(f"Nothing is pending: {who} at the latest revision.", 5)


def _redeploy(page: Sheet, report: Report, otherwise: str = "") -> None:
    """The exact command, if the configuration has it."""
    if report.redeploy is None:
        page.indented(f"1. Redeploy, or run: {code(otherwise)}", commands=7)
        return
    page.indented(f"1. {redeploying(report.redeploy)}", commands=7)
    if otherwise:
        page.indented(f"Or run: {code(otherwise)}", 5, commands=7)


def redeploying(how: Redeploy) -> str:
    """A sentence with the command."""
    hook = f", with the hook's URL in {how.variable}" if how.variable else ""
    return f"Redeploy{hook}: {code(how.command)}"


def receipt_list(found: Sequence[Receipt], folder: str, *, page: Sheet) -> str:
    """The text of ``receipts``."""
    page.begin("receipts")
    if not found:
        page.line(f"No receipts in {folder}.")
        return page.text()
    names = ("Receipt", "Database", "Before", "After", "State", "Undone by", "Undoes", "Reason")
    lines = [
        (
            receipt.id,
            part.database.sentence if len(receipt.parts) > 1 else part.database.name,
            rows(part.rows_before),
            rows(part.rows_after),
            "undone" if by else part.state.value,
            by.id if by else "",
            receipt.undoes or "",
            receipt.reason,
        )
        for receipt in found
        for part in receipt.parts
        for by in [ledger.undone_by(found, receipt).get(part.database.rows_key)]
    ]
    filled = [any(of_name) for of_name in zip(*lines, strict=True)]
    shown, values = list(compress(names, filled)), [list(compress(line, filled)) for line in lines]
    if page.has_room_for(shown, values):
        page.table(shown, values)
    else:
        for line in lines:
            for name, value in zip(names, line, strict=True):
                if value:
                    (page.kept if name in {"Receipt", "Undone by", "Undoes"} else page.fact)(name, value)
            page.line()
    page.kept("Folder", folder)
    if any(ledger.can_be_undone(found, receipt) for receipt in found):
        page.line("To undo one: `alembic-rescue undo RECEIPT`")
    return page.text()


def failure(error: RescueError, *, page: Sheet) -> str:
    """``error[code]: message`` and ``help: what to do``, with the blockers if a lock was not acquired."""
    several = error.report.refusals if isinstance(error, PlanRefused) and error.report else ()
    _refusals(page, several or (Note(error.code, error.message, error.help),))
    _blockers(page, error.blockers)
    return page.text()


# --- parts -------------------------------------------------------------------------------------------------------


def _with_the_whole(page: Sheet, report: Report, parts: Iterable[DatabaseReport]) -> str:
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
    _notes(page, part.findings)
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
    _notes(page, part.findings)


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


def _only(report: Report) -> str:
    return f" --only {report.only}" if report.only else ""


def _accepted(report: Report) -> str:
    """The options that accept what was accepted."""
    accepted = {one.revision: one.verdict for part in report.databases for one in part.revisions if one.accepted}
    return "".join(
        f" {'--accept' if verdict is Verdict.UNVERIFIABLE else '--accept-missing'} {revision}"
        for revision, verdict in accepted.items()
    )


def _all_heads(report: Report) -> str:
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


def _notes(page: Sheet, notes: Iterable[Note]) -> None:
    for note in notes:
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
                f"{asked}{_only(report)}{_accepted(report)}`",
            )
        case _:
            return Text("Nothing has been written yet.")
