"""Rows that no forward stamp can fix: set to what is proved, undone, or refused if it is not proved (promise 2)."""

from __future__ import annotations

import pytest

from tests import chains
from tests.conftest import ProjectCopy
from tests.terminal import at_a_terminal
from tests.test_broken_off import killed_at

BODIES = {f"ab0{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2, 3, 4)}


def standing_at(revision, bodies, database, tmp_path):
    """A project with these revisions, and its database really upgraded to some position."""
    root = chains.write(tmp_path / "project", database.url, bodies).root
    made = ProjectCopy(root, tmp_path / "state", database)
    assert made.alembic("upgrade", revision).status == 0
    return made


@pytest.fixture
def tables(database, tmp_path):
    """A table for each of four revisions; the first three exist."""
    return standing_at("ab03", BODIES, database, tmp_path)


def without_a_key(database):
    """As if somebody had created the version table by hand."""
    database.run("DROP TABLE alembic_version; CREATE TABLE alembic_version (version_num VARCHAR(32))")


def rows(*values):
    def make(database):
        without_a_key(database)
        for value in values:
            database.run(f"INSERT INTO alembic_version VALUES ({value})")

    return make


STATES = {
    "unknown": rows("'feed0000cafe'"),
    "overlapping": rows("'ab03'", "'ab02'"),
    "overlapping, beyond what is there": rows("'ab04'", "'ab01'"),
    "doubled": rows("'ab03'", "'ab03'"),
    "empty row": rows("NULL", "'ab03'"),
    "falsely stamped": rows("'ab04'"),
    "lost": rows(),
}


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_the_rows_are_set_to_what_is_proved_and_the_upgrade_continues(state, tables, database):
    STATES[state](database)
    looked = tables.rescue_json("diagnose", "--locate")["databases"][0]
    if state != "lost":  # there a forward stamp does it
        assert looked["recommendation"]["action"] == "repair", looked["recommendation"]
        assert "alembic-rescue repair" in looked["recommendation"]["reason"]
    answer = tables.rescue_json("repair", "--yes", "--reason", "stuck")
    assert answer["outcome"] == "repaired"
    (part,) = answer["databases"]
    assert (part["heads_after"], part["pending_after"]) == (["ab03"], ["ab04"])
    assert database.versions() == ["ab03"]
    assert tables.rescue_json("repair", "--yes")["outcome"] == "nothing-to-do"
    assert tables.alembic("upgrade", "head").status == 0
    assert database.versions() == ["ab04"]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["falsely stamped", "lost"])
def test_a_repair_can_be_undone(state, tables, database):
    STATES[state](database)
    before = database.versions()
    assert tables.rescue("repair", "--yes").status == 0
    undone = tables.rescue_json("undo", "--yes")
    assert undone["outcome"] == "undone", undone
    assert database.versions() == before
    assert tables.rescue("repair", "--yes").status == 0, "and again"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["unknown", "overlapping", "doubled", "empty row"])
def test_rows_that_alembic_does_not_write_are_restored_by_the_receipts_sql(state, tables, database):
    STATES[state](database)
    before = database.run("SELECT version_num FROM alembic_version ORDER BY 1")
    repaired = tables.rescue("repair", "--yes")
    assert repaired.status == 0
    assert "as long as no migration has run since, run the SQL below." in " ".join(repaired.stdout.split())
    assert "alembic-rescue undo" not in repaired.stdout
    refused = tables.rescue_json("undo", "--yes")
    (told,) = refused["refusals"]
    assert told["code"] == "rows-not-alembics"
    database.run(told["help"].partition("by hand: ")[2].strip("`"))
    assert database.run("SELECT version_num FROM alembic_version ORDER BY 1") == before


def refused(tables, *options):
    before = tables.database.versions()
    answer = tables.rescue_json("repair", "--yes", *options)
    assert answer["outcome"] == "refused"
    assert tables.database.versions() == before
    assert tables.receipts == []
    return {refusal["code"]: refusal for refusal in answer["refusals"]}


@pytest.mark.slow
def test_it_does_not_go_back_over_what_exists(tables, database):
    """Alembic would run it again."""
    database.run("CREATE TABLE t4 (id INTEGER PRIMARY KEY); DROP TABLE t2")
    database.stand_at("ab04")
    told = refused(tables)
    assert told["repair-would-rerun"]["message"].startswith("some objects of ab03 and ab04 exist")


@pytest.mark.slow
def test_if_a_stamp_gets_there_it_says_so(tables, database):
    database.stand_at("ab01")
    assert refused(tables)["stamp-leads-there"]["help"] == "alembic-rescue plan ab03"


