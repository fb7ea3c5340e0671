"""Ctrl-C gives the terminal back at once, says what was done, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time

import pytest

from tests import answers, servers
from tests.conftest import ProjectCopy
from tests.terminal import CTRL_C, at_a_terminal
from tests.watching import OF_THIS_DATABASE, VERSION_TABLE, blocked_by, others, until, waiting_for_a_lock

pytestmark = pytest.mark.slow

AT_ONCE = 6
"""Seconds.  Under 2 on a machine that is otherwise idle."""
ROW_CHANGED = "UPDATE alembic_version SET version_num = version_num"
STAMP = ("stamp", "aaaa0003", "--yes", "--lock-timeout", "30")


@pytest.fixture
def linear(project, database) -> ProjectCopy:
    """The chain of five revisions, at the first."""
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    return project("linear", database)


class Stopwatch:
    def __enter__(self):
        self._began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._began


def assert_nothing_left(database, blocker) -> None:
    """Check that no session and no lock is left, and that the row stays when the blocker ends."""
    until(lambda: [s["pid"] for s in others(database)] == [blocker.info.backend_pid], "our sessions are gone", 3)
    assert database.run(f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND {OF_THIS_DATABASE}") == []
    blocker.rollback()
    time.sleep(0.2)
    assert database.versions() == ["aaaa0001"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_while_the_stamp_waits_for_a_lock(linear, number):
    database = linear.database
    with blocked_by(database, ROW_CHANGED) as blocker:
        running = linear.started(*STAMP)
        until(lambda: waiting_for_a_lock(database), "the stamp waits")
        with Stopwatch() as taken:
            running.send_signal(number)
            out, err = running.communicate(timeout=20)
        assert taken.seconds < AT_ONCE
        assert running.returncode == 130
        assert "error[interrupted]: interrupted: nothing was written" in err
        assert "Traceback" not in out + err
        (receipt,) = linear.receipts
        assert json.loads(receipt.read_text())["state"] == "not-written"
        assert_nothing_left(database, blocker)


def test_while_the_stamp_waits_for_a_lock_at_a_terminal(linear):
    database = linear.database
    with blocked_by(database, ROW_CHANGED) as blocker, at_a_terminal(linear, *STAMP) as terminal:
        until(lambda: terminal.read() and waiting_for_a_lock(database), "the stamp waits")
        with Stopwatch() as taken:
            terminal.type(CTRL_C)
            assert terminal.end() == 130
        assert taken.seconds < AT_ONCE
        assert "error[interrupted]: interrupted: nothing was written" in terminal.text
        assert_the_cursor_is_back(terminal)
        assert_nothing_left(database, blocker)


def assert_the_cursor_is_back(terminal) -> None:
    assert terminal.raw.rfind("\x1b[?25h") >= terminal.raw.rfind("\x1b[?25l")


def test_with_json_the_answer_is_one_document(linear):
    database = linear.database
    with blocked_by(database, ROW_CHANGED) as blocker:
        running = linear.started("--format", "json", *STAMP)
        until(lambda: waiting_for_a_lock(database), "the stamp waits")
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=20)
        assert answers.document(out)["error"]["code"] == "interrupted"
        assert_nothing_left(database, blocker)


def test_while_the_inspection_waits_for_a_lock(linear):
    database = linear.database
    with blocked_by(database, "LOCK TABLE alembic_version") as blocker:
        running = linear.started("diagnose", "--lock-timeout", "30")
        until(lambda: waiting_for_a_lock(database), "the look waits")
        with Stopwatch() as taken:
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=20)
        assert taken.seconds < AT_ONCE
        assert running.returncode == 130
        assert "interrupted: nothing was written" in err
        assert_nothing_left(database, blocker)


def test_a_lock_that_blocks_even_the_read_back_does_not_block_the_terminal(linear):
    """Somebody locks the whole table between the last check and the interrupt."""
    database = linear.database
    with blocked_by(database, ROW_CHANGED) as blocker, database.session() as queued:
        running = linear.started(*STAMP)
        until(lambda: waiting_for_a_lock(database), "the stamp waits")
        until_locked = threading.Thread(target=_lock_the_table, args=(queued,))
        until_locked.start()
        until(lambda: len(waiting_for_a_lock(database)) == 2, "somebody else awaits the whole table")
        with Stopwatch() as taken:
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=20)
        assert taken.seconds < 4
        assert "interrupted" in err
        assert running.returncode in {5, 130}
        blocker.rollback()
        until_locked.join()
    assert database.versions() == ["aaaa0001"]


def _lock_the_table(connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version")
    connection.rollback()


def test_at_the_question(linear):
    with at_a_terminal(linear, "stamp", "aaaa0003") as terminal:
        terminal.wait_for("[y/N]")
        with Stopwatch() as taken:
            terminal.type(CTRL_C)
            assert terminal.end() == 130
        assert taken.seconds < AT_ONCE
        assert "\nerror[interrupted]: interrupted: nothing was written" in terminal.text
        assert_the_cursor_is_back(terminal)
    assert linear.database.versions() == ["aaaa0001"]
    assert linear.receipts == []


def test_the_end_of_input_at_the_question_is_a_no(linear):
    with at_a_terminal(linear, "stamp", "aaaa0003") as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("\x04")
        assert terminal.end() == 3
        assert "error[not-confirmed]" in terminal.text


# --- nothing to cancel -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listener_that_says_nothing():
    """Accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.parametrize("output", ["text", "json"])
