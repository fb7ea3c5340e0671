"""Only one rescue runs at a time; and rows that anybody else moved are never overwritten (promises 4 and 7)."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess

import pytest

from tests import answers
from tests.conftest import ProjectCopy
from tests.terminal import at_a_terminal
from tests.watching import OF_THIS_DATABASE, VERSION_TABLE, ServerLog, blocked_by, others, until, waiting_for_a_lock

pytestmark = pytest.mark.slow

RESCUE_LOCK = 0x616C656D_62696372


def standing_at(database, *rows: str) -> None:
    database.run(VERSION_TABLE)
    for row in rows:
        database.run(f"INSERT INTO alembic_version VALUES ('{row}')")


@pytest.fixture
def linear(project, database) -> ProjectCopy:
    """The chain of five revisions, at the first."""
    standing_at(database, "aaaa0001")
    return project("linear", database)


def receipt_states(project: ProjectCopy) -> list[str]:
    return [json.loads(receipt.read_text())["state"] for receipt in project.receipts]


def test_of_twenty_stamps_started_at_once_one_succeeds_and_the_others_say_so(linear):
    log = ServerLog(linear.database)
    running = [linear.started("--format", "json", "stamp", "aaaa0003", "--yes") for _ in range(20)]
    documents = [answers.document(process.communicate(timeout=120)[0]) for process in running]
    statuses = [process.returncode for process in running]

    outcomes = [document["outcome"] for document in documents]
    assert outcomes.count("stamped") == 1
    refused = [document["refusals"][0]["code"] for document in documents if document["outcome"] == "refused"]
    assert set(refused) <= {"rescue-under-way", "database-moved"}
    assert outcomes.count("stamped") + outcomes.count("nothing-to-do") + len(refused) == 20
    assert [outcome in {"stamped", "nothing-to-do"} for outcome in outcomes] == [status == 0 for status in statuses]
    assert set(statuses) <= {0, 3}

    assert linear.database.versions() == ["aaaa0003"]
    assert receipt_states(linear).count("verified") == 1
    assert len([s for _, s in log.statements if s.startswith("UPDATE")]) == 1


# --- the lock against a second rescue ----------------------------------------------------------------------------


@contextlib.contextmanager
def held_up(project: ProjectCopy, *stamp: str):
    """A stamp whose write waits for the row; yields the process and the session that holds the row."""
    with blocked_by(project.database, "UPDATE alembic_version SET version_num = version_num") as other:
        process = project.started(
            "--format", "json", *(stamp or ("stamp", "aaaa0003", "--yes")), "--lock-timeout", "30"
        )
        try:
            until(lambda: waiting_for_a_lock(project.database), "the stamp waits for the row")
            yield process, other
        finally:
            process.kill()
            process.communicate()


def finished(process: subprocess.Popen[str]):
    """Return the exit status and the document."""
    out, err = process.communicate(timeout=30)
    assert out, err
    return process.returncode, answers.document(out)


def rescue_locks(database):
    key = f"locktype = 'advisory' AND objid = {RESCUE_LOCK & 0xFFFFFFFF}"
    return database.run(f"SELECT pid FROM pg_locks WHERE {key} AND {OF_THIS_DATABASE}")


def test_a_second_rescue_is_refused_while_the_first_writes_and_allowed_afterwards(linear):
    with held_up(linear) as (first, other):
        second = linear.rescue("stamp", "aaaa0003", "--yes")
        assert second.status == 3
        assert "error[rescue-under-way]" in second.stderr
        assert "this one wrote nothing" in second.stderr
        other.rollback()
        assert finished(first)[0] == 0
    assert rescue_locks(linear.database) == []
    assert linear.rescue("stamp", "aaaa0004", "--yes").status == 0


@pytest.mark.parametrize("end", ["failure", "kill -9"])
def test_the_lock_is_released_however_the_rescue_ends(linear, end):
    database = linear.database
    with held_up(linear) as (process, other):
        assert len(rescue_locks(database)) == 1
        if end == "failure":
            (waiting,) = waiting_for_a_lock(database)
            database.run(f"SELECT pg_cancel_backend({waiting['pid']})", role="postgres")
            assert finished(process)[0] == 4
        else:
            process.send_signal(signal.SIGKILL)
            process.wait()
        until(lambda: rescue_locks(database) == [], "the lock is let go", 5)
        other.rollback()
    until(lambda: others(database) == [], "the server has noticed")
    assert linear.rescue_json("stamp", "aaaa0005", "--yes")["outcome"] == "stamped"


def test_the_lock_covers_one_database_and_does_not_stop_an_inspection(linear):
    with blocked_by(linear.database, f"SELECT pg_advisory_lock({RESCUE_LOCK})"):
        assert linear.rescue("plan", "aaaa0003").status == 0
        assert linear.rescue("diagnose").status == 0


# --- compare and swap: against everybody else --------------------------------------------------------------------


def test_a_row_that_moves_while_the_question_is_open_is_not_overwritten(linear):
    with at_a_terminal(linear, "stamp", "aaaa0003") as terminal:
        terminal.wait_for("[y/N]")
        linear.database.run("UPDATE alembic_version SET version_num = 'aaaa0002'")
        terminal.type("y\r")
        assert terminal.end() == 3
        said = " ".join(terminal.text.split())
        assert "error[database-moved]" in said
        assert "from aaaa0001 to aaaa0002; nothing was written" in said
    assert linear.database.versions() == ["aaaa0002"]
    assert linear.receipts == []


@pytest.mark.parametrize("moved_to", ["aaaa0002", "aaaa0003", "aaaa0005"])
def test_a_row_that_moves_between_the_last_check_and_the_write_is_not_overwritten(linear, moved_to):
    """Even if it moves to the very target: this stamp did not move it, so its undo would not be ours."""
    with held_up(linear) as (process, other):
        with other.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (moved_to,))
        other.commit()
        status, document = finished(process)
    assert status == 3
    assert document["refusals"][0]["code"] == "database-moved"
    assert "nothing was written" in document["refusals"][0]["message"]
    assert document["databases"][0]["current_heads"] == [moved_to]
    assert linear.database.versions() == [moved_to]
    assert receipt_states(linear) == ["not-written"]

    undone = linear.rescue("undo", "--yes")
    assert (undone.status, linear.database.versions()) == (3, [moved_to]), "what others wrote is not ours to take back"
    named = linear.rescue("undo", linear.receipts[0].stem, "--yes")
    assert (named.status, linear.database.versions()) == (3, [moved_to])
    assert "error[nothing-stamped]" in named.stderr


def test_a_row_that_disappears_between_the_last_check_and_the_write_is_not_created_again(linear):
    with held_up(linear) as (process, other):
        with other.cursor() as cursor:
            cursor.execute("DELETE FROM alembic_version")
        other.commit()
        status, document = finished(process)
    assert (status, document["refusals"][0]["code"]) == (3, "database-moved")
    assert linear.database.versions() == []


def test_a_row_that_moves_just_after_the_wait_was_given_up_is_not_taken_for_ours(linear):
    with blocked_by(linear.database, "UPDATE alembic_version SET version_num = 'aaaa0002'") as other:
        process = linear.started("--format", "json", "stamp", "aaaa0003", "--yes", "--lock-timeout", "2")
        until(lambda: waiting_for_a_lock(linear.database), "the stamp waits")
        until(lambda: not waiting_for_a_lock(linear.database), "it gave up")
        other.commit()
        status, document = finished(process)
    assert status in {3, 4}
    assert "not-verified" not in json.dumps(document)
    assert linear.database.versions() == ["aaaa0002"]


@contextlib.contextmanager
def held_up_in_its_insert(project: ProjectCopy):
    """Start from an empty version table: others can still insert, the stamp cannot yet."""
    with blocked_by(project.database, "LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE") as other:
        process = project.started("--format", "json", "stamp", "aaaa0003", "--yes", "--lock-timeout", "30")
        until(lambda: waiting_for_a_lock(project.database), "the stamp waits for the table")
        yield process, other


def test_the_same_row_inserted_by_another_session_is_not_taken_for_ours(project, database):
    standing_at(database)
    linear = project("linear", database)
    with held_up_in_its_insert(linear) as (process, other):
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO alembic_version VALUES ('aaaa0003')")
        other.commit()
        status, document = finished(process)
    assert (status, document["refusals"][0]["code"]) == (3, "database-moved")
    assert database.versions() == ["aaaa0003"]
    assert receipt_states(linear) == ["not-written"]


def test_another_row_inserted_into_an_empty_table_stays_and_ours_can_be_reverted(project, database):
    standing_at(database)
    linear = project("linear", database)
    with held_up_in_its_insert(linear) as (process, other):
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO alembic_version VALUES ('aaaa0002')")
        other.commit()
        status, document = finished(process)
    assert (status, document["error"]["code"]) == (5, "not-verified")
    assert "it is at aaaa0002 and aaaa0003" in document["error"]["message"]
    assert "another session wrote at the same time" in document["error"]["message"]
    assert database.versions() == ["aaaa0002", "aaaa0003"]
    assert "DELETE FROM public.alembic_version WHERE version_num = 'aaaa0003';" in document["error"]["help"]
    assert "'aaaa0002'" not in document["error"]["help"], "the row of the other is not ours to delete"

    undone = linear.rescue("undo", "--yes")
    assert undone.status == 0, undone.everything
    assert database.versions() == ["aaaa0002"]


# --- several rows: several statements ----------------------------------------------------------------------------

FAILS_ON_THE_SECOND = """
    CREATE FUNCTION second_fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM alembic_version WHERE version_num IN ('aaaa0001', 'bbbb0001')) < 2
        THEN RAISE EXCEPTION 'the second statement fails'; END IF;
        RETURN coalesce(NEW, OLD);
    END $$;
    CREATE TRIGGER second_fails BEFORE INSERT OR UPDATE OR DELETE ON alembic_version
        FOR EACH ROW EXECUTE FUNCTION second_fails()
