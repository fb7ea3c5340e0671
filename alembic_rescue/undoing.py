"""Going back: which receipt, which of its parts, and the rows that each leads back to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, findings
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import (
    Action,
    Database,
    DatabaseReport,
    Note,
    Receipt,
    ReceiptPart,
    ReceiptState,
    Recommendation,
)
from alembic_rescue.records import receipts


def receipt_to_undo(folder: Path, named: str | None, seen: Sequence[Database]) -> Receipt:
    """The receipt that is `named`, or the last one of what was seen.

    Raises:
        NoReceipt, BadReceipt, ReceiptIsUndo: there is none to undo.
    """
    identities = [database.identity for database in seen]
    if named is None:
        found = receipts.last_to_undo(folder, identities)
        if found is None:
            names = errors.listed(dict.fromkeys(identity.name for identity in identities))
            raise errors.NoReceipt(f"of a stamp of {names} that could be undone", str(folder))
        return found
    receipt = receipts.find(folder, named)
    if receipt.command == "undo":
        raise errors.ReceiptIsUndo(receipt.id)
    return receipt


def to_undo(
    folder: Path, receipt: Receipt, seen: Sequence[Database], only: str | None
) -> list[tuple[Database, ReceiptPart]]:
    """What the receipt's stamp wrote and nobody took back yet, each with its database as it is now; at least one.

    Raises:
        ReceiptSpent, ReceiptOfOtherDatabase: there is nothing of it to undo here.
    """
    here = {database.identity.rows_key: database for database in seen}
    missing = [part.database.name for part in receipt.parts if part.database.rows_key not in here]
    if len(missing) == len(receipt.parts) or (missing and only is None):
        raise errors.ReceiptOfOtherDatabase(receipt.id, missing[0], errors.listed(d.identity.name for d in seen))
    undone = receipts.undone_by(folder, receipt)
    parts = [part for part in receipt.parts if part.database.rows_key in here]
    left = [part for part in parts if part.database.rows_key not in undone]
    reached = [part for part in left if part.reached]
    if not reached and len(left) < len(parts):
        by = next(undone[part.database.rows_key] for part in parts if part.database.rows_key in undone)
        raise errors.ReceiptSpent(receipt.id, by.id)
    return [(here[part.database.rows_key], part) for part in reached or left]


def way_back(
    graph: RevisionMap, database: Database, receipt: Receipt, part: ReceiptPart, refusals: tuple[Note, ...]
) -> DatabaseReport:
    """What putting back the rows of one part comes to; without stamps where its stamp never reached the database.

    Raises:
        NothingStamped, DatabaseMovedOn, UnknownRevision: its rows cannot be put back.
    """
    now, before, after = set(database.current_heads), set(part.rows_before), set(part.rows_after)
    # A stamp that broke off between two statements leaves rows of both.
    broke_off = part.state is not ReceiptState.VERIFIED and now <= before | after
    as_read_back = part.rows_found is not None and now == set(part.rows_found)
    untouched = now == before or part.state is ReceiptState.NOT_WRITTEN
    if untouched and len(receipt.parts) == 1:
        raise errors.NothingStamped(receipt.id, part.rows_before, sorted(now))
    if not untouched and now != after and not broke_off and not as_read_back:
        raise errors.DatabaseMovedOn(part.rows_after, sorted(now))
    back = database.current_heads
    if not untouched:
        back = receipts.way_back(part.rows_before, part.rows_after, database.current_heads)
    for row in back:
        if not scripts.has(graph, row):
            raise errors.UnknownRevision(row)
    return DatabaseReport(
        database=database,
        revisions=part.skipped,
        heads_after=back,
        stamps=paths.find_stamps(graph, database.current_heads, back) if not untouched else (),
        pending_after=paths.pending(graph, back),
        refusals=refusals,
        findings=findings.of(database),
        recommendation=Recommendation(Action.NOTHING, None, "the rows of the receipt can be put back"),
    )
