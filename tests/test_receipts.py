"""Receipts: on disk before the write, complete after it, and enough to go back, with the tool or without."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
from dataclasses import replace

import psycopg2
import pytest

from alembic_rescue import Receipt, list_receipts, load
from alembic_rescue import stamp as api_stamp
from alembic_rescue import undo as api_undo
from alembic_rescue.evidence.model import ObjectEvidence, Presence
from alembic_rescue.model import Identity, Outcome, ReceiptPart, ReceiptState, Revision
from alembic_rescue.records import ledger, seal
from alembic_rescue.records.receipts import begin
from alembic_rescue.report import json as report_json
from alembic_rescue.report import written
from alembic_rescue.report.page import Page
from tests.conftest import BIN, ProjectCopy, clean_environment, fresh_database
from tests.report_values import SHOP, line, report
from tests.test_seal import changed
from tests.watching import until, waiting_for_a_lock

IDENTITY = Identity("", "postgresql", "18", "7/1", None, None, "db", 5432, "shop", "app", None, "v", None, "public")


@pytest.fixture(autouse=True)
def _no_other_database_is_named(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture(scope="module")
def database(server):
    """One for all these tests: each sets its own position, and has its own folder of receipts."""
    with fresh_database(server) as database:
        yield database


@pytest.fixture
def linear(project, database):
    """Five revisions in a line, with the database at the first."""
    database.stand_at("aaaa0001")
    return project("linear", database)


def stamped(project: ProjectCopy, target: str) -> Receipt:
    """Stamp, to have a receipt; in this process, because that is faster."""
    api_stamp(load(str(project.root / "alembic.ini")), target, confirm=lambda _: True, folder=folder_of(project))
    return list_receipts(folder_of(project))[-1]


def undone(project: ProjectCopy) -> Receipt:
    api_undo(load(str(project.root / "alembic.ini")), confirm=lambda _: True, folder=folder_of(project))
    return list_receipts(folder_of(project))[-1]


def folder_of(project: ProjectCopy):
    return project.home / "alembic-rescue"


def content(file) -> dict:
    return json.loads(file.read_text())


def sealed(kept: dict) -> dict:
    """With a seal that fits."""
    within = {name: value for name, value in kept.items() if name != "seal"}
    return {**within, "seal": seal.digest(within)}


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what is kept, and when --------------------------------------------------------------------------------------


def test_a_receipt_says_what_was_what_is_and_how_to_go_back(linear):
    ran = linear.rescue("stamp", "aaaa0003", "--yes", "--reason", "stuck since the deployment of Friday")
    assert ran.status == 0, ran.everything
    (file,) = linear.receipts
    kept = content(file)
    assert kept["format"] == 3
    assert kept["id"] == file.stem
    assert kept["command"] == "stamp"
    assert kept["state"] == "verified"
    assert kept["target"] == "aaaa0003"
    assert kept["reason"] == "stuck since the deployment of Friday"
    (part,) = kept["parts"]
    assert (part["rows_before"], part["rows_after"], part["rows_found"]) == (["aaaa0001"], ["aaaa0003"], ["aaaa0003"])
    assert [revision["revision"] for revision in part["skipped"]] == ["aaaa0002", "aaaa0003"]
    assert all(revision["content"].startswith("sha256:") for revision in part["skipped"])
    assert part["database"]["database"] == linear.database.name
    assert part["database"]["version_table"] == "alembic_version"
    assert kept["undoes"] is None
    assert str(file) in ran.stdout
    assert part["sql"][0] in ran.stdout


def test_only_the_user_can_read_a_receipt_whatever_the_umask(linear):
    before = os.umask(0)
    try:
        assert linear.rescue("stamp", "aaaa0003", "--yes").status == 0
    finally:
        os.umask(before)
    (file,) = linear.receipts
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700


@contextlib.contextmanager
def held_up(linear: ProjectCopy):
    """A stamp whose UPDATE waits, because somebody holds the row.  Yields the process, and what releases the row."""
    with linear.database.session() as somebody:
        somebody.cursor().execute("SELECT * FROM alembic_version FOR UPDATE")
        process = linear.started("stamp", "aaaa0003", "--yes", "--lock-timeout", "20")
        try:
            until(lambda: waiting_for_a_lock(linear.database), "the UPDATE waits")
            yield process, somebody.rollback
        finally:
            process.kill()
            process.wait()


def test_the_receipt_is_on_disk_before_the_write_and_completed_after_it(linear):
    with held_up(linear) as (process, release):
        (file,) = linear.receipts
        begun = content(file)
        (part,) = begun["parts"]
        assert (begun["state"], part["state"], part["rows_found"]) == ("begun", "begun", None)
        assert part["sql"] == [
            "UPDATE public.alembic_version SET version_num = 'aaaa0001' WHERE version_num = 'aaaa0003';"
        ]
        assert linear.database.versions() == ["aaaa0001"]
        release()
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0, told
        completed = {**part, "state": "verified", "rows_found": ["aaaa0003"]}
        assert content(file) == sealed({**begun, "state": "verified", "parts": [completed]})
        assert [path.name for path in file.parent.iterdir()] == [file.name], "no other file is left"


def test_if_the_disk_refuses_the_outcome_the_receipt_still_leads_back(linear):
    with held_up(linear) as (process, release):
        (file,) = linear.receipts
        file.with_name(f"{file.name}.part").mkdir()  # in the way of the file that the outcome is written to first
        release()
        out, told = process.communicate(timeout=30)
        assert process.returncode == 0, told
        assert "Stamped and verified" in out
    assert content(file)["state"] == "begun"
    file.with_name(f"{file.name}.part").rmdir()
    ran = linear.rescue("undo", "--yes")
    assert ran.status == 0, ran.everything
    assert linear.database.versions() == ["aaaa0001"]


def test_a_stamp_killed_before_the_write_leaves_a_receipt_that_only_says_begun(linear):
    with held_up(linear) as (process, _):
        process.kill()
        (waiting,) = waiting_for_a_lock(linear.database)
        linear.database.run(f"SELECT pg_terminate_backend({waiting['pid']}, 5000)", role="postgres")
    (file,) = linear.receipts
    assert content(file)["state"] == "begun"
    ran = linear.rescue("undo", "--yes")
    assert ran.status == 3
    assert f"error[nothing-stamped]: the stamp of receipt {file.stem} never reached the database" in ran.stderr
    assert linear.database.versions() == ["aaaa0001"]


def test_a_stamp_that_the_server_finished_after_its_program_was_killed_can_be_undone(linear):
    with held_up(linear) as (process, release):
        process.kill()
        release()
        until(lambda: linear.database.versions() == ["aaaa0003"], "the server does not know of the kill")
    assert content(linear.receipts[0])["state"] == "begun"
    ran = linear.rescue("undo", "--yes")
    assert ran.status == 0, ran.everything
    assert "does not record how its stamp ended" in " ".join(ran.stderr.split())
    assert linear.database.versions() == ["aaaa0001"]


def test_a_stamp_without_its_lock_leaves_a_receipt_that_says_so_and_that_undo_skips(linear):
    stamped(linear, "aaaa0002")
    with linear.database.session() as somebody:
        somebody.cursor().execute("SELECT * FROM alembic_version FOR UPDATE")
        assert linear.rescue("stamp", "aaaa0003", "--yes", "--lock-timeout", "0.2").status == 4
    kept = content(linear.receipts[-1])
    assert (kept["state"], kept["parts"][0]["rows_found"]) == ("not-written", ["aaaa0002"])
    assert linear.rescue("undo", "--yes").status == 0
    assert linear.database.versions() == ["aaaa0001"]


# --- a disk that refuses -----------------------------------------------------------------------------------------


def test_if_the_folder_cannot_be_created_nothing_is_stamped(linear, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    ran = linear.rescue("--receipts", str(tmp_path / "file" / "receipts"), "stamp", "aaaa0003", "--yes")
    assert ran.status == 2
    assert (
        f"error[receipt-not-written]: the receipt cannot be written to {tmp_path}/file/receipts: "
        "Not a directory; nothing was stamped"
    ) in ran.stderr
    assert "help: without a receipt there is no undo. Choose another folder with `--receipts DIR`" in ran.stderr
    assert linear.database.versions() == ["aaaa0001"]


def test_on_a_full_disk_nothing_is_stamped_and_no_half_receipt_is_left(linear):
    # A limit of no bytes for any file: to the program, the same as a full disk.  Nor is there a scratch database.
    accepted = ["--accept", "aaaa0002", "--accept", "aaaa0003"]
    ran = subprocess.run(
        ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", BIN / "alembic-rescue", "stamp", "aaaa0003", "--yes", *accepted],
        cwd=linear.root,
        env=clean_environment(linear.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert "error[receipt-not-written]" in ran.stderr
    assert "nothing was stamped" in ran.stderr
    assert linear.database.versions() == ["aaaa0001"]
    assert list(folder_of(linear).iterdir()) == []


def test_if_the_receipt_of_an_undo_cannot_be_written_nothing_is_undone(linear, tmp_path):
    receipt = stamped(linear, "aaaa0003")
    (tmp_path / "file").write_text("not a folder")
    ran = linear.rescue("--receipts", str(tmp_path / "file"), "undo", "--yes", str(receipt.path))
    assert ran.status == 2
    assert "error[receipt-not-written]" in ran.stderr
    assert linear.database.versions() == ["aaaa0003"]


# --- the way back by hand ----------------------------------------------------------------------------------------

BY_HAND = {
    "one-to-one": ("linear", ["aaaa0001"], "aaaa0003"),
    "none-to-one": ("linear", [], "aaaa0003"),
    "none-to-several": ("labelled_branches", [], "heads"),
    "several-to-one": ("two_branches", ["aaaa0001", "bbbb0001"], "cccc0001"),
    "one-to-several": ("labelled_branches", ["5afe0000"], "heads"),
    "several-to-several": ("labelled_branches", ["0a11aa01", "1d44dd01"], "heads"),
    "one-of-several": ("two_branches", ["aaaa0001", "bbbb0001"], "bbbb0002"),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_the_sql_of_a_receipt_restores_the_rows_as_it_is(project, database, case):
    name, rows, target = BY_HAND[case]
    database.stand_at(*rows)
    receipt = stamped(project(name, database), target)
    assert database.versions() == list(receipt.parts[0].rows_after) != rows
    with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
        connection.autocommit = True  # like psql: the statements themselves say where a transaction begins
        with connection.cursor() as cursor:
            for statement in receipt.parts[0].sql:
                cursor.execute(statement)
    assert database.versions() == rows


@pytest.mark.parametrize("case", BY_HAND)
def test_undo_restores_the_rows_and_its_own_sql_reverts_that(project, database, case):
    name, rows, target = BY_HAND[case]
    database.stand_at(*rows)
    copied = project(name, database)
    receipt = stamped(copied, target)
    undo = undone(copied)
    assert database.versions() == rows
    assert undo.undoes == receipt.id
    there, back = receipt.parts[0], undo.parts[0]
    assert (back.rows_before, back.rows_after) == (there.rows_after, there.rows_before)
    database.run("; ".join(statement.rstrip(";") for statement in back.sql))
    assert database.versions() == list(there.rows_after)


def test_several_statements_by_hand_are_one_transaction(project, database):
    database.stand_at("aaaa0001", "bbbb0001")
    (part,) = stamped(project("two_branches", database), "cccc0001").parts
    assert part.sql[0] == "BEGIN;"
    assert part.sql[-1] == "COMMIT;"
    assert len(part.sql) == 5


@pytest.mark.parametrize(
    ("empties", "said"),
    [(True, "since, run the SQL below."), (False, "since: alembic-rescue undo")],
    ids=["rows that Alembic never writes", "others"],
)
def test_after_a_repair_only_what_works_undoes_it(empties, said, tmp_path):
    part = ReceiptPart(SHOP, ReceiptState.VERIFIED, ("gone",), ("r1",), ("r1",), (), ("UPDATE ...;",), empties)
    receipt = begin(tmp_path, "repair", "rows", "", [part], alembic="1.16")
    repaired = replace(report(line(["r1"]), ["r1"], command="repair", heads_after=("r1",)), outcome=Outcome.REPAIRED)
    told = written.stamped(repaired, receipt, page=Page(200, color=False))
    assert said in " ".join(told.split())
    assert ("alembic-rescue undo" in told) is not empties


# --- the list ----------------------------------------------------------------------------------------------------


def test_the_list_shows_each_receipt_with_its_rows_state_and_reason(linear):
    linear.rescue("stamp", "aaaa0003", "--yes", "--reason", "stuck")
    linear.rescue("undo", "--yes", "--reason", "wrong one")
    first, second = (file.stem for file in linear.receipts)
    ran = linear.rescue("receipts")
    assert ran.status == 0
    heading, stamp, undo, folder, *closing = ran.stdout.splitlines()
    assert heading.split() == ["Receipt", "Database", "Before", "After", "State", "Undone", "by", "Undoes", "Reason"]
    place = f"{linear.database.name} at 127.0.0.1:{linear.database.server.port}"
    assert stamp.split("  ")[0] == first
    for part in (place, "aaaa0001", "aaaa0003", "undone", second, "stuck"):
        assert part in stamp
    assert undo.startswith(second)
    for part in (place, "verified", first, "wrong one"):
        assert part in undo
    assert folder == f"Folder   {folder_of(linear)}"
    assert closing == [], "nothing is left to undo"
    linear.rescue("stamp", "aaaa0002", "--yes")
    assert linear.rescue("receipts").stdout.endswith("To undo one:\n    alembic-rescue undo RECEIPT\n")


def test_what_the_list_says_of_an_undone_receipt(tmp_path):
    part = ReceiptPart(IDENTITY, ReceiptState.VERIFIED, ("r1",), ("r2",), ("r2",), (), ("SELECT 1;",))
    stamp = begin(tmp_path, "stamp", "r2", "", [part], alembic="1.16")
    back = replace(part, rows_before=("r2",), rows_after=("r1",), rows_found=("r1",))
    undo = begin(tmp_path, "undo", "r2", "", [back], undoes=stamp.id, alembic="1.16")
    failed = replace(undo, parts=(replace(back, state=ReceiptState.FAILED),))
    told = [report_json.receipt_list([stamp, one])["receipts"] for one in (undo, failed)]
    assert [[one["undone_by"] for one in listed] for listed in told] == [[[undo.id], []], [[], []]]
    assert [ledger.can_be_undone([stamp, one], stamp) for one in (undo, failed)] == [False, True]
    assert not ledger.can_be_undone([stamp, undo], undo)


def test_no_width_breaks_an_id_or_a_folder(tmp_path):
    part = ReceiptPart(
        IDENTITY, ReceiptState.VERIFIED, ("0d7be4a6315c", "65e4b4ef883d"), ("aae3309a2a8b",), None, (), ("SELECT 1;",)
    )
    stamp = begin(tmp_path, "stamp", "aae3309a2a8b", "deployment 4711 was stuck for an hour", [part], alembic="1.16")
    undo = begin(tmp_path, "undo", "aae3309a2a8b", "", [part], undoes=stamp.id, alembic="1.16")
    listed = [stamp.id, undo.id, "0d7be4a6315c", "65e4b4ef883d", "aae3309a2a8b", str(tmp_path)]
    for width in range(24, 260):
        told = written.receipt_list([stamp, undo], str(tmp_path), page=Page(width, color=False))
        assert [told.count(one) for one in listed] == [2, 2, 2, 2, 2, 1], told
    assert written.receipt_list([stamp, undo], "", page=Page(300, color=False)).count("Receipt") == 1, "a table"


def test_no_width_breaks_the_file_that_a_stamp_leaves(linear):
    told = linear.rescue("stamp", "aaaa0003", "--yes", COLUMNS="40")
    (file,) = linear.receipts
    assert f"Receipt  {file}\n" in told.stdout


def test_the_list_in_json_has_the_receipts_as_they_are_on_disk(linear):
    receipt = stamped(linear, "aaaa0003")
    answer = linear.rescue_json("receipts")
    assert answer["command"] == "receipts"
    (listed,) = answer["receipts"]
    assert listed == {**content(receipt.path), "path": str(receipt.path), "undone_by": []}


def test_an_empty_list_says_so(linear):
    ran = linear.rescue("receipts")
    assert (ran.status, ran.stdout) == (0, f"No receipts in {folder_of(linear)}.\n")
    assert linear.rescue_json("receipts")["receipts"] == []


def test_receipts_are_listed_without_a_project(linear, tmp_path):
    receipt = stamped(linear, "aaaa0003")
    (tmp_path / "elsewhere").mkdir()
    ran = ProjectCopy(tmp_path / "elsewhere", linear.home).rescue("receipts")
    assert ran.status == 0, ran.everything
    assert receipt.id in ran.stdout


def test_files_that_are_no_receipts_are_skipped(linear):
    receipt = stamped(linear, "aaaa0003")
    folder = receipt.path.parent
    kept = content(receipt.path)
    (folder / "empty.json").write_text("")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "number.json").write_text("7")
    (folder / "other.json").write_text('{"format": 1, "name": "something else"}')
    (folder / "newer.json").write_text(json.dumps(sealed({**kept, "format": 4})))
    (folder / "ancient.json").write_text(json.dumps({**kept, "format": 1}))
    (folder / "less.json").write_text(json.dumps(sealed({key: value for key, value in kept.items() if key != "parts"})))
    (folder / "partless.json").write_text(json.dumps(sealed({**kept, "parts": []})))
    (folder / "edited.json").write_text(json.dumps({**kept, "reason": "another"}))
    (folder / "deep.json").write_text('{"format":' * 100_000)
    (part,) = kept["parts"]
    del part["rows_before"]
    (folder / "lesser.json").write_text(json.dumps(sealed({**kept, "parts": [part]})))
    (folder / "undated.json").write_text(json.dumps(sealed({**kept, "created": "yesterday"})))
    os.mkfifo(folder / "fifo.json")
    (folder / "huge.json").touch()
    os.truncate(folder / "huge.json", 1 << 40)
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    (folder / "folder.json").mkdir()
    (folder / "dangling.json").symlink_to(folder / "nowhere")
    (folder / "notes.txt").write_text("not even json")
    assert [listed["id"] for listed in linear.rescue_json("receipts")["receipts"]] == [receipt.id]
    assert linear.rescue("undo", "--yes").status == 0


def test_a_receipt_without_a_time_zone_does_not_break_the_list(linear):
    receipt = stamped(linear, "aaaa0003")
    other = receipt.path.with_name("edited.json")
    other.write_text(json.dumps(sealed({**content(receipt.path), "id": "edited", "created": "2020-01-01T00:00:00"})))
    assert [listed["id"] for listed in linear.rescue_json("receipts")["receipts"]] == ["edited", receipt.id]


def test_a_receipt_changed_in_any_way_is_still_one_or_is_rejected(tmp_path):
    revision = Revision(
        "aaaa0002",
        "doc",
        "path.py",
        "sha256:0",
        objects=(ObjectEvidence("table", "a", "present", Presence.ABSENT, None, "p", 1, "x"),),
    )
    part = ReceiptPart(IDENTITY, ReceiptState.VERIFIED, ("aaaa0001",), ("aaaa0002",), None, (revision,), ("SELECT 1;",))
    receipt = begin(tmp_path, "stamp", "aaaa0002", "", [part], alembic="1.16")
    kept = content(receipt.path)
    edits = list(changed(kept))
    assert len(edits) > 100
    for edit in edits:
        receipt.path.write_text(json.dumps(sealed(edit)))
        for found in list_receipts(tmp_path):
            assert ledger.last_to_undo([found], [IDENTITY]) in {found, None}
            ledger.broken_off([found, found], IDENTITY, ["aaaa0003"])
            assert written.receipt_list([found, receipt], "", page=Page(80, color=False))


# --- where they are kept -----------------------------------------------------------------------------------------


def folders_with_receipts(tmp_path) -> list[str]:
    return sorted({str(file.parent.relative_to(tmp_path)) for file in tmp_path.rglob("*-stamp-*.json")})


def test_by_default_they_are_in_the_users_state_folder(linear, tmp_path):
    ran = linear.rescue("stamp", "aaaa0003", "--yes", XDG_STATE_HOME=str(tmp_path / "xdg"))
    assert ran.status == 0, ran.everything
    assert folders_with_receipts(tmp_path) == ["xdg/alembic-rescue"]


def test_without_a_named_state_folder_they_are_in_the_home_directorys(linear, tmp_path):
    ran = linear.rescue("stamp", "aaaa0003", "--yes", XDG_STATE_HOME="", HOME=str(tmp_path / "home"))
    assert ran.status == 0, ran.everything
    (folder,) = folders_with_receipts(tmp_path)
    assert folder.startswith("home/")
    assert folder.endswith("/alembic-rescue")


def test_the_option_wins_over_the_variable_and_the_variable_over_the_setting(linear, tmp_path):
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text() + f"\n[alembic_rescue]\nreceipts = {tmp_path}/setting\n")
    assert linear.rescue("stamp", "aaaa0002", "--yes").status == 0
    assert folders_with_receipts(tmp_path) == ["setting"]
    variable = {"ALEMBIC_RESCUE_RECEIPTS": str(tmp_path / "variable")}
    assert linear.rescue("stamp", "aaaa0003", "--yes", **variable).status == 0
    assert folders_with_receipts(tmp_path) == ["setting", "variable"]
    option = str(tmp_path / "option")
    assert linear.rescue("--receipts", option, "stamp", "aaaa0004", "--yes", **variable).status == 0
    assert folders_with_receipts(tmp_path) == ["option", "setting", "variable"]

    # and undo and the list look in the same place
    assert linear.rescue("undo", "--yes").status == 3, "the last stamp is kept elsewhere, and the database has moved on"
    assert linear.rescue("--receipts", option, "undo", "--yes").status == 0
    assert linear.database.versions() == ["aaaa0003"]
    assert f"Folder   {tmp_path}/setting\n" in linear.rescue("receipts").stdout


# --- undo: which receipt -----------------------------------------------------------------------------------------


def test_stamps_are_undone_one_by_one_newest_first(linear):
    stamped(linear, "aaaa0002")
    stamped(linear, "aaaa0004")
    assert linear.rescue("undo", "--yes").status == 0
    assert linear.database.versions() == ["aaaa0002"]
    assert linear.rescue("undo", "--yes").status == 0
    assert linear.database.versions() == ["aaaa0001"]
    ran = linear.rescue("undo", "--yes")
    assert ran.status == 3
    assert "error[no-receipt]" in ran.stderr


@pytest.mark.parametrize("named", ["id", "beginning", "file"])
def test_a_receipt_is_named_by_its_id_its_prefix_or_its_file(linear, named):
    receipt = stamped(linear, "aaaa0003")
    name = {"id": receipt.id, "beginning": receipt.id[:-2], "file": str(receipt.path)}[named]
    ran = linear.rescue("undo", "--yes", name)
    assert ran.status == 0, ran.everything
    assert linear.database.versions() == ["aaaa0001"]


def test_an_undone_stamp_can_be_repeated_and_undone_again(linear):
    for _ in range(2):
        stamped(linear, "aaaa0003")
        assert linear.database.versions() == ["aaaa0003"]
        undone(linear)
        assert linear.database.versions() == ["aaaa0001"]


# --- undo: refused -----------------------------------------------------------------------------------------------


def refused(linear: ProjectCopy, *arguments: str, status: int = 3, **environment: str) -> str:
    """Return what a refused undo prints on stderr, and check that it changed no row and no receipt."""
    rows = linear.database.versions()
    kept = {file: file.read_bytes() for file in linear.receipts}
    ran = linear.rescue(*arguments, **environment)
    assert ran.status == status, ran.everything
    assert linear.database.versions() == rows
    assert {file: file.read_bytes() for file in linear.receipts} == kept
    return ran.stderr


def test_without_a_receipt_there_is_nothing_to_undo(linear):
    told = refused(linear, "undo", "--yes")
    assert f"error[no-receipt]: no receipt of a stamp of {linear.database.name} at 127.0.0.1" in told
    assert f"that could be undone found in {folder_of(linear)}" in told
    assert "help: list the receipts:\n    alembic-rescue receipts\n  To use another folder, add --receipts DIR" in told


def test_an_id_that_no_receipt_has_is_refused(linear):
    stamped(linear, "aaaa0003")
    told = refused(linear, "undo", "--yes", "19990101T000000-stamp-abcdef")
    assert f"error[no-receipt]: no receipt 19990101T000000-stamp-abcdef found in {folder_of(linear)}" in told


def test_a_prefix_that_several_ids_have_is_refused_with_all_of_them(linear):
    first, second = stamped(linear, "aaaa0002"), stamped(linear, "aaaa0003")
    told = refused(linear, "undo", "--yes", "20")
    assert "error[no-receipt]" in told
    assert f"(several begin so: {first.id} and {second.id})" in told


def test_a_file_that_is_no_receipt_is_refused(linear, tmp_path):
    file = tmp_path / "other.json"
    file.write_text('{"some": "thing"}')
    told = refused(linear, "undo", "--yes", str(file), status=2)
    assert f"error[bad-receipt]: {file} is not a receipt: it is not in the format of a receipt" in told
    assert "help: to list receipts:\n    alembic-rescue receipts\n" in told


def test_a_missing_file_is_refused(linear, tmp_path):
    told = refused(linear, "undo", "--yes", str(tmp_path / "none.json"), status=2)
    assert f"error[bad-receipt]: {tmp_path}/none.json is not a receipt: No such file or directory" in told


def test_an_undo_is_not_undone(linear):
    stamped(linear, "aaaa0003")
    undo = undone(linear)
    told = refused(linear, "undo", "--yes", undo.id)
    assert f"error[receipt-is-undo]: receipt {undo.id} records an undo and cannot be undone" in told
    assert "help: stamp again instead, with all checks:\n    alembic-rescue stamp REVISION\n" in told


def test_a_receipt_can_be_used_once(linear):
    receipt = stamped(linear, "aaaa0003")
    undo = undone(linear)
    stamped(linear, "aaaa0003")
    told = refused(linear, "undo", "--yes", receipt.id)
    assert f"error[receipt-spent]: receipt {receipt.id} was already undone by {undo.id}" in told


def test_a_receipt_of_another_database_is_refused_and_never_taken_for_the_last(linear):
    receipt = stamped(linear, "aaaa0003")
    with fresh_database(linear.database.server) as other:
        other.stand_at("aaaa0003")
        told = refused(linear, "--url", other.url, "undo", "--yes", receipt.id)
        assert f"error[receipt-of-other-database]: receipt {receipt.id} belongs to {linear.database.name} at " in told
        assert f", but env.py opens {other.name} at " in told
        assert "pass it with --url" in told
        assert "error[no-receipt]" in refused(linear, "--url", other.url, "undo", "--yes")
        assert other.versions() == ["aaaa0003"]


def test_a_stamp_is_not_undone_once_migrations_ran(linear):
    stamped(linear, "aaaa0003")
    assert linear.alembic("upgrade", "aaaa0004").status == 0
    told = refused(linear, "undo", "--yes")
    assert "error[database-moved-on]: the receipt left the database at aaaa0003, but it is now at aaaa0004" in told
    assert "To go back, use alembic downgrade" in told


def test_rows_that_were_restored_by_hand_are_not_restored_again(linear):
    receipt = stamped(linear, "aaaa0003")
    linear.database.run(receipt.parts[0].sql[0])
    told = refused(linear, "undo", "--yes")
    assert f"error[nothing-stamped]: the stamp of receipt {receipt.id} never reached the database" in told
    assert "it is at aaaa0001, as before" in told
    assert "help: there is nothing to undo" in told


def test_rows_that_the_scripts_no_longer_know_are_not_restored(linear):
    stamped(linear, "aaaa0003")
    versions = linear.root / "alembic" / "versions"
    (versions / "0001_step_1.py").unlink()
    second = versions / "0002_step_2.py"
    second.write_text(second.read_text().replace('down_revision = "aaaa0001"', "down_revision = None"))
    told = refused(linear, "undo", "--yes")
    assert "error[unknown-revision]: the script directory has no revision 'aaaa0001'" in told


def test_a_database_at_a_revision_that_the_scripts_no_longer_know_can_be_restored(linear):
    stamped(linear, "aaaa0005")
    (linear.root / "alembic" / "versions" / "0005_step_5.py").unlink()
    ran = linear.rescue("undo", "--yes")
    assert ran.status == 0, ran.everything
    assert linear.database.versions() == ["aaaa0001"]


def test_without_a_terminal_undo_needs_yes(linear):
    stamped(linear, "aaaa0003")
    told = refused(linear, "undo", status=2)
    assert "error[no-terminal]: alembic-rescue undo asks before it writes" in told


def test_a_refused_undo_is_one_json_document(linear):
    stamped(linear, "aaaa0003")
    linear.database.stand_at("aaaa0004")
    answer = linear.rescue_json("undo", "--yes")
    assert answer["outcome"] == "refused"
    assert [refusal["code"] for refusal in answer["refusals"]] == ["database-moved-on"]
