"""Go back: which receipt, which of its parts, and the rows to restore for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, findings, inspection, selection
from alembic_rescue.client import Project
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import (
    Action,
    Database,
    DatabaseReport,
    Note,
    Outcome,
    Receipt,
    ReceiptPart,
    ReceiptState,
    Recommendation,
)
from alembic_rescue.records import ledger, receipts


def receipt_to_undo(kept: Sequence[Receipt], folder: Path, named: str | None, seen: Sequence[Database]) -> Receipt:
    """The receipt of the stamp that is `named`, or that was interrupted, or that is the last one of these databases.

    Args:
        kept: the receipts in `folder`, oldest first.

    Raises:
        NoReceipt, BadReceipt, ReceiptIsUndo: there is no receipt to undo.
    """
    identities = [database.identity for database in seen]
    broke_off = [database.broke_off for database in seen if database.broke_off]
    stamps = {one.receipt: one.stamp for one in broke_off}
    by_id = {receipt.id: receipt for receipt in kept}
    if named is None:
        meant = (by_id.get(stamp) or _turned_round(by_id[undo]) for undo, stamp in stamps.items())
        found = next(meant, None) or ledger.last_to_undo(kept, identities)
        if found is None:
            names = errors.listed(dict.fromkeys(identity.name for identity in identities))
            raise errors.NoReceipt(f"of a stamp of {names} that could be undone", str(folder))
        return found
    receipt = receipts.find(folder, named)
    if receipt.id in stamps:
        receipt = by_id.get(stamps[receipt.id]) or _turned_round(receipt)
    if receipt.command == "undo":
        raise errors.ReceiptIsUndo(receipt.id)
    if receipt.command == "complete":
        raise errors.ReceiptOfCompletion(receipt.id, receipt.target, receipt.parts[0].sql)
    return receipt


def _turned_round(undo: Receipt) -> Receipt:
    """Rebuild the receipt of the stamp that `undo` takes back, if the stamp's own file is gone."""
    parts = tuple(replace(one, rows_before=one.rows_after, rows_after=one.rows_before) for one in undo.parts)
    return replace(undo, id=undo.undoes or undo.id, command="stamp", undoes=None, parts=parts)


def to_undo(
    kept: Sequence[Receipt], receipt: Receipt, seen: Sequence[Database], only: str | None
) -> list[tuple[Database, ReceiptPart]]:
    """What the receipt's stamp wrote and nobody took back yet, with each database as it is now; at least one.

    Raises:
        ReceiptSpent, ReceiptOfOtherDatabase: there is nothing of it to undo here.
    """
    here = {database.identity.rows_key: database for database in seen}
    missing = [part.database.rows_key[0] for part in receipt.parts if part.database.rows_key not in here]
    if len(missing) == len(receipt.parts) or (missing and only is None):
        raise errors.ReceiptOfOtherDatabase(receipt.id, missing[0], errors.listed(where for where, _ in here))
    undone = ledger.undone_by(kept, receipt)
    parts = [part for part in receipt.parts if part.database.rows_key in here]
    left = [part for part in parts if part.database.rows_key not in undone]
    reached = [part for part in left if part.reached]
    if not reached and len(left) < len(parts):
        by = next(undone[part.database.rows_key] for part in parts if part.database.rows_key in undone)
        raise errors.ReceiptSpent(receipt.id, by.id)
    return [(here[part.database.rows_key], part) for part in reached or left]


def plan_each(
    project: Project,
    graph: RevisionMap,
    kept: Sequence[Receipt],
    receipt: Receipt,
    seen: Sequence[Database],
    only: str | None,
) -> list[DatabaseReport]:
    """Plan the undo of a receipt on each database.

    Raises:
        RescueUnderWay: another rescue is writing there.
        Refusal: see :func:`to_undo` and :func:`way_back`.
    """
    parts = []
    for database, part in to_undo(kept, receipt, seen, only):
        if database.rescue_at_work:
            raise errors.RescueUnderWay(database.identity.name)
        try:
            parts.append(way_back(graph, database, receipt, part, inspection.hindrances(project, database)))
        except errors.Refusal as refusal:
            raise selection.naming(database, refusal) if len(receipt.parts) > 1 else refusal from None
    return parts


