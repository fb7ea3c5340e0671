"""The steps past what create_all created, on values."""

from dataclasses import replace

import pytest

from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, RevisionEvidence, Verdict
from alembic_rescue.evidence.observation import CatalogObject, Change, Observation
from alembic_rescue.evidence.recommending import recommend
from alembic_rescue.evidence.way_through import both_there, legs
from alembic_rescue.model import Action

LETTERS = {
    "A": Verdict.APPLIED,
    "N": Verdict.NOT_APPLIED,
    "E": Verdict.EMPTY,
    "P": Verdict.PARTIAL,
    "U": Verdict.UNVERIFIABLE,
}


def evidence(word: str) -> list[RevisionEvidence]:
    return [RevisionEvidence(f"r{n}", LETTERS[letter], ()) for n, letter in enumerate(word, 1)]


@pytest.mark.parametrize(
    ("word", "ways"),
    [
        ("NA", "upgrade r1, stamp r2"),
        ("ANA", "stamp r1, upgrade r2, stamp r3"),
        ("NAN", "upgrade r1, stamp r2, upgrade head"),
        ("NNAAN", "upgrade r2, stamp r4, upgrade head"),
        ("NEAE", "upgrade r2, stamp r4"),
        ("NAPN", "upgrade r1, stamp r2, diagnose"),
        ("NUA", "upgrade r1, diagnose"),
    ],
)
def test_the_steps_follow_the_chains_order_as_far_as_it_is_known(word, ways):
    told = [
        step.removeprefix("alembic-rescue ").removeprefix("alembic ")
        for step in legs(evidence(word), "alembic upgrade head")
    ]
    assert ", ".join(told) == ways


def test_the_steps_lead_past_a_later_revision_that_exists():
    advice = recommend(evidence("NAN"))
    assert (advice.action, advice.steps) == (Action.RERUN, legs(evidence("NAN"), "alembic upgrade head"))
    assert "contradictory" not in advice.reason


def test_what_fails_before_it_is_fixed_first():
    failing = Cause("r1", "/p/r1.py", 9, "SELECT f()", "no f()", swallowed=False, handler_line=None, fix="make f()")
    advice = recommend(evidence("NA"), [failing])
    assert (advice.action, advice.steps) == (Action.STOP, ())
    assert "/p/r1.py:9 fails (no f()). Fix it (make f()), then check again" in advice.reason
    of_what_is_there = replace(failing, revision="r2")
    assert recommend(evidence("NA"), [of_what_is_there]).action is Action.RERUN


OLD, NEW = (CatalogObject("table", f"public.{name}") for name in ("old", "new"))
FROM, TO = (CatalogObject("table column", f'public.t."{name}"', "public.t") for name in ("From", "To"))
RENAMES = Observation("r1", (Change(OLD, {}, None), Change(NEW, None, {})), ((OLD, NEW),), path="/p/r1.py", line=8)


def test_a_table_in_the_way_must_be_checked_and_dropped_by_hand():
    (cause,) = both_there([RENAMES], {OLD: {}, NEW: {}})
    assert (cause.code, cause.place) == ("both-there", "/p/r1.py:8")
    assert [step.partition(";")[0] for step in cause.steps] == [
        "SELECT count(*) FROM public.new",
        "DROP TABLE public.new",
    ]
    assert "the original data is in public.old" in cause.fix


def test_a_column_too():
    renames = Observation("r1", (Change(FROM, {}, None), Change(TO, None, {})), ((FROM, TO),))
    (cause,) = both_there([renames], {FROM: {}, TO: {}})
    assert [step.partition(";")[0] for step in cause.steps] == [
        'SELECT count(*) FROM public.t WHERE "To" IS NOT NULL',
        'ALTER TABLE public.t DROP COLUMN "To"',
    ]


@pytest.mark.parametrize(
    ("before", "live"),
    [
        ((), {OLD: {}}),
        ((), {NEW: {}}),
        ((Observation("r0", (Change(NEW, {}, None),)),), {OLD: {}, NEW: {}}),
    ],
    ids=["not-yet", "done", "made-free-before"],
)
def test_otherwise_nothing_is_in_the_way(before, live):
    assert list(both_there([*before, RENAMES], live)) == []


def test_nor_is_an_object_that_frees_its_own_name():
    """As in a swap: the new name is one that it had first taken from another table."""
    swaps = Observation("r1", (Change(OLD, {}, None),), ((OLD, NEW),))
    assert list(both_there([swaps], {OLD: {}, NEW: {}})) == []


def test_what_a_table_takes_along_is_not_reported():
    column = (
        CatalogObject("table column", "public.old.a", "public.old"),
        CatalogObject("table column", "public.new.a", "public.new"),
    )
    renames = replace(RENAMES, renames=((OLD, NEW), column))
    assert len(list(both_there([renames], {OLD: {}, NEW: {}, column[0]: {}, column[1]: {}}))) == 1


def test_the_evidence_makes_the_recommendation():
    held = ObjectEvidence("table", "t", "present", Presence.PRESENT, None, "", None, None)
    beyond = RevisionEvidence("r2", Verdict.UNVERIFIABLE, (held,))
    assert recommend([*evidence("N"), beyond]).steps == ("alembic upgrade r1", "alembic-rescue diagnose")
