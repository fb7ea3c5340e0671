"""``upgrade`` behind a connection pooler in transaction mode, with and without ``--lock-url``."""

from __future__ import annotations

import time

import pytest

from tests.pooler import pooling
from tests.upgrades import ended, rescue_locks, written
from tests.watching import ServerLog, blocked_by, others, until, waiting_for_a_lock

pytestmark = pytest.mark.slow

CHANGES = {
    "r1": "op.create_table('t', sa.Column('id', sa.Integer)); op.create_table('ran', sa.Column('id', sa.Integer))",
    **{f"r{n}": f"op.execute('INSERT INTO ran VALUES ({n}); SELECT pg_sleep(0.1)')" for n in range(2, 8)},
}
SLEEPS = "op.execute('SELECT pg_sleep(8)')"
ADDS = "op.add_column('t', sa.Column('name', sa.Text))"
HARMLESS = ("SET LOCAL ", "SET TRANSACTION ", "SET SESSION AUTHORIZATION ")
"""They end with the transaction; the last is this test's own."""
DIRECT = pytest.mark.parametrize("direct", [False, True], ids=["pooled", "--lock-url"])


@pytest.fixture
def pooler(database):
    with pooling(database.server) as pooler:
        yield pooler


@pytest.fixture
def behind(tmp_path, database, pooler):
    """Write a project behind the pooler."""
    url = database.url.replace(f":{database.server.port}/", f":{pooler.port}/")
    return lambda bodies=CHANGES, **more: written(tmp_path, database, bodies, url=url, **more)


def lock_url(database, direct):
    return {"ALEMBIC_RESCUE_LOCK_URL": database.url} if direct else {}


def ran(database):
    return sorted(number for (number,) in database.run("SELECT id FROM ran"))


def nothing_left(database, log):
    """Fail if a server session that the pooler keeps is set up for the tool."""
    until(lambda: rescue_locks(database) == [], "no lock is left")
    until(lambda: {one["state"] for one in others(database)} <= {"idle"}, "no transaction is left")
    assert "alembic-rescue" not in {one["application_name"] for one in others(database)}
    kept = {one["pid"] for one in others(database)}
    told = [sql for pid, sql in log.statements if pid in kept and not sql.startswith(HARMLESS)]
    assert not [sql for sql in told if sql.startswith("SET ")]
    assert not [sql for sql in told if "set_config(" in sql and "false" in sql]


@pytest.mark.parametrize("direct", [(False, False), (True, True), (True, False)], ids=["pooled", "--lock-url", "mixed"])
@pytest.mark.parametrize("options", ["", "transaction_per_migration=True"], ids=["one", "each"])
def test_two_replicas_at_once(database, behind, direct, options):
    log, shop = ServerLog(database), behind(options=options)
    replicas = [shop.started("upgrade", **lock_url(database, one)) for one in direct]
    done = [ended(one) for one in replicas]
    assert [status for status, *_ in done] == [0, 0], done
    assert sorted(out[:8] for _, out, _ in done) == ["Nothing ", "Upgraded"]
    assert (database.versions(), ran(database)) == (["r7"], [2, 3, 4, 5, 6, 7])
    nothing_left(database, log)


@DIRECT
@pytest.mark.parametrize("fails", [False, True], ids=["ends well", "fails for a lock"])
def test_the_connection_of_the_lock_is_lost(database, behind, direct, fails):
    """The run goes on, with a warning; but it is not retried, since it is not alone any more."""
    shop = behind({**CHANGES, "r8": f"{SLEEPS}\n{ADDS if fails else ''}"})
    shop.alembic("upgrade", "r7")
    process = shop.started("--scratch", "none", "upgrade", "--lock-timeout", "0.5", **lock_url(database, direct))
    until(lambda: [one for one in others(database) if "pg_sleep" in one["query"]], "it runs")
    (holder,) = rescue_locks(database, "ExclusiveLock")
    database.run(f"SELECT pg_terminate_backend({holder})", role="postgres")
    with blocked_by(database, "SELECT * FROM t"):
        status, out, err = ended(process)
    if fails:
        assert (status, database.versions()) == (4, ["r7"]), err
        assert "Trying again" not in err
        assert "is at r7, as before" in err
    else:
        assert (status, database.versions()) == (0, ["r8"]), err
        assert "warning[upgrade-lock-lost]" in out + err
    assert rescue_locks(database) == []


@DIRECT
def test_another_replica_takes_over_from_a_killed_one(database, behind, direct):
    shop = behind({**CHANGES, "r8": "import os\nif os.environ.get('SLOW'): " + SLEEPS})
    first = shop.started("upgrade", SLOW="1", **lock_url(database, direct))
    until(lambda: [one for one in others(database) if "pg_sleep(8)" in one["query"]], "the first is at its last one")
    second = shop.started("upgrade", **lock_url(database, direct))
    time.sleep(1)
    first.kill()
    first.communicate()
    status, _, err = ended(second)
    assert (status, database.versions(), ran(database)) == (0, ["r8"], [2, 3, 4, 5, 6, 7]), err
    assert "Waiting: a session of a stopped upgrade is still running" in err, "the server runs its statement to the end"
    until(lambda: rescue_locks(database) == [], "no lock is left")


@DIRECT
def test_a_retry(database, behind, direct):
    log, shop = ServerLog(database), behind({**CHANGES, "r8": ADDS})
    shop.alembic("upgrade", "r1")
    with blocked_by(database, "SELECT * FROM t") as other:
        process = shop.started("--scratch", "none", "upgrade", "--lock-timeout", "0.5", **lock_url(database, direct))
        until(lambda: waiting_for_a_lock(database), "it waits")
        until(lambda: not waiting_for_a_lock(database), "it gave up")
        other.rollback()
        status, _, err = ended(process)
    assert (status, database.versions(), ran(database)) == (0, ["r8"], [2, 3, 4, 5, 6, 7]), err
    assert "Trying again" in err
    nothing_left(database, log)


@DIRECT
def test_a_concurrent_statement(database, behind, direct):
    """Even if the server's own lock timeout is the tool's, no setting stays with the pooler's sessions."""
    concurrently = "op.execute('CREATE INDEX CONCURRENTLY ix ON t (id)')"
    shop = behind({**CHANGES, "r8": f"with op.get_context().autocommit_block(): {concurrently}"})
    database.run(f"ALTER DATABASE {database.name} SET lock_timeout = '5s'", role="postgres")
    log = ServerLog(database)
    status = shop.rescue("upgrade", **lock_url(database, direct))
    assert (status.status, database.versions()) == (0, ["r8"]), status.everything
    assert database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass") == [(True,)]
    nothing_left(database, log)
