"""Through the Python API the tool disturbs nothing in the process that calls it (promise 10)."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine

from alembic_rescue import diagnose, load, plan, stamp, undo
from tests.conftest import fresh_database
from tests.watching import until
from tests.writing import write_env

pytestmark = pytest.mark.slow

SECONDS = 10
RUDE = """
import asyncio, logging, os, signal, sys, warnings
from logging.config import fileConfig
logging.disable(logging.CRITICAL)
logging.getLogger("host").disabled = True
logging.getLogger().handlers.clear()
sys.path.insert(0, "/nowhere")
os.chdir("/")
os.environ["RUDE"] = "1"
os.umask(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
warnings.simplefilter("error")
asyncio.set_event_loop(asyncio.new_event_loop())
sys.setrecursionlimit(5000)
print("rude")
"""


@pytest.fixture(autouse=True)
def _no_other_database_is_named(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture
def host(server):
    """The calling process's database, which is not the one being rescued."""
    with fresh_database(server) as database:
        database.run("CREATE TABLE done (number int)")
        yield database


class Busy:
    """The host's own threads, at work on its own database; collects what went wrong with them."""

    def __init__(self, database, threads=4):
        self.wrong: list[str] = []
        self.statements = 0
        self._database, self._ended = database, threading.Event()
        self._engine = create_engine(database.url, pool_size=threads)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def _work(self):
        while not self._ended.is_set():
            try:
                with self._engine.connect() as connection, connection.begin() as transaction:
                    (where,) = connection.execute(text("SELECT current_database()")).one()
                    if where != self._database.name:
                        self.wrong.append(f"led to {where}")
                    connection.execute(text("INSERT INTO done VALUES (1)"))
                    transaction.rollback()
                self.statements += 2
            except Exception as error:  # noqa: BLE001 - this is what the test checks
                self.wrong.append(str(error).splitlines()[0])

    @contextmanager
    def working(self):
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()
            self._engine.dispose()


def state():
    """What must not change in the process."""
    loggers = {
        name: (logger.level, tuple(logger.handlers), logger.disabled, logger.propagate)
        for name, logger in [("", logging.getLogger()), ("host", logging.getLogger("host"))]
    }
    mask = os.umask(0o022)
    os.umask(mask)
    return {
        "loggers": loggers,
        "disabled": logging.root.manager.disable,
        "path": list(sys.path),
        "argv": list(sys.argv),
        "handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "wakeup": signal.set_wakeup_fd(-1),
        "folder": Path.cwd(),
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
        "shows": warnings.showwarning,
        "streams": (sys.stdout, sys.stderr),
        "recursion": sys.getrecursionlimit(),
        "mask": mask,
        "switch": sys.getswitchinterval(),
        "class-level events": [name for name in dir(Engine.dispatch) if not name.startswith("_")],
        "threads": {thread.name for thread in threading.enumerate()} - {"worker-output"},
    }


def everything(linear, url, folder):
    """Run everything that the API does, once, and end at the initial state."""
    project = load(str(linear.root / "alembic.ini"), url=url)
    diagnose(project, folder=folder)
    plan(project, "aaaa0003", folder=folder)
    stamp(project, "aaaa0003", confirm=lambda _: True, folder=folder)
    undo(project, confirm=lambda _: True, folder=folder)


def test_the_hosts_threads_are_undisturbed_whatever_the_tool_does(project, database, host, tmp_path):
    database.stand_at("aaaa0001")
    linear = project("linear", host)  # env.py connects to the host's database: --url names another
    with Busy(host).working() as busy:
        until_then = time.monotonic() + SECONDS
        while time.monotonic() < until_then:
            everything(linear, database.url, tmp_path)
    assert busy.wrong == []
    assert busy.statements > 100
    assert host.run("SELECT count(*) FROM done") == [(0,)], "the host's rollbacks roll back"
    assert database.versions() == ["aaaa0001"]


def test_the_process_is_unchanged_afterwards_and_gets_its_warnings_meanwhile(project, database, tmp_path, capfd):
    database.stand_at("aaaa0001")
    linear = project("linear", database)
    write_env(linear, first=RUDE)
    heard: list[str] = []
    seen: list[object] = []
    ended = threading.Event()

    def warn():
        while not ended.is_set():
            with warnings.catch_warnings():  # only those of this thread's kind
                warnings.warn("the host's", UserWarning, stacklevel=1)
            seen.append(logging.getLogger("host").disabled)
            time.sleep(0.001)

    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = lambda message, *_, **__: heard.append(str(message))
    before = state()
    thread = threading.Thread(target=warn)
    thread.start()
    try:
        everything(linear, None, tmp_path)
    finally:
        ended.set()
        thread.join()
    assert state() == before
    assert len(heard) == len(seen), "each warning is heard"
    assert not any(seen)
    assert "rude" not in capfd.readouterr().out


def test_a_running_event_loop_is_left_alone(project, database, tmp_path):
    database.stand_at("aaaa0001")
    linear = project("linear", database)
    write_env(linear, first=RUDE)

    async def within():
        loop = asyncio.get_running_loop()
        everything(linear, None, tmp_path)
        return asyncio.get_running_loop() is loop and asyncio.all_tasks() == {asyncio.current_task()}

    assert asyncio.run(within())


def test_the_hosts_own_listeners_hear_nothing_of_the_tool(project, database, tmp_path):
    database.stand_at("aaaa0001")
    linear = project("linear", database)
    heard: list[object] = []

    def hear(*given):
        heard.append(given)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        everything(linear, None, tmp_path)
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    assert heard == []


def test_calls_in_two_threads_wait_for_one_another(project, database, tmp_path):
    database.stand_at("aaaa0001")
    shared = load(str(project("linear", database).root / "alembic.ini"))
    answers: list[object] = []

    def ask():
        for _ in range(3):
            report = plan(shared, "aaaa0003", folder=tmp_path)
            answers.append((report.outcome, report.fingerprint))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert len(set(answers)) == 1


def test_several_projects_in_several_threads_use_their_own_databases(project, server, tmp_path):
    wrong: list[str] = []

    def one(number):
        with fresh_database(server) as database:
            database.stand_at("aaaa0001")
            folder = tmp_path / str(number)
            loaded = load(str(linear.root / "alembic.ini"), url=database.url)
            stamp(loaded, "aaaa0003", confirm=lambda _: True, folder=folder)
            if database.versions() != ["aaaa0003"]:
                wrong.append(database.name)

    linear = project("linear")
    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_that_the_tool_started_stays(project, database, tmp_path):
    database.stand_at("aaaa0001")
    linear = project("linear", database)
    before = threading.active_count()
    everything(linear, None, tmp_path)
    gc.collect()
    until(lambda: threading.active_count() <= before, "the threads of the worker have ended")
