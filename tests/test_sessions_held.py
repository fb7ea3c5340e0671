"""An inspection is read-only however env.py opens its session; a session that is not is reported (promise 1)."""

from __future__ import annotations

import time

import pytest

from tests.drivers import url_of
from tests.pooler import pooling
from tests.servers import PASSWORD, ROLE
from tests.terminal import at_a_terminal
from tests.watching import VERSION_TABLE, ServerLog

ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, event, pool, text
from sqlalchemy.pool import Pool
URL = {url!r}
OWN = {own!r}
SQL = "INSERT INTO trace VALUES ('{way}')"

def write(dbapi_connection):
    try:
        cursor = dbapi_connection.cursor()
        cursor.execute(SQL)
        dbapi_connection.commit()
    except Exception as error:
        print("held:", error)
        dbapi_connection.rollback()

{before}
engine = create_engine(URL, poolclass=pool.NullPool{options})
{then}
with engine.connect() as connection:
    {within}
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

WAYS = {
    "raw_connection": {"then": "raw = engine.raw_connection(); write(raw); raw.close()"},
    "connect_listener": {"then": "event.listen(engine, 'connect', lambda c, r: write(c))"},
    "first_connect_listener": {"then": "event.listen(engine, 'first_connect', lambda c, r: write(c))"},
    "checkout_listener": {"then": "event.listen(engine, 'checkout', lambda c, r, p: write(c))"},
    "listener_of_all_pools": {"before": "event.listen(Pool, 'connect', lambda c, r: write(c))"},
    "creator": {
        "before": "import psycopg2",
        "options": ", creator=lambda: psycopg2.connect(**OWN)",
        "then": "event.listen(engine, 'connect', lambda c, r: write(c))",
    },
    "readonly_false": {
        "within": "connection = connection.execution_options(postgresql_readonly=False); write(connection.connection)",
    },
    "readonly_false_of_the_engine": {
        "options": ", execution_options={'postgresql_readonly': False}",
        "within": "write(connection.connection)",
    },
    "psycopg2_by_itself": {"before": "import psycopg2\nwrite(psycopg2.connect(**OWN))"},
    "psycopg_by_itself": {
        "before": "import psycopg\nOWN['dbname'] = OWN.pop('database')\nwrite(psycopg.connect(**OWN))"
    },
    "pg8000_by_itself": {"before": "import pg8000.dbapi\nwrite(pg8000.dbapi.connect(**OWN))"},
    "asyncpg_by_itself": {
        "before": "import asyncio, asyncpg\n"
        "async def insert():\n"
        "    connection = await asyncpg.connect(**OWN)\n"
        "    try:\n"
        "        await connection.execute(SQL)\n"
        "    except asyncpg.ReadOnlySQLTransactionError:\n"
        "        await connection.close()\n"
        "asyncio.run(insert())",
    },
    "an_earlier_pool": {
        "before": "import builtins\n"
        "engine = builtins.__dict__.setdefault('kept', create_engine(URL))\n"
        "raw = engine.raw_connection(); write(raw); raw.close()",
    },
}


def own(database, port=None):
    return {
        "host": "127.0.0.1",
        "port": port or database.server.port,
        "user": ROLE,
        "password": PASSWORD,
        "database": database.name,
    }


@pytest.fixture
def linear(project, database):
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001'); CREATE TABLE trace (way text)")
    return project("linear", database)


def env_py(linear, way, **parts):
    given = {"before": "", "options": "", "then": "", "within": "", "url": "", "own": own(linear.database), "way": way}
    given |= {"url": url_of(linear.database, parts.pop("driver", "postgresql+psycopg2"))}
    (linear.root / "alembic" / "env.py").write_text(ENV.format(**{**given, **parts}))


def traces(database):
    return sorted(way for (way,) in database.run("SELECT way FROM trace"))


def refused(log):
    return [message.text for message in log.messages if "read-only transaction" in message.text]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_open_a_session_is_read_only(way, linear, database):
    env_py(linear, way, **WAYS[way])
    log = ServerLog(database)
    looked = linear.rescue("diagnose")
    assert looked.status == 0, looked.everything
    assert traces(database) == []
    assert refused(log), "it tried, and the server refused"
    assert "not accept writes" not in looked.everything, "that is the look's own doing"
    assert linear.alembic("current").status == 0
    assert traces(database), "else nothing is tested"


@pytest.mark.parametrize("driver", ["psycopg", "pg8000"])
def test_that_is_so_with_each_driver(driver, linear, database):
    env_py(linear, driver, driver=f"postgresql+{driver}", **WAYS["connect_listener"])
    log = ServerLog(database)
    looked = linear.rescue("diagnose")
    assert looked.status == 0, looked.everything
    assert traces(database) == []
    assert refused(log)


@pytest.mark.parametrize("way", ["creator", "psycopg2_by_itself", "pg8000_by_itself", "readonly_false_of_the_engine"])
def test_a_stamp_is_not_restricted_by_it(way, linear, database):
    env_py(linear, way, **{**WAYS[way], "then": ""})
    stamped = linear.rescue("stamp", "aaaa0002", "--yes", "--accept", "aaaa0002")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["aaaa0002"]


LETS_GO = {
    "look-wrote": (
        "connection.execute(text('SET TRANSACTION READ WRITE')); connection.execute(text(SQL)); connection.commit()"
    ),
    "look-not-held": (
        "write(connection.connection); cursor = connection.connection.cursor();"
        " cursor.execute('SET default_transaction_read_only = off'); connection.connection.commit();"
        " write(connection.connection)"
    ),
}


@pytest.mark.parametrize("code", LETS_GO)
def test_a_session_that_cannot_be_made_read_only_is_reported(code, linear, database):
    env_py(linear, code, within=LETS_GO[code])
    looked = linear.rescue_json("diagnose")
    codes = [finding["code"] for finding in looked["databases"][0]["findings"]]
    assert traces(database), "this cannot be held"
    assert code in codes, looked


def test_a_directly_used_driver_still_connects_through_a_pooler_that_takes_no_options(linear, database):
    before = "import psycopg2\nwrite(psycopg2.connect(**OWN))"
    with pooling(database.server, takes_options=False) as pooler:
        url = f"postgresql+psycopg2://{ROLE}@127.0.0.1:{pooler.port}/{database.name}"
        env_py(linear, "pooled", url=url, own=own(database, pooler.port), before=before)
        looked = linear.rescue("diagnose")
    assert looked.status == 0, looked.everything
    assert "behind-a-pooler" in looked.stdout or "pooler" in looked.stdout


THREAD = """import threading, time, atexit
def beat():
    own = create_engine(URL, poolclass=pool.NullPool)
    while True:
        time.sleep(0.2)
        with own.connect() as c:
            write(c.connection)
threading.Thread(target=beat).start()
atexit.register(lambda: write(create_engine(URL).raw_connection()))
"""


def test_what_env_py_leaves_running_writes_nothing_and_delays_nobody(linear, database):
    env_py(linear, "left running", before=THREAD)
    log = ServerLog(database)
    with at_a_terminal(linear, "stamp", "aaaa0002", "--accept", "aaaa0002") as terminal:
        terminal.wait_for("[y/N]")
        time.sleep(1)
        terminal.type("n\r")
        assert terminal.end() == 3
    assert refused(log), "it tried"
    time.sleep(0.5)
    assert traces(database) == []