@pytest.mark.slow
def test_if_nothing_exists_nothing_is_set(tables, database):
    database.run("DROP TABLE t1, t2, t3")
    rows("'feed0000cafe'")(database)
    assert "nothing-located" in refused(tables)


@pytest.mark.slow
def test_an_unproved_revision_is_accepted_by_name(database, tmp_path):
    bodies = {**BODIES, "ab02": 'op.execute("UPDATE t1 SET id = id + 1")'}
    tables = standing_at("ab03", bodies, database, tmp_path)
    rows("'feed0000cafe'")(database)
    assert list(refused(tables)) == ["revision-unverifiable"]
    assert tables.rescue_json("repair", "--yes", "--accept", "ab02")["outcome"] == "repaired"
    assert database.versions() == ["ab03"]


@pytest.mark.slow
def test_the_new_rows_must_be_typed(tables, database):
    STATES["falsely stamped"](database)
    assert tables.rescue("repair").status == 2, "without a terminal"
    for typed, status in (("yes", 3), ("ab03", 0)):
        with at_a_terminal(tables, "repair") as terminal:
            terminal.wait_for("Type the new rows of")
            terminal.type(f"{typed}\r")
            assert terminal.end() == status, terminal.text
        assert database.versions() == (["ab03"] if status == 0 else ["ab04"])
    assert "Repaired and verified on a new connection" in terminal.text


@pytest.mark.slow
@pytest.mark.parametrize("state", ["unknown", "lost", "overlapping"])
def test_a_data_migration_that_may_have_run_is_not_run_again(state, database, tmp_path):
    bodies = {**BODIES, "ab04": 'op.execute("UPDATE t1 SET id = id + 1")'}
    tables = standing_at("ab04", bodies, database, tmp_path)
    STATES[state](database)
    before = database.run("SELECT version_num FROM alembic_version")
    answer = tables.rescue_json("repair", "--yes")
    assert [refusal["code"] for refusal in answer["refusals"]] == ["repair-may-rerun"]
    assert database.run("SELECT version_num FROM alembic_version") == before
    looked = tables.rescue_json("diagnose", "--locate")["databases"][0]["recommendation"]
    assert looked["action"] == "stop"
    assert "ab04" in looked["reason"]
    for_each = {choice["found"]: choice["commands"] for choice in looked["choices"]}
    by_stamp = {
        "ab04 ran": ["alembic-rescue stamp ab04 --accept ab04"],
        "ab04 did not run": ["alembic-rescue stamp ab03"],
    }
    by_repair = {
        "ab04 ran": ["alembic-rescue repair --accept ab04"],
        "ab04 did not run": ["alembic-rescue repair --not-run ab04"],
    }
    assert for_each == (by_stamp if state == "lost" else by_repair)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["unknown", "lost", "overlapping"])
@pytest.mark.parametrize(("option", "rows_then"), [("--accept", ["ab04"]), ("--not-run", ["ab03"])])
def test_a_person_says_whether_it_ran(option, rows_then, state, database, tmp_path):
    bodies = {**BODIES, "ab04": 'op.execute("UPDATE t1 SET id = id + 1")'}
    tables = standing_at(rows_then[0], bodies, database, tmp_path)
    STATES[state](database)
    answer = tables.rescue_json("repair", "--yes", option, "ab04")
    assert answer["outcome"] == "repaired"
    assert database.versions() == rows_then
    (kept,) = tables.rescue_json("receipts")["receipts"]
    assert ("ab04 did not run (--not-run)" in kept["reason"]) is (option == "--not-run")
    assert tables.alembic("upgrade", "head").status == 0


@pytest.mark.slow
def test_nobody_can_say_that_a_revision_with_a_missing_table_ran(database, tmp_path):
    bodies = {**BODIES, "ab04": f"{BODIES['ab04']}\n{DATA}"}
    tables = standing_at("ab03", bodies, database, tmp_path)
    database.stand_at("ab04")
    assert "--accept" not in refused(tables)["repair-may-rerun"]["help"]
    (choice,) = tables.rescue_json("diagnose", "--locate")["databases"][0]["recommendation"]["choices"]
    assert choice["commands"] == ["alembic-rescue repair --not-run ab04"]
    assert tables.rescue_json("repair", "--yes", "--not-run", "ab04")["outcome"] == "repaired"
    assert tables.alembic("upgrade", "head").status == 0


