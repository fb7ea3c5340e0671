"""A stamp or an undo that is interrupted at any statement can be continued, to either end (promise 7)."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest

from alembic_rescue import Outcome, RescueError, default_folder, diagnose, list_receipts, load, plan, stamp, undo
from alembic_rescue.model import ReceiptState
from alembic_rescue.records import receipts
from tests.conftest import ProjectCopy
from tests.watching import until, waiting_for_a_lock

pytestmark = pytest.mark.slow

CASES = {
    "several-to-one": ("two_branches", ["aaaa0001", "bbbb0001"], "cccc0001"),
    "several-to-several": ("labelled_branches", ["0a11aa01", "1d44dd01"], "heads"),
    "one-to-several": ("labelled_branches", ["5afe0000"], "heads"),
}
HOLDS_THE_STATEMENT = """
    CREATE SEQUENCE statements;
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('statements') = {number} THEN PERFORM pg_advisory_xact_lock(7); END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER hold BEFORE INSERT OR UPDATE OR DELETE ON alembic_version EXECUTE FUNCTION hold()
"""


@pytest.fixture(autouse=True)
def _no_other_database_is_named(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


@contextmanager
def held_at(database, number):
    """Make the statement with that number wait until the block ends."""
    database.run(HOLDS_THE_STATEMENT.format(number=number))
    try:
        with database.session() as somebody:
            somebody.cursor().execute("SELECT pg_advisory_lock(7)")
            yield
    finally:
        database.run("DROP TRIGGER hold ON alembic_version; DROP FUNCTION hold(); DROP SEQUENCE statements")


def killed_at(project: ProjectCopy, number, *arguments):
    """Kill the command while its statement with that number runs; the server's process ends with it."""
    database = project.database
    with held_at(database, number):
        process = project.started(*arguments)
        (waiting,) = until(lambda: waiting_for_a_lock(database), "the statement waits")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        database.run(f"SELECT pg_terminate_backend({waiting['pid']})", role="postgres")
        until(lambda: not waiting_for_a_lock(database), "the server's process is gone")


def test_a_stamp_under_way_is_not_interrupted_and_must_not_be_ended(project, database):
    """Its rows look half done for as long as its statements take."""
    name, before, target = CASES["several-to-one"]
    database.stand_at(*before)
    branches = project(name, database)
    with held_at(database, 2):
        process = branches.started("stamp", target, "--yes", "--lock-timeout", "60")
        until(lambda: waiting_for_a_lock(database), "the statement waits")
        rows = database.versions()
        assert rows != before
        looked, seen = branches.rescue("diagnose"), branches.rescue_json("diagnose")["databases"][0]
        planned = branches.rescue_json("plan", target)
        undone = branches.rescue_json("undo", "--yes")
    assert process.wait(60) == 0, "nobody ended it"
    assert "broke off" not in looked.everything
    assert "another alembic-rescue is writing" in looked.stdout
    assert seen["recommendation"]["action"] == "stop"
    rescues = [one for one in seen["blockers"] if one["is_rescue"]]
    assert {one["application"] for one in rescues} == {"alembic-rescue"}
    assert [one["end_command"] for one in rescues] == ["", ""]
    assert "rescue-under-way" in [one["code"] for one in planned["databases"][0]["findings"]]
    assert [one["code"] for one in undone["refusals"]] == ["rescue-under-way"]
    assert database.versions() not in (rows, before)


def state_of(project: ProjectCopy):
    return json.loads(project.receipts[-1].read_text())["state"]


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "back"])
@pytest.mark.parametrize("broken", ["stamp", "undo"])
@pytest.mark.parametrize("case", CASES)
def test_a_stamp_that_was_killed_after_a_statement_continues_to_either_end(project, database, case, broken, forward):
    name, before, target = CASES[case]
    database.stand_at(*before)
    branches = project(name, database)
    if broken == "undo":
        assert branches.rescue("stamp", target, "--yes").status == 0
        killed_at(branches, 2, "undo", "--yes")
    else:
        killed_at(branches, 2, "stamp", target, "--yes")
    rows = database.versions()
    assert state_of(branches) == "begun"

    looked = branches.rescue("diagnose")
    assert looked.status == 0, looked.everything
    assert (
        f"the {broken} of receipt {branches.receipts[-1].stem} was interrupted between two statements" in looked.stdout
    )
    assert f"alembic-rescue stamp {target}" in looked.stdout
    assert "alembic-rescue undo" in looked.stdout
    assert "migrations ran since" not in looked.everything
    assert database.versions() == rows

    ran = branches.rescue(*(("stamp", target) if forward else ("undo",)), "--yes")
    assert ran.status == 0, ran.everything
    if not forward:
        assert database.versions() == before
        return
    after = database.versions()
    assert after not in (before, rows)
    assert branches.rescue("undo", "--yes").status == 0, "and back from there, to the rows before"
    assert database.versions() == before


