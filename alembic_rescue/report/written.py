"""Report on what was written: after a stamp, a completion or an undo, and the list of receipts.  Returns strings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from rich.text import Text

from alembic_rescue.errors import code, rows, some
from alembic_rescue.evidence.deployed import Redeploy
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.model import Action, DatabaseReport, Outcome, Receipt, Report
from alembic_rescue.records import ledger
from alembic_rescue.report import completion, rehearsal, text
from alembic_rescue.report.page import Sheet

_DONE = {Outcome.STAMPED: "Stamped", Outcome.REPAIRED: "Repaired", Outcome.UNDONE: "Undone"}


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
    return text.with_the_whole(page, report, [part for _, part in written])


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
    text.notes(page, part.findings)
    page.line()
    page.title("Next steps")
    advice = part.recommendation
    if advice.command:
        page.indented(f"{sentence(advice.reason)}. {'Stamp it' if advice.action is Action.STAMP else 'Run'}:")
        page.copied(f"{advice.command}{text.only(report)}")
    else:
        page.indented(f"{sentence(advice.reason)}.")
    if told := rehearsal.line(part):
        page.indented(f"After that: {told}.")
    if report.redeploy is not None:
        page.indented(f"Then {redeploying(report.redeploy)[0].lower()}{redeploying(report.redeploy)[1:]}")
    page.line()
    page.kept("Receipt", str(receipt.path))
    completion.taking_back(page, part.completion)
    return text.with_the_whole(page, report, [part])


def _next_steps(page: Sheet, report: Report, written: Sequence[DatabaseReport]) -> None:
    page.line()
    page.title("Next steps")
    pending = {part.pending_after: part for part in written}
    if report.outcome is Outcome.UNDONE:
        for part in pending.values():
            page.indented(f"Alembic is where it was before the stamp; {text.named_pending(part.pending_after)}.")
    elif report.left_out:
        others = some((one.sentence for one in report.left_out), verb=False)
        page.indented(
            "1. Before you redeploy, check the databases that were left out: `alembic-rescue diagnose`", commands=7
        )
        page.indented(f"Pending revisions in {others} will run.", 5)
    elif any(pending):
        _redeploy(page, report, f"alembic upgrade {text.all_heads(report)}")
        for part in pending.values():
            page.indented(
                f"Alembic continues from {rows(part.heads_after)}: {text.named_pending(part.pending_after)}.", 5
            )
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
