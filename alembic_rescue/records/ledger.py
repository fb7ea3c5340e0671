"""What the receipts of a folder say together: what can be undone, and what was interrupted.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from alembic_rescue.evidence.model import Verdict
from alembic_rescue.model import BrokenOff, Identity, Receipt, ReceiptPart, ReceiptState

Key = tuple[str, str]
"""An :attr:`Identity.rows_key`."""
_NO_WAY_BACK = frozenset(["undo", "complete"])
"""The commands whose receipts ``undo`` does not accept."""


def undone_by(kept: Iterable[Receipt], receipt: Receipt) -> dict[Key, Receipt]:
    """Return, by database, the undo that reverted that part of `receipt`."""
    return {
        part.database.rows_key: later
        for later in kept
        if later.undoes == receipt.id
        for part in later.parts
        if part.state is ReceiptState.VERIFIED
    }


def can_be_undone(kept: Iterable[Receipt], receipt: Receipt) -> bool:
    """Return whether ``undo`` can still revert a part of `receipt`, as far as the receipts show."""
    if receipt.command in _NO_WAY_BACK or receipt.only_by_hand:
        return False
    undone = undone_by(kept, receipt)
    return any(part.reached and part.database.rows_key not in undone for part in receipt.parts)


def last_to_undo(kept: Sequence[Receipt], databases: Iterable[Identity]) -> Receipt | None:
    """Return the newest stamp or repair that may have reached one of `databases` and was not undone there."""
    wanted = {database.rows_key for database in databases}
    finished: set[tuple[Key, tuple[str, ...], tuple[str, ...]]] = set()
    """The changes that a later stamp finished, from one end to the other."""
    for receipt in reversed(kept):
        if receipt.command in _NO_WAY_BACK:
            continue
        reached = [part for part in receipt.parts if part.reached]
        verified = {_ends(part) for part in reached if part.state is ReceiptState.VERIFIED}
        open_ = {part.database.rows_key for part in reached if _ends(part) not in finished - verified} & wanted
        finished |= verified
        if open_ - undone_by(kept, receipt).keys():
            return receipt
    return None


def _ends(part: ReceiptPart) -> tuple[Key, tuple[str, ...], tuple[str, ...]]:
    return part.database.rows_key, part.rows_before, part.rows_after


def broken_off(kept: Sequence[Receipt], database: Identity, rows: Collection[str]) -> BrokenOff | None:
    """Return the operation that was interrupted between two statements and left `rows`, which match neither end.

    Args:
        kept: the oldest first.
        rows: the version table's current rows.
    """
    for receipt in reversed(kept):
        for part in receipt.parts if receipt.command != "complete" else ():
            if part.database.rows_key == database.rows_key and part.state is not ReceiptState.NOT_WRITTEN:
                return _broken_off(receipt, part, set(rows))
    return None


def _broken_off(receipt: Receipt, part: ReceiptPart, rows: set[str]) -> BrokenOff | None:
    ends = part.rows_before, part.rows_after
    mixture = rows <= {*ends[0], *ends[1]} and rows not in map(set, ends) and (rows or part.empties)
    if part.state is ReceiptState.VERIFIED or not mixture:
        return None
    before, after = ends if receipt.undoes is None else ends[::-1]
    named = [revision for revision in part.skipped if revision.accepted]
    return BrokenOff(
        command=receipt.command,
        receipt=receipt.id,
        stamp=receipt.undoes or receipt.id,
        target=receipt.target,
        rows_before=before,
        rows_after=after,
        accepted=tuple(one.revision for one in named if one.verdict is Verdict.UNVERIFIABLE),
        accepted_missing=tuple(one.revision for one in named if one.verdict is not Verdict.UNVERIFIABLE),
    )