"""


def test_a_stamp_interrupted_between_two_statements_is_reported_as_a_mixture_and_undone(project, database):
    standing_at(database, "aaaa0001", "bbbb0001")
    database.run(FAILS_ON_THE_SECOND)
    branches = project("two_branches", database)
    broke_off = branches.rescue("stamp", "cccc0001", "--yes")
    assert broke_off.status == 5, broke_off.stderr
    assert "error[not-verified]" in broke_off.stderr
    assert (
        "a mixture of the rows before and after, because it was interrupted between two statements" in broke_off.stderr
    )
    assert "the second statement fails" in broke_off.stderr
    assert "\n    alembic-rescue undo\n  Or by hand:\n" in broke_off.stderr
    assert receipt_states(branches) == ["failed"]
    assert database.versions() not in (["aaaa0001", "bbbb0001"], ["cccc0001"])

    database.run("DROP TRIGGER second_fails ON alembic_version")
    undone = branches.rescue("undo", "--yes")
    assert undone.status == 0, undone.everything
    assert database.versions() == ["aaaa0001", "bbbb0001"]


@pytest.mark.parametrize("end", ["terminated", "timed out", "interrupted"])
def test_a_stamp_ended_between_two_statements_is_reported_as_a_mixture_and_undone(project, database, end):
    standing_at(database, "aaaa0001", "bbbb0001")
    branches = project("two_branches", database)
    patience = "2" if end == "timed out" else "30"
    with blocked_by(database, "SELECT * FROM alembic_version WHERE version_num = 'bbbb0001' FOR UPDATE") as other:
        process = branches.started("--format", "json", "stamp", "heads", "--yes", "--lock-timeout", patience)
        (waiting,) = until(lambda: waiting_for_a_lock(database), "the second statement waits")
        assert database.versions() != ["aaaa0001", "bbbb0001"], "the first statement is done"
        if end == "terminated":
            database.run(f"SELECT pg_terminate_backend({waiting['pid']})", role="postgres")
        elif end == "interrupted":
            process.send_signal(signal.SIGINT)
        status, document = finished(process)
        other.rollback()
    assert (status, document["error"]["code"]) == (5, "not-verified")
    assert "a mixture of the rows before and after" in document["error"]["message"]
    assert receipt_states(branches) == ["failed"]
    undone = branches.rescue("undo", "--yes")
    assert undone.status == 0, undone.everything
    assert database.versions() == ["aaaa0001", "bbbb0001"]


def test_a_mixture_can_be_repaired_by_hand_with_the_printed_sql(project, database):
    standing_at(database, "aaaa0001", "bbbb0001")
    database.run(FAILS_ON_THE_SECOND)
    branches = project("two_branches", database)
    document = branches.rescue_json("stamp", "cccc0001", "--yes")
    by_hand = document["error"]["help"].partition("or by hand: ")[2].strip("`")
    database.run("DROP TRIGGER second_fails ON alembic_version")
    database.run(by_hand)
    assert database.versions() == ["aaaa0001", "bbbb0001"]
