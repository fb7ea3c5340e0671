"""``upgrade`` against sessions that take and release locks, and against a kill at any moment.

Each race is drawn by its seed.  The variable ``RACES`` sets how many there are; 100 by default.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from contextlib import closing, suppress

import psycopg2
import pytest

from tests import servers
from tests.upgrades import ended, rescue_locks, written
from tests.watching import others, until

pytestmark = pytest.mark.slow

RACES = range(int(os.environ.get("RACES", "100")))
KILLS = range(3)
STYLES = {
    "one": "",
    "each": "transaction_per_migration=True",
    "autocommit": "",
}
MODES = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE")
TABLES = ("t0", "t1", "t2", "t3")
AT_R1 = "".join(
    [
        *(f"CREATE TABLE {table} (id int); INSERT INTO {table} VALUES (1);" for table in TABLES),
        "CREATE TABLE ran (revision text); INSERT INTO ran VALUES ('r1')",
    ]
)
CHANGES = {"r1": f"op.execute({AT_R1!r})"} | {
    f"r{n}": f"""
op.add_column('t{n % 4}', sa.Column('c{n}', sa.Integer))
op.execute('UPDATE t{n % 4} SET c{n} = 1')
op.execute("INSERT INTO ran VALUES ('r{n}')")
"""
    for n in range(2, 12)
}
CONCURRENTLY = """
with op.get_context().autocommit_block():
    op.execute('CREATE INDEX CONCURRENTLY ix ON t2 (id)')
"""


def holding(database, stop, mixed, tables):
    """Run a session that repeatedly locks one or two of the tables for a moment, and may write to them."""
    with closing(
        psycopg2.connect(
            host="127.0.0.1", port=database.server.port, dbname=database.name, user=servers.ROLE,
            password=servers.PASSWORD,
        )
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        longest = mixed.choice([0.1, 0.5, 1.2])
        while not stop.wait(mixed.uniform(0, 0.3)):
            with suppress(psycopg2.Error):
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                for table in mixed.sample(tables, mixed.choice([1, 1, 2])):
                    cursor.execute(
                        mixed.choice(
                            [f"LOCK TABLE {table} IN {mixed.choice(MODES)} MODE", f"UPDATE {table} SET id = id"]
                        )
                    )
                    stop.wait(mixed.uniform(0, longest))
                if mixed.random() < 0.5:
                    connection.commit()
            connection.rollback()


def effects(database):
    """Return the revisions whose effects are there, each as often as it ran; fail if one is half there."""
    columns = database.run(
        "SELECT attname FROM pg_attribute WHERE attrelid IN ('t0'::regclass, 't1'::regclass, 't2'::regclass, "
        "'t3'::regclass) AND attname ~ '^c[0-9]+$' AND NOT attisdropped"
    )
    ran = [name for (name,) in database.run("SELECT revision FROM ran")]
    assert sorted(f"r{column[1:]}" for (column,) in columns) == sorted(name for name in ran if name != "r1")
    for (column,) in columns:
        table = f"t{int(column[1:]) % 4}"
        assert database.run(f"SELECT {column} FROM {table}") == [(1,)], f"{column} is not filled"
    return sorted(ran, key=lambda name: int(name[1:]))


def up_to(revision):
    return [f"r{n}" for n in range(1, int(revision[1:]) + 1)]


@pytest.mark.parametrize("seed", RACES)
def test_sessions_that_take_and_release_locks(tmp_path, database, seed):
    mixed = random.Random(seed)
    style = mixed.choice(list(STYLES))
    changes = CHANGES if style != "autocommit" else {**CHANGES, "r6": CONCURRENTLY + CHANGES["r6"]}
    shop = written(tmp_path, database, changes, options=STYLES[style])
    database.run(AT_R1)
    database.stand_at("r1")
    tables = mixed.choice([TABLES, TABLES[:1], ("t2", "t3"), (*TABLES, "ran", "alembic_version")])
    options = ("--lock-timeout", mixed.choice(["0.2", "0.4", "1.5"]), "--retries", mixed.choice(["0", "1", "4"]))
    stop = threading.Event()
    holders = [
        threading.Thread(target=holding, args=(database, stop, random.Random(mixed.random()), tables * 2))
        for _ in range(mixed.randint(1, 4))
    ]
    timer = threading.Timer(mixed.uniform(2, 6), stop.set)
    for one in (*holders, timer):
        one.start()
    try:
        replicas = [shop.started("--scratch", "none", "upgrade", *options) for _ in range(mixed.randint(1, 3))]
        done = [ended(one) for one in replicas]
    finally:
        timer.cancel()
        stop.set()
        for one in holders:
            one.join()
    statuses = {status for status, *_ in done}
    (row,) = database.versions()
    assert effects(database) == up_to(row), done
    if 0 in statuses:
        assert row == "r11", done
    else:
        assert re.search(rf"\bis at {row}\b", "".join(err for *_, err in done)), done
    assert statuses <= {0, 4} or (style == "autocommit" and statuses <= {0, 3, 4}), done
    if row == "r11" and style == "autocommit":
        assert database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass") == [(True,)]
    if style == "one":
        assert "may have been committed" not in "".join(err for *_, err in done), done
    assert rescue_locks(database) == []
    until(lambda: others(database) == [], "no session is left")


@pytest.mark.parametrize("seed", KILLS)
@pytest.mark.parametrize("options", ["", "transaction_per_migration=True"], ids=["one", "each"])
def test_a_kill_at_any_moment(tmp_path, database, seed, options):
    mixed = random.Random(seed)
    sleeping = {name: f"{body}\nop.execute('SELECT pg_sleep(0.05)')" for name, body in CHANGES.items()}
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
    assert effects(database) == up_to("r11")
    until(lambda: rescue_locks(database) == [], "no lock is left")