@pytest.mark.slow
def test_a_revision_that_alembic_would_not_run_cannot_be_given_as_not_run(tables, database):
    database.stand_at("ab04")
    assert "ab04" in refused(tables, "--not-run", "ab02")["not-run-not-left"]["message"]


DATA = 'op.execute("UPDATE t1 SET id = id + 1")'
CHANGED_BY_HAND = {
    "an index is dropped": ({"ab02": f"op.create_index('ix', 't1', ['id'])\n{DATA}"}, "DROP INDEX ix"),
    "a table before is dropped": ({"ab03": DATA}, "DROP TABLE t2"),
    "a table is renamed": ({"ab02": f"{BODIES['ab02']}\n{DATA}"}, "ALTER TABLE t2 RENAME TO t2_old"),
    "a type is another": (
        {"ab02": f"op.alter_column('t1', 'id', type_=sa.BigInteger())\n{DATA}"},
        "ALTER TABLE t1 ALTER id TYPE numeric",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CHANGED_BY_HAND)
def test_a_change_by_hand_is_no_proof_that_rows_were_not_changed(case, database, tmp_path):
    """Their upgrade would run again."""
    bodies, by_hand = CHANGED_BY_HAND[case]
    tables = standing_at("ab03", {**BODIES, **bodies}, database, tmp_path)
    database.run(by_hand)
    answer = tables.rescue_json("repair", "--yes")
    assert answer["outcome"] != "repaired"
    assert database.versions() == ["ab03"]
    advice = tables.rescue_json("diagnose", "--locate")["databases"][0]["recommendation"]
    assert advice["action"] != "repair"
    assert "--purge" not in advice["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("last", ["pass", DATA])
def test_rows_that_claim_no_more_than_is_possible_are_right(last, database, tmp_path):
    tables = standing_at("ab04", {**BODIES, "ab04": last}, database, tmp_path)
    assert tables.rescue_json("repair", "--yes")["outcome"] == "nothing-to-do"
    advice = tables.rescue_json("diagnose", "--locate")["databases"][0]["recommendation"]
    assert advice["action"] == "nothing"
    rows("'ab04'", "'ab04'")(database)
    assert tables.rescue_json("repair", "--yes")["databases"][0]["heads_after"] == ["ab04"]
    assert database.versions() == ["ab04"]


@pytest.mark.slow
def test_a_repair_killed_in_between_continues_and_says_what_goes_back(tables, database):
    rows("'ab03'", "'ab02'")(database)
    killed_at(tables, 2, "repair", "--yes")
    assert database.versions() == []
    looked = tables.rescue_json("diagnose")["databases"][0]["recommendation"]
    assert (looked["action"], looked["command"]) == ("repair", "alembic-rescue repair")
    sql = tables.rescue_json("undo", "--yes")["refusals"][0]["help"].partition("by hand: ")[2]
    assert sql.count("INSERT") == 2
    assert tables.rescue_json("repair", "--yes")["outcome"] == "repaired"
    assert database.versions() == ["ab03"]


CHANGES = {
    **BODIES,
    "ab04": "op.add_column('t1', sa.Column('x', sa.Integer))",
    "ab05": "op.alter_column('t3', 'id', type_=sa.BigInteger())",
}


@pytest.mark.slow
def test_a_column_that_is_as_before_does_not_come_from_the_revision(database, tmp_path):
    tables = standing_at("ab03", CHANGES, database, tmp_path)
    database.stand_at("ab05")
    assert tables.rescue_json("diagnose", "--locate")["databases"][0]["recommendation"]["action"] == "repair"
    assert tables.rescue_json("repair", "--yes")["databases"][0]["heads_after"] == ["ab03"]
    assert tables.alembic("upgrade", "head").status == 0


@pytest.mark.slow
def test_a_column_that_somebody_changed_differently_is_not(database, tmp_path):
    tables = standing_at("ab03", CHANGES, database, tmp_path)
    database.run("ALTER TABLE t3 ALTER id TYPE numeric")
    database.stand_at("ab05")
    assert list(refused(tables)) == ["repair-would-rerun"]


@pytest.mark.slow
def test_a_diagnosis_that_finds_no_cause_checks_what_counts_as_applied(database, tmp_path):
    """Alembic would run the last one on top of the missing ones."""
    tables = standing_at("ab03", CHANGES, database, tmp_path)
    database.stand_at("ab04")
    part = tables.rescue_json("diagnose")["databases"][0]
    assert "stamped-but-not-there" in [finding["code"] for finding in part["findings"]]
    assert part["recommendation"]["action"] == "stop"
    assert "--locate" in part["recommendation"]["reason"]