def test_while_connecting_to_a_server_that_never_answers(project, output):
    with listener_that_says_nothing() as listener:
        port = listener.getsockname()[1]
        env = project("linear", url=f"postgresql+psycopg2://{servers.ROLE}@127.0.0.1:{port}/shop")
        running = env.started("--format", output, "diagnose")
        listener.settimeout(20)
        taken_in, _ = listener.accept()
        time.sleep(0.2)
        with Stopwatch() as taken:
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=20)
        taken_in.close()
    assert taken.seconds < AT_ONCE
    assert running.returncode == 130
    if output == "json":
        assert answers.document(out)["error"]["code"] == "interrupted"
    else:
        assert "error[interrupted]" in err
        assert "alembic-rescue diagnose" in err


def test_while_connecting_at_a_terminal_the_cursor_comes_back(project):
    with listener_that_says_nothing() as listener:
        port = listener.getsockname()[1]
        env = project("linear", url=f"postgresql+psycopg2://{servers.ROLE}@127.0.0.1:{port}/shop")
        with at_a_terminal(env, "diagnose") as terminal:
            terminal.wait_for("Inspecting the database")
            listener.settimeout(20)
            taken_in, _ = listener.accept()
            time.sleep(0.2)
            terminal.type(CTRL_C)
            assert terminal.end() == 130
            assert_the_cursor_is_back(terminal)
            assert "error[interrupted]" in terminal.text
            taken_in.close()


def test_a_second_ctrl_c_exits_at_once(project):
    with listener_that_says_nothing() as listener:
        port = listener.getsockname()[1]
        env = project("linear", url=f"postgresql+psycopg2://{servers.ROLE}@127.0.0.1:{port}/shop")
        running = env.started("diagnose")
        listener.settimeout(20)
        taken_in, _ = listener.accept()
        time.sleep(0.2)
        with Stopwatch() as taken:
            running.send_signal(signal.SIGINT)
            time.sleep(0.3)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=20)
        taken_in.close()
    assert taken.seconds < 1.2
    assert running.returncode == 130
    assert "Traceback" not in err


class Network:
    """A proxy between the tool and the server that can stop forwarding, like a pulled cable."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._carries = threading.Event()
        self._carries.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._carries.wait()
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def goes_down(self) -> None:
        self._carries.clear()

    def close(self) -> None:
        self._carries.set()
        self._listener.close()


def test_without_a_network_not_even_a_cancel_gets_through(linear):
    database = linear.database
    network = Network(database.server.port)
    linear.set_url(database.url.replace(f":{database.server.port}/", f":{network.port}/"))
    with contextlib.closing(network), blocked_by(database, ROW_CHANGED) as blocker:
        running = linear.started(*STAMP)
        until(lambda: waiting_for_a_lock(database), "the stamp waits")
        network.goes_down()
        with Stopwatch() as taken:
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=20)
        assert taken.seconds < AT_ONCE
        assert running.returncode == 5  # the server may continue alone
        assert "could not be read back (interrupted)" in err
        assert "alembic-rescue undo" in err
        (receipt,) = linear.receipts
        assert json.loads(receipt.read_text())["parts"][0]["rows_before"] == ["aaaa0001"]
        blocker.rollback()
