"""Several ``upgrade`` at once: one runs, the others wait, and another takes over if it is killed."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.pooler import pooling
from tests.upgrades import RESCUE_LOCK, SHOP, SLEEPS, ended, rescue_locks, written
from tests.watching import ServerLog, blocked_by, others, until, waiting_for_a_lock

pytestmark = pytest.mark.slow

TWENTY = {
    f"r{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer)); op.execute('SELECT pg_sleep(0.05)')"
    for n in range(1, 21)
}


def running(database, statement):
    """Return the sessions that run the statement now."""
    return [one for one in others(database) if statement in one["query"] and one["state"] == "active"]


@pytest.mark.parametrize("options", ["", "transaction_per_migration=True"])
def test_eight_replicas_at_once_on_a_chain_of_twenty(tmp_path, database, options):
    shop = written(tmp_path, database, TWENTY, options=options)
    log = ServerLog(database)
    replicas = [shop.started("--format", "json", "upgrade") for _ in range(8)]
    done = [ended(one) for one in replicas]
    assert [status for status, *_ in done] == [0] * 8, done
    assert sorted(json.loads(out)["outcome"] for _, out, _ in done) == ["nothing-to-do"] * 7 + ["upgraded"]
    for n in range(1, 21):
        made = [sql for _, sql in log.statements if sql.startswith(f"CREATE TABLE t{n} ")]
        assert len(made) == 1, f"r{n} ran {len(made)} times"
    assert (database.versions(), rescue_locks(database)) == (["r20"], [])


def test_a_waiting_replica_says_for_whom_and_how_long(tmp_path, database):
    shop = written(tmp_path, database, {"r1": "op.execute('SELECT pg_advisory_xact_lock(42)')"})
    with blocked_by(database, "SELECT pg_advisory_lock(42)") as gate:
        first = shop.started("upgrade", "--lock-timeout", "90")
        until(lambda: running(database, "xact_lock(42)"), "the first runs")
        second = shop.started("upgrade")
        until(lambda: len({one["pid"] for one in others(database)}) >= 4, "the second has asked for the lock")
        time.sleep(2)
        gate.rollback()
        gate.close()
        status, out, err = ended(second)
    assert (status, out[:13]) == (0, "Nothing to do")
    assert "Waiting: another alembic-rescue is running (pid " in err
    assert " from 127.0.0.1)" in err
    assert ended(first)[0] == 0


def test_the_wait_times_out(tmp_path, database):
    shop = written(tmp_path, database)
    with blocked_by(database, f"SELECT pg_advisory_lock({RESCUE_LOCK})"):
        late = shop.rescue("upgrade", "--wait", "1")
        at_once = shop.rescue_json("upgrade", "--wait", "0")
    assert (late.status, database.versions()) == (4, [])
    assert "error[upgrade-wait-timeout]: waited for 1 s: another alembic-rescue is running (pid " in late.stderr
    assert "This one ran nothing" in late.stderr
    assert at_once["error"]["code"] == "upgrade-wait-timeout"


def test_a_stamp_is_refused_during_an_upgrade(tmp_path, database):
    shop = written(tmp_path, database, {**SHOP, "r4": SLEEPS})
    shop.alembic("upgrade", "r3")
    process = shop.started("upgrade")
    until(lambda: running(database, "pg_sleep"), "it runs")
    refused = shop.rescue("--scratch", "none", "stamp", "r4", "--yes", "--accept", "r4")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 130
    assert refused.status == 3
    assert "error[rescue-under-way]" in refused.stderr


def test_create_index_concurrently_does_not_wait_for_waiting_replicas(tmp_path, database):
    """A session that waits for a lock in a statement has a snapshot, so the two would wait for each other."""
    body = """
        with op.get_context().autocommit_block():
            op.execute("SELECT pg_sleep(2)")
            op.execute("CREATE INDEX CONCURRENTLY ix ON t1 (id)")
    """
    shop = written(tmp_path, database, {**SHOP, "r4": body})
    shop.alembic("upgrade", "r3")
    began = time.monotonic()
    replicas = [shop.started("upgrade") for _ in range(4)]
    done = [ended(one) for one in replicas]
    assert [status for status, *_ in done] == [0] * 4, done
    assert time.monotonic() - began < 60
    assert database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass") == [(True,)]


# --- killed ------------------------------------------------------------------------------------------------------

AT = {
    "its statement": ("SELECT pg_sleep(60)", SLEEPS),
    "python": ("", "import time; open('here', 'w').close(); time.sleep(60)"),
    "autocommit": ("SELECT pg_sleep(60)", f"with op.get_context().autocommit_block(): {SLEEPS}"),
}


@pytest.mark.parametrize("at", AT)
def test_another_replica_takes_over_from_a_killed_one(tmp_path, database, at):
    statement, body = AT[at]
    shop = written(
        tmp_path,
        database,
        {
            **SHOP,
            "r4": f"import os\nif os.environ.get('SLOW'): {body.strip()}"
            if at != "autocommit"
            else f"import os\nif os.environ.get('SLOW'):\n    {body}",
        },
    )
    first = shop.started("upgrade", SLOW="1")
    if statement:
        until(lambda: running(database, statement), "the first is at its last statement")
    else:
        until((shop.root / "here").exists, "the first is at its last statement")
    waits = [shop.started("upgrade") for _ in range(2)]
    time.sleep(1.5)
    first.kill()
    first.communicate()
    done = [ended(one) for one in waits]
    assert [status for status, *_ in done] == [0, 0], done
    assert database.versions() == ["r4"]
    assert rescue_locks(database) == []


def test_a_signal_to_a_statement_that_commits_by_itself_promises_no_rollback(tmp_path, database):
    makes = "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY ix ON t1 (id)')"
    shop = written(tmp_path, database, {**SHOP, "r4": makes})
    shop.alembic("upgrade", "r3")
    with blocked_by(database, "INSERT INTO t1 VALUES (1)"):
        process = shop.started("upgrade")
        until(lambda: waiting_for_a_lock(database), "it waits")
        process.send_signal(signal.SIGTERM)
        status, _, err = ended(process)
    assert (status, database.versions()) == (130, ["r3"]), err
    assert "r4 may have been committed in part. Check before you deploy again" in err
    assert "rolled back" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_everything_is_rolled_back_and_the_message_says_so(tmp_path, database, number):
    shop = written(tmp_path, database, {**SHOP, "r4": SLEEPS})
    shop.alembic("upgrade", "r1")
    process = shop.started("upgrade")
    until(lambda: running(database, "pg_sleep"), "it is at its last statement")
    began = time.monotonic()
    process.send_signal(number)
    status, out, err = ended(process)
    assert (status, out, database.versions()) == (130, "", ["r1"])
    assert time.monotonic() - began < 10
    assert "error[interrupted]: interrupted: " in err
    assert "is at r1, as before" in err
    assert "help: everything was rolled back: deploy again" in err
    assert rescue_locks(database) == []
    assert running(database, "pg_sleep") == []


def test_after_a_signal_with_a_transaction_per_migration_the_message_says_how_far_it_got(tmp_path, database):
    shop = written(tmp_path, database, {**SHOP, "r4": SLEEPS}, options="transaction_per_migration=True")
    shop.alembic("upgrade", "r1")
    process = shop.started("--format", "json", "upgrade")
    until(lambda: running(database, "pg_sleep"), "it is at its last statement")
    process.send_signal(signal.SIGTERM)
    status, out, _ = ended(process)
    assert status == 130
    told = json.loads(out)["error"]
    assert "is at r3; it was at r1" in told["message"]
    assert told["help"].startswith("the revisions up to r3 are kept, and the rest was rolled back: deploy again")
    assert database.versions() == ["r3"]


def test_a_signal_during_the_wait(tmp_path, database):
    shop = written(tmp_path, database)
    with blocked_by(database, f"SELECT pg_advisory_lock({RESCUE_LOCK})"):
        process = shop.started("upgrade")
        until(lambda: "alembic-rescue" in [one["application_name"] for one in others(database)], "it waits")
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        status, _, err = ended(process)
    assert status == 130
    assert "nothing was written" in err


def test_the_worker_dies(tmp_path, database):
    shop = written(tmp_path, database, {**SHOP, "r4": "import os; os._exit(7)"})
    shop.alembic("upgrade", "r1")
    died = shop.rescue("upgrade")
    assert (died.status, database.versions()) == (4, ["r1"])
    assert "error[worker-died]" in died.stderr
    assert "is at r1, as before" in died.stderr
    assert "Everything was rolled back: deploy again. If a revision commits by itself, check first:" in died.stderr


# --- a pooler ----------------------------------------------------------------------------------------------------


def test_behind_a_pooler_it_warns_and_upgrades_still_run_one_at_a_time(tmp_path, database):
    with pooling(database.server) as pooler:
        behind = database.url.replace(f":{database.server.port}/", f":{pooler.port}/")
        shop = written(tmp_path, database, TWENTY, url=behind)
        replicas = [shop.started("upgrade") for _ in range(3)]
        done = [ended(one) for one in replicas]
    assert [status for status, *_ in done] == [0] * 3, done
    assert sum("warning[upgrade-behind-a-pooler]" in err for *_, err in done) >= 1
    assert database.versions() == ["r20"]


def test_behind_a_pooler_the_lock_timeout_applies_but_stays_in_no_session(tmp_path, database):
    with pooling(database.server) as pooler:
        behind = database.url.replace(f":{database.server.port}/", f":{pooler.port}/")
        shop = written(
            tmp_path, database, {**SHOP, "r4": "op.add_column('t1', sa.Column('name', sa.Text))"}, url=behind
        )
        shop.alembic("upgrade", "r3")
        with blocked_by(database, "SELECT * FROM t1") as other:
            process = shop.started("--scratch", "none", "upgrade", "--lock-timeout", "0.5")
            until(lambda: waiting_for_a_lock(database), "it waits")
            until(lambda: not waiting_for_a_lock(database), "it gave up")
            other.rollback()
            status, _, err = ended(process)
    assert (status, database.versions()) == (0, ["r4"]), err
    assert "Trying again" in err


@pytest.mark.parametrize(
    ("lock_url", "code", "told"),
    [
        ("no url", "bad-url", "the URL given with --lock-url cannot be used: it is not a URL"),
        ("sqlite:////tmp/other.db", "lock-url-elsewhere", "--lock-url leads to"),
    ],
)
def test_a_lock_url_that_cannot_be_the_same_database(tmp_path, database, lock_url, code, told):
    failed = written(tmp_path, database).rescue("upgrade", ALEMBIC_RESCUE_LOCK_URL=lock_url)
    assert failed.status == 2, failed.everything
    assert f"error[{code}]: {told}" in failed.stderr
    assert database.run("SELECT to_regclass('t1')") == [(None,)], "nothing was run"


def test_lock_url_bypasses_the_pooler_but_must_lead_to_the_same_database(tmp_path, database, scratch):
    with pooling(database.server) as pooler:
        behind = database.url.replace(f":{database.server.port}/", f":{pooler.port}/")
        shop = written(tmp_path, database, url=behind)
        elsewhere = shop.rescue("upgrade", ALEMBIC_RESCUE_LOCK_URL=scratch.url)
        past = shop.rescue("upgrade", ALEMBIC_RESCUE_LOCK_URL=database.url)
    assert elsewhere.status == 2, elsewhere.everything
    assert "error[lock-url-elsewhere]" in elsewhere.stderr
    assert (past.status, database.versions()) == (0, ["r3"]), past.everything
    assert "pooler" not in past.everything
