"""What the receipts of a folder say together, on values alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import chain, combinations
from pathlib import Path

import pytest

from alembic_rescue.evidence.model import Verdict
from alembic_rescue.model import Identity, Receipt, ReceiptPart, ReceiptState, Revision
from alembic_rescue.records import ledger

SHOP = Identity(
    "", "postgresql", "18", "7/1", "10.0.0.1:5432", None, "db", 5432, "shop", "app", None, "v", None, "public"
)
CLONE = replace(SHOP, host="replica")
BEFORE, AFTER = ("a1", "b1"), ("a2", "b2")


def receipt(number, command, state, before=BEFORE, after=AFTER, *, of=SHOP, undoes=None, skipped=()):
    part = ReceiptPart(of, state, before, after, None, tuple(skipped), ())
    at = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=number)
    return Receipt(str(number), command, at, "heads", "", (part,), undoes, "0", "1", Path(f"{number}.json"))


def stamp(state, number=1, **more):
    return receipt(number, "stamp", state, **more)


def undo(state, number=2):
    return receipt(number, "undo", state, AFTER, BEFORE, undoes="1")


def mixtures():
    rows = (*BEFORE, *AFTER)
    every = chain.from_iterable(combinations(rows, count) for count in range(1, len(rows) + 1))
    return [rows for rows in every if rows not in (BEFORE, AFTER)]


@pytest.mark.parametrize("rows", mixtures(), ids=",".join)
@pytest.mark.parametrize("state", [ReceiptState.BEGUN, ReceiptState.FAILED])
def test_each_mixture_of_rows_is_an_interrupted_stamp(rows, state):
    found = ledger.broken_off([stamp(state)], SHOP, rows)
    assert found is not None
    assert (found.command, found.stamp, found.rows_before, found.rows_after) == ("stamp", "1", BEFORE, AFTER)
    found = ledger.broken_off([stamp(ReceiptState.VERIFIED), undo(state)], SHOP, rows)
    assert found is not None
    assert (found.command, found.receipt, found.stamp) == ("undo", "2", "1")
    assert (found.rows_before, found.rows_after) == (BEFORE, AFTER), "the ends are the stamp's"


@pytest.mark.parametrize("rows", [BEFORE, AFTER, ("a2", "c1"), ("a3", "b2")], ids=",".join)
def test_neither_an_end_nor_other_peoples_rows_are_a_mixture(rows):
    assert ledger.broken_off([stamp(ReceiptState.BEGUN)], SHOP, rows) is None


@pytest.mark.parametrize(
    "kept",
    [
        [],
        [stamp(ReceiptState.VERIFIED)],
        [stamp(ReceiptState.NOT_WRITTEN)],
        [stamp(ReceiptState.BEGUN), stamp(ReceiptState.VERIFIED, 2)],
        [stamp(ReceiptState.BEGUN, of=CLONE)],
    ],
    ids=["none", "verified", "not-written", "verified-since", "of-a-clone"],
)
def test_a_mixture_that_no_open_receipt_explains_was_not_interrupted(kept):
    assert ledger.broken_off(kept, SHOP, ("a1", "b2")) is None


def test_an_attempt_that_wrote_nothing_leaves_the_interrupted_stamp_before_it():
    kept = [stamp(ReceiptState.BEGUN), stamp(ReceiptState.NOT_WRITTEN, 2)]
    assert ledger.broken_off(kept, SHOP, ("a1", "b2")).receipt == "1"


def test_no_rows_are_a_mixture_only_if_all_were_deleted_first():
    kept = stamp(ReceiptState.BEGUN)
    assert ledger.broken_off([kept], SHOP, ()) is None
    emptied = replace(kept, parts=tuple(replace(part, empties=True) for part in kept.parts))
    assert ledger.broken_off([emptied], SHOP, ()) is not None


def test_the_revisions_that_a_person_named_are_kept_for_the_way_forward():
    skipped = [
        Revision("a2", "", "", "", Verdict.UNVERIFIABLE, accepted=True),
        Revision("b2", "", "", "", Verdict.PARTIAL, accepted=True),
        Revision("b0", "", "", "", Verdict.APPLIED),
    ]
    found = ledger.broken_off([stamp(ReceiptState.BEGUN, skipped=skipped)], SHOP, ("a1", "b2"))
    assert (found.accepted, found.accepted_missing) == (("a2",), ("b2",))


def test_the_same_database_at_another_address_is_another():
    assert SHOP.rows_key != CLONE.rows_key
    assert SHOP.rows_key != replace(SHOP, server_address="10.0.0.2:5432").rows_key
    assert SHOP.rows_key != replace(SHOP, host=None, socket="/run").rows_key
    assert SHOP.rows_key == replace(SHOP, host="DB.", role="other", server_version="17").rows_key


def test_an_unknown_id_makes_no_two_databases_equal():
    one, other = (replace(SHOP, server_id="-/5", server_address=None, host=host) for host in ("db1", "db2"))
    assert one.rows_key != other.rows_key
