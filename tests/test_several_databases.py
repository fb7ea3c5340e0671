"""Several databases or schemas in one env.py: one plan, all or nothing, and a stamp that stops half-way is reported."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable

import pytest
from psycopg2 import errors as pg

import alembic_rescue
from alembic_rescue import errors
from tests import servers
from tests.conftest import Database, ProjectCopy
from tests.watching import until, waiting_for_a_lock
from tests.writing import write_env

TENANTS = ("blue", "green", "red")
ROLE = servers.ROLE


@pytest.fixture
def tenants(project: Callable[..., ProjectCopy], database: Database) -> ProjectCopy:
    """The chain of five in three schemas of one database, each with the tables of aaaa0003, stamped aaaa0001."""
    copied = project("linear", database)
    write_env(
        copied,
        body=f"""
for tenant in {TENANTS!r}:
    with engine.connect() as connection:
        connection.execute(text(f"SET search_path TO {{tenant}}"))
        connection.commit()
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
""",
    )
    for tenant in TENANTS:
        database.run(f"CREATE SCHEMA {tenant}")
    assert copied.alembic("upgrade", "aaaa0003").status == 0
    for tenant in TENANTS:
        database.run(f"UPDATE {tenant}.alembic_version SET version_num = 'aaaa0001'")
    return copied


def rows(project: ProjectCopy) -> dict[str, list[str]]:
    """Return the heads of each tenant."""
    return {tenant: project.database.versions(f"{tenant}.alembic_version") for tenant in TENANTS}


def at(blue: str, green: str, red: str) -> dict[str, list[str]]:
    return {"blue": [blue], "green": [green], "red": [red]}


# --- one plan ----------------------------------------------------------------------------------------------------


def test_one_plan_has_a_part_for_each_and_one_stamp_and_undo_cover_them_all(tenants):
    planned = tenants.rescue_json("plan", "aaaa0003")
    assert planned["outcome"] == "ready"
    assert [part["version_table_found_in"] for part in planned["databases"]] == list(TENANTS)
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")

    ran = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 0, ran.everything
    name = f"{tenants.database.name} at 127.0.0.1:{tenants.database.server.port}"
    blue, green, red = (f"{tenant}.alembic_version" for tenant in TENANTS)
    assert "3 of 3, all alike\n" in ran.stderr
    assert f"Version  {blue}, {green} and {red}: at aaaa0001" in ran.stderr
    tables = f"{blue} in {name}, {green} in {name} and {red} in {name}"
    assert f"Stamped and verified on a new connection: {tables} are at aaaa0003, was at aaaa0001" in ran.stdout
    for tenant in TENANTS:
        assert f"UPDATE {tenant}.alembic_version SET version_num = 'aaaa0001'" in ran.stdout
    assert rows(tenants) == at("aaaa0003", "aaaa0003", "aaaa0003")
    (receipt,) = tenants.receipts
    assert [part["state"] for part in json.loads(receipt.read_text())["parts"]] == ["verified"] * 3
    assert tenants.alembic("current").stdout.count("aaaa0003") == 3

    assert tenants.rescue("undo", "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")
    again = tenants.rescue("undo", "--yes")
    assert again.status == 3
    assert "error[no-receipt]: no receipt of a stamp of" in again.stderr


def test_each_starts_from_its_own_position_and_one_that_is_already_there_is_left(tenants):
    tenants.database.run("UPDATE green.alembic_version SET version_num = 'aaaa0003'")
    tenants.database.run("UPDATE red.alembic_version SET version_num = 'aaaa0002'")
    ran = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 0, ran.everything
    assert ran.stderr.count("1 of 3\n") == 3
    assert "Change   none, it is already at this revision" in ran.stderr
    for change in ("blue.alembic_version in {} is at aaaa0003, was at aaaa0001", ", was at aaaa0002"):
        name = f"{tenants.database.name} at 127.0.0.1:{tenants.database.server.port}"
        assert change.format(name) in ran.stdout
    (receipt,) = tenants.receipts
    parts = json.loads(receipt.read_text())["parts"]
    assert [(part["database"]["version_table_found_in"], part["rows_before"]) for part in parts] == [
        ("blue", ["aaaa0001"]),
        ("red", ["aaaa0002"]),
    ]
    assert tenants.rescue("undo", "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0003", "aaaa0002")


def test_if_one_is_not_ready_none_is_stamped_and_the_refusal_names_it(tenants):
    parcels = 'from alembic import op\nimport sqlalchemy as sa\nrevision, down_revision = "aaaa0003", "aaaa0002"\n'
    parcels += 'def upgrade():\n    op.create_table("parcels", sa.Column("id", sa.Integer, primary_key=True))\n'
    (tenants.root / "alembic" / "versions" / "0003_step_3.py").write_text(parcels)
    for tenant in ("blue", "red"):
        tenants.database.run(f"CREATE TABLE {tenant}.parcels (id serial PRIMARY KEY)")
    ran = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 3
    assert "error[revision-not-applied]: green.alembic_version in" in ran.stderr
    assert "blue.alembic_version in" not in ran.stderr.split("error[")[-1]
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")
    assert tenants.receipts == []


def test_if_all_are_already_there_there_is_nothing_to_do(tenants):
    assert tenants.rescue("stamp", "aaaa0003", "--yes").status == 0
    again = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert again.status == 0
    assert "Nothing to do" in again.stdout
    assert len(tenants.receipts) == 1


def test_of_many_similar_refusals_a_few_are_shown_and_the_json_has_all(tenants):
    many = [f"tenant_{number}" for number in range(7)]
    env = tenants.root / "alembic" / "env.py"
    env.write_text(env.read_text().replace(str(TENANTS), str(tuple(many))))
    for tenant in many:
        tenants.database.run(f"CREATE SCHEMA {tenant}; CREATE TABLE {tenant}.alembic_version (version_num text)")
        tenants.database.run(f"INSERT INTO {tenant}.alembic_version VALUES ('aaaa0005')")
    ran = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 3
    assert ran.stderr.count("error[target-behind-current]") == 5
    assert "and 2 more of target-behind-current. To list all, add `--format json`.\n" in ran.stderr
    assert len(tenants.rescue_json("plan", "aaaa0003")["refusals"]) == 7


# --- one of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("only", ["green", "green.alembic_version"])
def test_only_restricts_to_one_and_leaves_the_rows_of_the_others(tenants, only):
    planned = tenants.rescue("plan", "aaaa0003", "--only", only)
    assert planned.status == 0
    assert f"alembic-rescue stamp aaaa0003 --only {only}" in planned.stdout
    assert tenants.rescue("stamp", "aaaa0003", "--only", only, "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0003", "aaaa0001")
    assert len(tenants.rescue_json("diagnose", "--only", only)["databases"]) == 1
    assert tenants.rescue("undo", "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")


def test_only_accepts_a_part_of_the_url_if_it_is_no_name(tenants):
    with_one = tenants.rescue_json("plan", "aaaa0003", "--only", f":{tenants.database.server.port}/")
    assert with_one["error"]["code"] == "ambiguous-database"
    write_env(tenants, connected='connection.execute(text("SET search_path TO red"))\nconnection.commit()')
    with_one = tenants.rescue_json("plan", "aaaa0003", "--only", f":{tenants.database.server.port}/")
    assert [part["version_table_found_in"] for part in with_one["databases"]] == ["red"]


def test_only_must_match_one(tenants):
    none = tenants.rescue("plan", "aaaa0003", "--only", "yellow")
    assert none.status == 2
    assert "error[no-such-database]: --only yellow matches none of env.py's databases: " in none.stderr
    assert "blue.alembic_version in" in none.stderr
    assert "help: choose one by its database, schema, version table, or part of its URL" in none.stderr
    several = tenants.rescue("stamp", "aaaa0003", "--only", "alembic_version", "--yes")
    assert several.status == 2
    assert "error[ambiguous-database]: --only alembic_version matches 3 of env.py's databases" in (several.stderr)
    assert "help: choose one by its database, schema, version table (schema.table), or more of its URL" in (
        several.stderr
    )
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")


def test_only_is_kept_in_a_sealed_plan(tenants):
    assert tenants.rescue("plan", "aaaa0003", "--only", "red", "--out", "plan.json").status == 0
    ran = tenants.rescue("stamp", "--plan", "plan.json", "--yes")
    assert ran.status == 0, ran.everything
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0003")


@pytest.mark.slow
def test_one_of_several_can_be_undone_alone_and_the_rest_after_it(tenants):
    assert tenants.rescue("stamp", "aaaa0003", "--yes").status == 0
    assert tenants.rescue("undo", "--only", "blue", "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0003", "aaaa0003")
    again = tenants.rescue("undo", tenants.receipts[0].stem, "--only", "blue", "--yes")
    assert again.status == 3
    assert "error[receipt-spent]" in again.stderr
    assert tenants.rescue("undo", "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")


def test_if_one_moved_on_nothing_is_undone_but_the_others_can_be(tenants):
    assert tenants.rescue("stamp", "aaaa0003", "--yes").status == 0
    tenants.database.run("UPDATE red.alembic_version SET version_num = 'aaaa0004'")
    ran = tenants.rescue("undo", "--yes")
    assert ran.status == 3
    assert "error[database-moved-on]: red.alembic_version in" in ran.stderr
    assert rows(tenants) == at("aaaa0003", "aaaa0003", "aaaa0004")
    assert tenants.rescue("undo", "--only", "green", "--yes").status == 0
    assert rows(tenants) == at("aaaa0003", "aaaa0001", "aaaa0004")


def test_url_cannot_replace_several_databases(project, database):
    copied = project("linear", database)
    write_env(
        copied,
        body="""