@pytest.mark.parametrize("case", CASES)
def test_each_mixture_of_rows_leads_to_both_ends_and_no_other(project, database, case, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name, before, target = CASES[case]
    database.stand_at(*before)
    loaded = load(str(project(name, database).root / "alembic.ini"))
    folder = default_folder()
    done = stamp(loaded, target, confirm=lambda _: True, folder=folder)
    after = database.versions()
    (kept,) = list_receipts(folder)
    every = sorted({*before, *after})
    for mask in range(1, 2 ** len(every)):
        mixture = [row for number, row in enumerate(every) if mask >> number & 1]
        if mixture in (before, after):
            continue
        for path in folder.iterdir():
            path.unlink()
        receipts.complete(kept, [replace(part, state=ReceiptState.BEGUN, rows_found=None) for part in kept.parts])

        database.stand_at(*mixture)
        (seen,) = diagnose(loaded, folder=folder).databases
        assert seen.database.broke_off is not None, mixture
        assert "broke-off" in {note.code for note in seen.findings}
        (elsewhere, *_) = {row for one in done.databases for row in one.pending_after} or {before[0]}
        assert plan(loaded, elsewhere).outcome is Outcome.REFUSED

        stamp(loaded, target, confirm=lambda _: True, folder=folder)
        assert database.versions() == after, mixture
        undo(loaded, confirm=lambda _: True, folder=folder)
        assert database.versions() == before, mixture

        for path in folder.iterdir():
            path.unlink()
        receipts.complete(kept, [replace(part, state=ReceiptState.BEGUN, rows_found=None) for part in kept.parts])
        database.stand_at(*mixture)
        undo(loaded, confirm=lambda _: True, folder=folder)
        assert database.versions() == before, mixture


def test_an_undo_that_succeeded_unseen_leaves_nothing_to_do(project, database, tmp_path):
    database.stand_at("aaaa0001", "bbbb0001")
    loaded = load(str(project("two_branches", database).root / "alembic.ini"))
    stamp(loaded, "bbbb0002", confirm=lambda _: True, folder=tmp_path)
    undo(loaded, confirm=lambda _: True, folder=tmp_path)
    (there, back) = list_receipts(tmp_path)
    edited(back, state=ReceiptState.BEGUN, rows_found=None)
    report = undo(loaded, there.id, confirm=lambda _: pytest.fail("there is nothing to ask"), folder=tmp_path)
    assert report.outcome is Outcome.NOTHING_TO_DO
    assert database.versions() == ["aaaa0001", "bbbb0001"]


def edited(kept, **changes):
    """A receipt as a forger would write it: with a valid seal."""
    return receipts.complete(kept, [replace(part, **changes) for part in kept.parts])


@pytest.mark.parametrize("state", [ReceiptState.VERIFIED, ReceiptState.BEGUN, ReceiptState.FAILED])
def test_an_edited_receipt_never_leads_forward(project, database, state, tmp_path):
    database.stand_at("aaaa0001", "bbbb0001")
    loaded = load(str(project("two_branches", database).root / "alembic.ini"))
    stamp(loaded, "bbbb0002", confirm=lambda _: True, folder=tmp_path)
    (kept,) = list_receipts(tmp_path)
    rows = database.versions()
    for before in (("cccc0001",), ("aaaa0001", "cccc0001")):
        edited(kept, state=state, rows_before=before)
        with pytest.raises(RescueError) as refused:
            undo(loaded, confirm=lambda _: True, folder=tmp_path)
        assert refused.value.exit_status in {2, 3}
        assert database.versions() == rows


@pytest.mark.parametrize("field", ["rows_before", "rows_after", "state", "database", "sql"])
def test_a_receipt_that_was_edited_by_hand_is_rejected(project, database, field, tmp_path):
    database.stand_at("aaaa0001", "bbbb0001")
    loaded = load(str(project("two_branches", database).root / "alembic.ini"))
    stamp(loaded, "bbbb0002", confirm=lambda _: True, folder=tmp_path)
    (kept,) = list_receipts(tmp_path)
    content = json.loads(kept.path.read_text())
    content["parts"][0][field] = ["cccc0001"]
    kept.path.write_text(json.dumps(content))
    assert list_receipts(tmp_path) == []
    with pytest.raises(RescueError, match="it was changed after it was written") as refused:
        undo(loaded, str(kept.path), confirm=lambda _: True, folder=tmp_path)
    assert refused.value.code == "bad-receipt"
