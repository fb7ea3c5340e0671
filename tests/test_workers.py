"""env.py runs in separate processes: what they receive, how they end, and what of them reaches the caller."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import pytest

from alembic_rescue import errors
from alembic_rescue.client import load, looking
from alembic_rescue.evidence.observation import CatalogObject, Change, Observation
from alembic_rescue.model import Outcome, Stamp
from alembic_rescue.project.below import Found
from alembic_rescue.redact import Secrets
from alembic_rescue.worker import values
from alembic_rescue.worker.process import Worker
from alembic_rescue.worker.protocol import Channel, Ended
from alembic_rescue.worker.requests import Tally, Written

ORDERS = CatalogObject("table", "public.orders")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        1.5,
        (1, ("a", ())),
        {"a": (1, None)},
        {("a", "b"): Tally(sent=1)},
        frozenset(["b", "a"]),
        Path("/srv/shop"),
        datetime(2026, 11, 26, tzinfo=timezone.utc),
        Outcome.STAMPED,
        Observation("a1", (Change(ORDERS, None, {"persistence": "p"}, 0),), renames=((ORDERS, ORDERS),)),
        Stamp(("a1",), (), ("a1",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_arrives_as_it_was_sent(value):
    assert values.decoded(values.encoded(value)) == value


def test_an_error_arrives_with_its_facts_and_with_what_was_added_to_it():
    error = errors.NoConfig("alembic.ini", [Found("a/alembic.ini", "a")], ["plan", "a1"])
    error.help += "; and more"
    arrived = values.decoded(values.encoded(error))
    assert (type(arrived), str(arrived), arrived.help) == (type(error), str(error), error.help)
    assert arrived.found == error.found
    written = Written({}, errors.ConnectionLost("shop", "reset"))
    assert str(values.decoded(values.encoded(written)).failure) == str(written.failure)


@pytest.mark.parametrize("content", [{"$": "Popen", "args": ["true"]}, {"$": "system", "is": "true"}])
def test_only_the_tools_own_classes_are_instantiated(content):
    with pytest.raises(ValueError, match="none of the tool's classes"):
        values.decoded(content)


def test_something_that_is_no_value_is_refused():
    with pytest.raises(TypeError, match="Thread is none of the values"):
        values.encoded({"thread": threading.main_thread()})


@pytest.fixture
def ends():
    there, back = os.pipe(), os.pipe()
    one, other = Channel(back[0], there[1]), Channel(there[0], back[1])
    yield one, other
    for end in (one, other):
        try:
            end.close()
        except OSError:
            continue


def test_messages_arrive_whole_and_in_order_whatever_their_size(ends):
    one, other = ends
    big = "x" * 1_000_000
    thread = threading.Thread(target=lambda: [one.send({"n": 1}), one.send({"text": big}), one.send({"n": 3})])
    thread.start()
    assert [other.receive(5) for _ in range(3)] == [{"n": 1}, {"text": big}, {"n": 3}]
    thread.join()


def test_silence_and_the_end_of_a_conversation_are_told_apart(ends):
    one, other = ends
    assert other.receive(0.05) is None
    one.close()
    with pytest.raises(Ended):
        other.receive(5)
    with pytest.raises(Ended):
        other.send({"n": 1})


# --- real workers --------------------------------------------------------------------------------------------------


@pytest.fixture
def linear(project, database, monkeypatch):
    """A project in the working directory, at its first revision, whose env.py can be extended."""
    database.stand_at("aaaa0001")
    copy = project("linear", database)
    monkeypatch.chdir(copy.root)
    return copy


def at_first(project_copy, code: str) -> None:
    """Insert code at the beginning of env.py."""
    env = project_copy.root / "alembic" / "env.py"
    env.write_text(f"{code}\n{env.read_text()}")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os._exit(7)", "ended with status 7"),
        ("import os; os._exit(0)", "ended with status 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import os; os.closerange(3, 1000)", "closed its end"),
    ],
)
def test_a_worker_that_dies_is_an_error_with_its_last_words(linear, code, told):
    at_first(linear, f"import sys; print('on my way out', flush=True); {code}")
    with pytest.raises(errors.WorkerDied, match=told) as raised:
        load().look()
    assert raised.value.exit_status == errors.DATABASE


@pytest.mark.parametrize("fails", ["raise RuntimeError('no')", "return 5"])
@pytest.mark.parametrize("raised", ["raise Odd()", "import sys; sys.exit(Odd())"])
def test_an_exception_that_cannot_be_printed_is_still_reported(linear, fails, raised):
    at_first(linear, f"class Odd(Exception):\n    def __str__(self):\n        {fails}\n{raised}")
    with pytest.raises((errors.EnvFailed, errors.EnvExited), match="<Odd that cannot be printed>"):
        load().look()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise KeyError('aaaa0001')", "0002_step_2.py:16 cannot be used: KeyError: 'aaaa0001'"),
        ("raise Odd()", "0002_step_2.py:16 cannot be used: Odd: <Odd that cannot be printed>"),
    ],
)
def test_an_error_while_a_revision_file_is_imported_is_reported_with_its_place(linear, line, says):
    revision = linear.root / "alembic" / "versions" / "0002_step_2.py"
    text = revision.read_text().replace('revision = "aaaa0002"', 'revision = "aaaa" + "0002"')
    odd = "class Odd(Exception): __str__ = None"
    revision.write_text(f"{text.rstrip()}\n{odd}\n{line}\n")
    with pytest.raises(errors.BadConfig, match=re.escape(says)):
        load().look()


@pytest.mark.parametrize("is_computed", [False, True])
def test_an_odd_docstring_and_an_empty_dependency_count_as_none(linear, is_computed):
    revision = linear.root / "alembic" / "versions" / "0002_step_2.py"
    text = revision.read_text().replace("depends_on = None", 'depends_on = ""')
    if is_computed:
        text = text.replace('revision = "aaaa0002"', 'revision = "aaaa" + "0002"')
    revision.write_text(f"{text}\n__doc__ = 5\n")
    found = {one.revision: one for one in load().look().scripts}
    assert not found["aaaa0002"].depends_on
    assert isinstance(found["aaaa0002"].doc, str)


def test_a_dead_worker_is_replaced(linear):
    del linear
    project = load()
    before = project.look()
    project._worker.kill()
    assert project.look().visited[0].database == before.visited[0].database
    project.end()


def test_a_silent_worker_is_ended(linear):
    at_first(linear, "import ctypes; ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock")
    project = load()
    worker = project._running()
    began = time.monotonic()
    with pytest.raises(errors.WorkerSilent):
        worker.call("look", seconds=1.5)
    assert time.monotonic() - began < 4
    assert not worker.alive


def test_nothing_of_env_py_reaches_the_caller(linear, capfd):
    at_first(
        linear,
        """