for name in ("one", "two"):
    with create_engine(f"postgresql+psycopg2://nobody@127.0.0.1:1/{name}").connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
""",
    )
    database.stand_at("aaaa0001")
    ran = copied.rescue("--url", database.url, "plan", "aaaa0002")
    assert ran.status == 2
    assert (
        "error[several-databases]: env.py opens several databases, and --url points each of them to the same rows"
        in (ran.stderr)
    )
    assert "help: omit --url and choose one of env.py's databases with --only" in ran.stderr


# --- half-way ----------------------------------------------------------------------------------------------------


def test_a_failure_half_way_says_which_are_stamped_and_undo_reverts_exactly_those(tenants):
    """A trigger of green's refuses the write: blue is stamped by then, and red is not reached."""
    tenants.database.run(
        "CREATE FUNCTION green.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$; "
        "CREATE TRIGGER refuse BEFORE UPDATE ON green.alembic_version FOR EACH ROW EXECUTE FUNCTION green.refuse()"
    )
    ran = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 5
    assert "error[half-written]: interrupted half-way (" in ran.stderr
    assert "not today" in ran.stderr
    name = f"{tenants.database.name} at 127.0.0.1:{tenants.database.server.port}"
    assert f"written and verified: blue.alembic_version in {name}; " in ran.stderr
    assert f"not written: green.alembic_version in {name} and red.alembic_version in {name}" in ran.stderr
    assert "help: fix the cause and run the same command again" in ran.stderr
    (receipt,) = tenants.receipts
    assert f"undo exactly what was written:\n    alembic-rescue undo {receipt.stem}" in ran.stderr
    assert rows(tenants) == at("aaaa0003", "aaaa0001", "aaaa0001")
    states = [part["state"] for part in json.loads(receipt.read_text())["parts"]]
    assert states == ["verified", "not-written", "not-written"]

    assert tenants.rescue("undo", receipt.stem, "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")