def outcome(kept: Sequence[Receipt], receipt: Receipt, parts: Sequence[DatabaseReport]) -> Outcome:
    """REFUSED if any is, NOTHING_TO_DO if an undo without a recorded end had taken everything back, else READY.

    Raises:
        NothingStamped: its stamp never reached the database.
    """
    if any(part.refusals for part in parts):
        return Outcome.REFUSED
    if any(part.stamps for part in parts):
        return Outcome.READY
    if not any(later.undoes == receipt.id for later in kept):
        raise errors.NothingStamped(receipt.id, receipt.parts[0].rows_before, parts[0].database.current_heads)
    return Outcome.NOTHING_TO_DO


def way_back(
    graph: RevisionMap, database: Database, receipt: Receipt, part: ReceiptPart, refusals: tuple[Note, ...]
) -> DatabaseReport:
    """Plan putting back the rows of one part; no stamps if its stamp never reached the database.

    Raises:
        DatabaseMovedOn, UnknownRevision, RowsNotAlembics, BadReceipt, EmptyRow, DoubledRow: its rows cannot be put
            back.
    """
    paths.check_rows(database.current_heads)
    if receipt.command == "repair":
        _check_known(graph, database, part)
    now, before, after = set(database.current_heads), set(part.rows_before), set(part.rows_after)
    broke_off = database.broke_off is not None and database.broke_off.stamp == receipt.id
    as_read_back = part.rows_found is not None and now == set(part.rows_found) and after <= now
    back = database.current_heads
    if now != before and part.state is not ReceiptState.NOT_WRITTEN:
        if now != after and not broke_off and not as_read_back:
            raise errors.DatabaseMovedOn(part.rows_after, sorted(now))
        back = receipts.way_back(part.rows_before, part.rows_after, database.current_heads)
        if receipt.command != "repair":
            _check_back(graph, receipt, part, back, now)
    unseen = now == after != before and part.state is ReceiptState.BEGUN
    told = (findings.end_not_seen(receipt.id, part.rows_after),) if unseen else ()
    stamps = paths.find_stamps(graph, database.current_heads, back)
    return DatabaseReport(
        database=database,
        revisions=part.skipped,
        heads_after=back,
        stamps=stamps,
        pending_after=paths.pending(graph, back) if stamps else (),
        refusals=refusals,
        findings=(*told, *findings.of(database)),
        recommendation=Recommendation(Action.NOTHING, None, "the rows of the receipt can be put back"),
    )


def _check_known(graph: RevisionMap, database: Database, part: ReceiptPart) -> None:
    """A repair may have gone back or forward, from rows that cannot be explained."""
    try:
        paths.check_current(graph, part.rows_before)
    except errors.Refusal as unsound:
        sql = receipts.restoring_sql(database.identity.table, part.rows_before, database.current_heads)
        raise errors.RowsNotAlembics(part.rows_before, sql) from unsound


def _check_back(
    graph: RevisionMap, receipt: Receipt, part: ReceiptPart, back: Sequence[str], now: Collection[str]
) -> None:
    """Refuse rows that cannot be explained, and rows from an edited receipt, which would lead forward."""
    for row in back:
        if not scripts.has(graph, row):
            raise errors.UnknownRevision(row)
    after = set(part.rows_after)
    known = {row for row in after if scripts.has(graph, row)}
    leads_back = set(part.rows_before) <= paths.up_to(graph, known)
    if not leads_back and (known == after or now != after):  # the ancestors of an unknown row are unknown
        raise errors.BadReceipt(str(receipt.path), "its rows before the stamp do not precede those after it")