import asyncio, logging, os, signal, sys, threading, warnings
print("to stdout"); os.write(1, b"to descriptor 1\\n"); os.write(2, b"to descriptor 2\\n")
logging.disable(logging.CRITICAL); logging.getLogger("callers").disabled = True
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.environ["LEFT_BEHIND"] = "1"; sys.path.insert(0, "/left/behind"); sys.modules["left_behind"] = sys
threading.excepthook = None; sys.excepthook = None; warnings.simplefilter("error")
asyncio.set_event_loop(asyncio.new_event_loop())
import alembic.command; alembic.command.stamp = None
""",
    )
    logger, threads = logging.getLogger("callers"), threading.enumerate()
    before = (Path.cwd(), list(sys.path), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    lines: list[str] = []
    project = load(tell=lines.append)
    assert project.look().visited[0].database.current_heads == ("aaaa0001",)
    project.end()
    assert (Path.cwd(), sys.path, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not logger.disabled
    assert logging.root.manager.disable == 0
    assert "LEFT_BEHIND" not in os.environ
    assert "left_behind" not in sys.modules
    assert set(threading.enumerate()) <= set(threads)  # those of an earlier test may have ended meanwhile
    assert capfd.readouterr() == ("", "")
    assert {"to stdout", "to descriptor 1", "to descriptor 2"} <= set(lines)


def test_the_callers_threads_keep_running_meanwhile(linear):
    at_first(linear, "import time; time.sleep(0.5)")
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.wait(0.02):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    project = load()
    project.look()
    done.set()
    thread.join()
    project.end()
    assert max(b - a for a, b in pairwise(ticks)) < 0.3


def test_it_may_be_called_from_a_thread_that_ends(linear):
    del linear
    made: list = []
    thread = threading.Thread(target=lambda: made.append(load()))
    thread.start()
    thread.join()
    (project,) = made
    time.sleep(0.2)
    assert project.look().visited
    assert project._worker.alive
    project.end()


def test_no_worker_is_left_when_its_caller_is_killed(linear):
    at_first(linear, "import time, os; open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
    running = subprocess.Popen(
        [sys.executable, "-c", "import alembic_rescue; alembic_rescue.load().look()"], cwd=linear.root
    )
    pid_file = linear.root / "pid"
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.05)
    running.kill()
    running.wait()
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split():
        assert time.monotonic() < deadline, "the worker outlives its caller"
        time.sleep(0.05)


def test_secrets_that_a_worker_learns_are_known_to_the_caller(linear):
    del linear
    secrets = Secrets()
    project = load(secrets=secrets)
    project.look()
    project.end()
    from tests import servers

    assert servers.PASSWORD not in secrets.hide(f"password is {servers.PASSWORD}")


def test_an_inspection_runs_no_revision_file(linear):
    for file in (linear.root / "alembic" / "versions").glob("*.py"):
        file.write_text(f"{file.read_text()}\nraise SystemExit('a revision file was run')\n")
    project = load()
    look = project.look()
    project.end()
    assert len(look.scripts) == 5
    assert look.unreadable == ()


def test_a_worker_does_one_thing_at_a_time_and_answers_its_request():
    worker = Worker("live", Secrets())
    with pytest.raises(errors.InternalError, match="AssertionError"):
        worker.call("look")
    assert worker.alive, "a fault does not end it"
    worker.end()
    assert not worker.alive


def test_values_from_a_database_arrive_whole(linear):
    del linear
    project = load()
    (visited,) = project.look().visited
    project.end()
    assert values.decoded(values.encoded(visited)) == visited
    assert values.decoded(values.encoded(replace(visited, remarks=()))) == replace(visited, remarks=())


def test_a_worker_that_never_ends_is_ended_too(linear):
    del linear
    project = load()
    with pytest.raises(errors.WorkerSilent):
        project._running().call("look", whole=0.0)
    project.end()


def _counting_runs(project):
    """Have env.py write a line to the returned file each time it runs."""
    runs = project.root / "runs"
    env = project.root / "alembic" / "env.py"
    env.write_text(f"with open({str(runs)!r}, 'a') as file:\n    file.write('run\\n')\n{env.read_text()}")
    return runs


def test_a_look_that_was_asked_for_ahead_is_not_made_twice(linear):
    runs = _counting_runs(linear)
    project = load(ahead=looking())
    first = project.look()
    assert runs.read_text() == "run\n"
    assert project.look() == first
    assert runs.read_text() == "run\nrun\n"
    project.end()


def test_the_answer_to_another_request_that_was_sent_ahead_is_dropped(linear):
    del linear
    project = load(ahead=looking())
    assert project.guard(None, leaving_heads=False).held
    project.unguard()
    assert len(project.look().scripts) == 5
    project.end()


def test_a_project_that_cannot_be_loaded_is_told_whatever_was_asked_for_ahead(linear):
    (linear.root / "alembic.ini").write_text("[alembic]\n")
    with pytest.raises(errors.NoScriptLocation):
        load(ahead=looking())


def test_ctrl_c_before_the_answer_of_a_look_asked_for_ahead_ends_the_worker(linear):
    env = linear.root / "alembic" / "env.py"
    env.write_text(f"import time\ntime.sleep(60)\n{env.read_text()}")
    project = load(ahead=looking())
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        project.look()
    assert not project._worker.alive


def test_what_env_py_prints_in_a_look_asked_for_ahead_is_told_without_the_password(linear):
    password = "marker-pa55w0rd"
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("://", f"://ann:{password}@", 1))
    env = linear.root / "alembic" / "env.py"
    env.write_text(f"import os\nos.write(1, b'it is {password}\\n')\n{env.read_text()}")
    told = []
    project = load(ahead=looking(), tell=told.append, meanwhile=lambda: time.sleep(1))
    with contextlib.suppress(errors.RescueError):
        project.look()
    project.end()
    assert "it is ***" in told
    assert not [line for line in told if password in line]