@pytest.mark.slow
def test_after_a_failure_half_way_the_same_command_continues(tenants):
    with tenants.database.session() as somebody:
        somebody.cursor().execute("SELECT * FROM green.alembic_version FOR UPDATE")
        ran = tenants.rescue("stamp", "aaaa0003", "--yes", "--lock-timeout", "0.3")
    assert ran.status == 5
    assert "error[half-written]" in ran.stderr
    assert rows(tenants) == at("aaaa0003", "aaaa0001", "aaaa0001")
    assert tenants.rescue("stamp", "aaaa0003", "--yes").status == 0
    assert rows(tenants) == at("aaaa0003", "aaaa0003", "aaaa0003")


def test_an_env_py_that_swallows_the_failure_of_one_is_not_allowed_to_reach_the_next(tenants):
    env = tenants.root / "alembic" / "env.py"
    lines = env.read_text().split("for tenant in")
    body = "".join(f"    {line}\n" for line in ("for tenant in" + lines[1]).splitlines()[1:])
    loop = ("for tenant in" + lines[1]).splitlines()[0]
    env.write_text(f"{lines[0]}{loop}\n    try:\n{body}    except Exception as error:\n        print(error)\n")
    with tenants.database.session() as somebody:
        somebody.cursor().execute("SELECT * FROM green.alembic_version FOR UPDATE")
        ran = tenants.rescue("stamp", "aaaa0003", "--yes", "--lock-timeout", "0.3")
    assert ran.status == 5
    assert rows(tenants) == at("aaaa0003", "aaaa0001", "aaaa0001")


