"""Many rescues at once, races against an upgrade, and a server that stops: nothing is lost, each status is true."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from alembic_rescue import RescueError, load, stamp
from tests.conftest import ProjectCopy, own_shop

pytestmark = pytest.mark.slow

LINE = ["aaaa0001", "aaaa0002", "aaaa0003", "aaaa0004", "aaaa0005"]
KEEPS_A_LOG = """
    CREATE TABLE log (number serial, before text, after text);
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO log (before, after) VALUES (OLD.version_num, NEW.version_num); RETURN NEW;
    END $$;
    CREATE TRIGGER keep AFTER UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION keep()
"""
UNTOUCHED = {3, 4}
"""Exit statuses that mean: nothing was written."""


@pytest.fixture(autouse=True)
def _no_other_database_is_named(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


def logged(database) -> list[tuple[str, str]]:
    return database.run("SELECT before, after FROM log ORDER BY number")


def stand_at_the_first(database):
    database.stand_at("aaaa0001")
    database.run("DROP TABLE IF EXISTS log; DROP TRIGGER IF EXISTS keep ON alembic_version;"
                 "DROP FUNCTION IF EXISTS keep();" + KEEPS_A_LOG)  # fmt: skip


def check_forward(database):
    """Check that each change continues from the previous one, forward; and that the table has the last one's end."""
    at = "aaaa0001"
    for before, after in logged(database):
        assert before == at
        assert LINE.index(after) > LINE.index(before)
        at = after
    assert database.versions() == [at]


@pytest.fixture
def linear(project, database) -> ProjectCopy:
    """Five revisions in a line, at the first, with the chain's effects in the cache."""
    stand_at_the_first(database)
    copy = project("linear", database)
    assert copy.rescue("plan", "head").status == 0
    return copy


@pytest.mark.parametrize("targets", [["aaaa0003"], LINE[1:]], ids=["one-target", "several-targets"])
def test_each_of_fifty_at_once_reports_truly_what_it_did(linear, targets):
    with ThreadPoolExecutor(8) as several:
        asked = [targets[number % len(targets)] for number in range(50)]
        ran = list(several.map(lambda target: linear.rescue_json("stamp", target, "--yes"), asked))
    check_forward(linear.database)
    outcomes = Counter(answer["outcome"] for answer in ran)
    assert outcomes["stamped"] == len(logged(linear.database)) >= 1
    assert outcomes["stamped"] + outcomes["refused"] + outcomes["nothing-to-do"] == 50, outcomes
    states = Counter(json.loads(path.read_text())["state"] for path in linear.receipts)
    assert states["verified"] == outcomes["stamped"]


def stamped(loaded, target, folder) -> tuple[int, str]:
    """Return the exit status that the command would have, and what it would print."""
    try:
        return 0, stamp(loaded, target, confirm=lambda _: True, folder=folder).outcome.value
    except RescueError as error:
        return error.exit_status, f"{error.message} {error.help}"


def test_a_hundred_races_against_an_upgrade_lose_nothing(linear, tmp_path):
    chosen = random.Random(9)
    told = Counter()
    loaded = load(str(linear.root / "alembic.ini"))
    for _ in range(100):
        stand_at_the_first(linear.database)
        target = chosen.choice(LINE[1:])
        with ThreadPoolExecutor(1) as beside:
            upgrading = beside.submit(linear.alembic, "upgrade", "head")
            time.sleep(chosen.random())
            status, said = stamped(loaded, target, tmp_path)
            upgrade = upgrading.result()
        check_forward(linear.database)
        written = [step for step in logged(linear.database) if LINE.index(step[1]) - LINE.index(step[0]) > 1]
        if said == "stamped":
            assert written in ([], [("aaaa0001", target)]), "an upgrade goes one revision at a time"
        if status in UNTOUCHED:
            assert not written
        if status == 5:  # the upgrade continued before the rows were read back
            assert written == [("aaaa0001", target)] or target == "aaaa0002"
            assert "another session continued from there" in said
            assert "by hand" not in said, "it would undo what the upgrade did"
        assert status in {0, 5, *UNTOUCHED}, said
        assert upgrade.status == 0 or "expected to match one row" in upgrade.stderr, upgrade.stderr
        told[said if status == 0 else status] += 1
    assert len(told) > 1, told


@pytest.fixture
def shop():
    """On a server that may be stopped."""
    with own_shop() as database:
        yield database


def test_a_server_that_stops_at_any_moment_leaves_one_end_or_the_other_and_a_true_status(project, shop):
    linear = project("linear", shop)
    chosen = random.Random(9)
    told = Counter()
    shop.stand_at("aaaa0001")
    assert linear.rescue("plan", "head").status == 0
    for _ in range(20):
        shop.stand_at("aaaa0001")
        stamp = linear.started("stamp", "aaaa0003", "--yes")
        time.sleep(0.3 + chosen.random())
        shop.server.stop("immediate")
        out, said = stamp.communicate(timeout=120)
        shop.server.start()
        rows = shop.versions()
        assert rows in (["aaaa0001"], ["aaaa0003"])
        if stamp.returncode == 0:
            assert (rows, "Stamped and verified" in out) == (["aaaa0003"], True)
        elif stamp.returncode == 4:
            assert rows == ["aaaa0001"], said
        else:
            assert stamp.returncode == 5, said
        told[stamp.returncode] += 1
    assert told[4], told
