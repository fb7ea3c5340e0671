"""``upgrade`` against sessions that take and release locks, and against a kill at any moment.

The variable ``RACES`` sets how often each test runs; 3 by default.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import closing, suppress

import psycopg2
import pytest

from tests import servers
from tests.upgrades import ended, rescue_locks, written
from tests.watching import until

pytestmark = pytest.mark.slow

RACES = range(int(os.environ.get("RACES", "3")))
CHANGES = {"r1": "\n".join(f"op.create_table('t{n}', sa.Column('id', sa.Integer))" for n in range(4))} | {
    f"r{n}": f"op.add_column('t{n % 4}', sa.Column('c{n}', sa.Integer)); op.execute('UPDATE t{n % 4} SET c{n} = 1')"
    for n in range(2, 12)
}


def holding(database, stop, mixed):
    """Run a session that repeatedly locks one of the tables for a moment."""
    with closing(
        psycopg2.connect(
            host="127.0.0.1", port=database.server.port, dbname=database.name, user=servers.ROLE,
            password=servers.PASSWORD,
        )
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        while not stop.wait(mixed.uniform(0, 0.3)):
            with suppress(psycopg2.Error):
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                cursor.execute(f"SELECT * FROM t{mixed.randrange(4)} LIMIT 1")
                stop.wait(mixed.uniform(0, 0.9))
            connection.rollback()


@pytest.mark.parametrize("seed", RACES)
def test_sessions_that_take_and_release_locks(tmp_path, database, seed):
    mixed = random.Random(seed)
    shop = written(tmp_path, database, CHANGES)
    shop.alembic("upgrade", "r1")
    stop = threading.Event()
    holders = [threading.Thread(target=holding, args=(database, stop, random.Random(mixed.random()))) for _ in range(2)]
    for one in holders:
        one.start()
    try:
        options = ("--scratch", "none", "upgrade", "--lock-timeout", "0.4", "--retries", str(mixed.choice([0, 3, 8])))
        replicas = [shop.started(*options[:2], *options[2:]) for _ in range(2)]
        done = [ended(one) for one in replicas]
    finally:
        stop.set()
        for one in holders:
            one.join()
    statuses = {status for status, *_ in done}
    assert statuses <= {0, 4}, done
    assert database.versions() == (["r11"] if 0 in statuses else ["r1"]), done
    if statuses == {4}:
        assert all("is at r1, as before" in err for *_, err in done), done
    assert rescue_locks(database) == []


@pytest.mark.parametrize("seed", RACES)
@pytest.mark.parametrize("options", ["", "transaction_per_migration=True"], ids=["one", "each"])
def test_a_kill_at_any_moment(tmp_path, database, seed, options):
    mixed = random.Random(seed)
    sleeping = {name: f"{body}; op.execute('SELECT pg_sleep(0.05)')" for name, body in CHANGES.items()}
    shop = written(tmp_path, database, sleeping, options=options)
    first = shop.started("upgrade")
    second = shop.started("upgrade")
    until(lambda: rescue_locks(database), "one is at work")
    time.sleep(mixed.uniform(0, 2.5))
    victim, other = (first, second) if mixed.random() < 0.5 else (second, first)
    victim.kill()
    victim.communicate()
    status, _, err = ended(other)
    assert (status, database.versions()) == (0, ["r11"]), err
    until(lambda: rescue_locks(database) == [], "no lock is left")