def test_a_read_only_one_is_detected_before_the_first_is_written(tenants):
    tenants.database.run(f"REVOKE UPDATE ON red.alembic_version FROM {ROLE}")
    ran = tenants.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 4
    assert "error[permission-denied]" in ran.stderr
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")
    with pytest.raises(pg.InsufficientPrivilege):
        tenants.database.run("UPDATE red.alembic_version SET version_num = 'aaaa0003'")


@pytest.mark.parametrize(("planned", "later"), [(3, 2), (2, 3)], ids=["one-less", "one-more"])
def test_for_the_stamp_env_py_must_visit_what_it_visited_for_the_plan(tenants, planned, later, monkeypatch, tmp_path):
    env = tenants.root / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace(
            f"for tenant in {TENANTS}:",
            f"import pathlib\nfor tenant in {TENANTS}[: {later} if pathlib.Path('confirmed').exists() else {planned}]:",
        )
    )
    monkeypatch.chdir(tenants.root)

    def confirm(_):
        (tenants.root / "confirmed").touch()
        return True

    with pytest.raises(errors.DatabaseChanged, match="the plan was made for"):
        alembic_rescue.stamp(alembic_rescue.load(), "aaaa0003", confirm=confirm, folder=tmp_path / "receipts")
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")


@contextlib.contextmanager
def green_held_up(tenants: ProjectCopy):
    """A stamp that has written blue and waits for green's row, which somebody holds."""
    with tenants.database.session() as somebody:
        somebody.cursor().execute("SELECT * FROM green.alembic_version FOR UPDATE")
        running = tenants.started("stamp", "aaaa0003", "--yes", "--lock-timeout", "30")
        try:
            until(lambda: waiting_for_a_lock(tenants.database), "the stamp waits for green")
            assert rows(tenants) == at("aaaa0003", "aaaa0001", "aaaa0001")
            yield running
        finally:
            running.kill()
            running.wait()


def test_ctrl_c_half_way_says_what_was_done(tenants):
    with green_held_up(tenants) as running:
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=20)
    assert running.returncode == 5
    assert "error[half-written]: interrupted half-way (interrupted); written and verified: blue.alembic_version in" in (
        told
    )
    assert tenants.rescue("undo", "--yes").status == 0
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")


@pytest.mark.slow
def test_a_stamp_that_was_killed_half_way_is_undone_exactly(tenants):
    with green_held_up(tenants) as running:
        running.kill()
        (waiting,) = waiting_for_a_lock(tenants.database)
        tenants.database.run(f"SELECT pg_terminate_backend({waiting['pid']}, 5000)", role="postgres")
    states = [part["state"] for part in json.loads(tenants.receipts[0].read_text())["parts"]]
    assert states == ["begun", "begun", "begun"]
    undone = tenants.rescue("undo", "--yes")
    assert undone.status == 0, undone.everything
    assert rows(tenants) == at("aaaa0001", "aaaa0001", "aaaa0001")
    assert "blue.alembic_version" in undone.stdout
    assert "green.alembic_version" not in undone.stdout, "it was never written"
