"""Connections cut at COMMIT, and signals, while a file writes: it says what became of it, or that nobody knows."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import time
from urllib.parse import quote

import pytest

from tests import servers, silent_proxy
from tests.conftest import clean_environment, own_shop
from tests.handing_over import NEW, OLD, SCRIPTS, Host, handed_over
from tests.terminal import CTRL_C, Terminal

pytestmark = pytest.mark.slow

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
WAITS_FOR_STANDBY = "wait_event = 'SyncRep'"
WAITS_FOR_LOCK = "wait_event_type = 'Lock' AND wait_event = 'relation'"


def until(database, condition, seconds=20.0):
    """Wait until a session of the file is in that state."""
    question = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'alembic-rescue' AND {condition}"
    end = time.monotonic() + seconds
    while not (found := database.run(question, role="postgres")):
        assert time.monotonic() < end, f"no session has {condition}"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def without_its_standby(database):
    """The server waits at each COMMIT for a missing standby."""
    where = "synchronous_standby_names"
    database.run(f"ALTER SYSTEM SET {where} = 'nobody'", role="postgres")
    database.run("SELECT pg_reload_conf()", role="postgres")
    try:
        time.sleep(1)
        yield
    finally:
        database.run(f"ALTER SYSTEM RESET {where}", role="postgres")
        database.run("SELECT pg_reload_conf()", role="postgres")
        time.sleep(1)


@contextlib.contextmanager
def cut_at_commit(database):
    """The URL of a proxy that cuts the connection once COMMIT was delivered; later connections hold."""
    connect = lambda: socket.create_connection(("127.0.0.1", database.server.port))  # noqa: E731
    with silent_proxy.between(connect, rb"COMMIT;", then=silent_proxy.Then.CUT, all_of_it=False) as proxy:
        yield proxy.port


@pytest.fixture(scope="module")
def shop():
    """A database on a server of its own."""
    with own_shop() as database:
        yield database


@pytest.fixture
def there(shop, tmp_path):
    """A host with both files, which give a statement five seconds."""
    shop.stand_at(OLD)
    host = Host(tmp_path, shop)
    for shell in SCRIPTS.shells:
        host.write(shell, handed_over(shop, [OLD], [NEW], statement_seconds=5.0, lock_seconds=5.0))
    return host


def url(database, port):
    return f"postgresql://{servers.ROLE}:{quote(servers.PASSWORD, safe='')}@127.0.0.1:{port}/{database.name}"


# --- the connection ----------------------------------------------------------------------------------------------


def test_a_commit_that_outlives_its_connection_is_waited_for(there, shop):
    with cut_at_commit(shop) as port, without_its_standby(shop):
        run = started(there, "--yes", DATABASE_URL=url(shop, port))
        until(shop, WAITS_FOR_STANDBY)
        until(shop, "wait_event = 'advisory'")
        assert shop.versions() == [OLD]
    out, told = run.communicate(timeout=20)
    assert run.returncode == 0, told
    assert "Written, and verified on a new connection" in out
    assert "Nothing was written." not in told
    assert shop.versions() == [NEW]


def test_if_it_does_not_end_in_time_the_outcome_is_reported_as_unknown(there, shop):
    path = there.folder / "stamp.bash"
    text, changed = re.subn(r"lock_timeout = '15000ms'", "lock_timeout = '300ms'", path.read_text())
    assert changed == 1
    path.write_text(text)
    with without_its_standby(shop), cut_at_commit(shop) as port:
        done = there.bash("--yes", DATABASE_URL=url(shop, port))
        assert done.status == 5, done.everything
        assert "error[still-writing]: The connection was lost" in done.stderr
        assert "It is not known whether it was written" in done.stderr
        assert re.search(r"still at work for it, process \d+ \(SyncRep\)", done.stderr)
        assert "bash" in done.stderr.split("help: ")[1]
        again = there.bash("--dry-run")
        assert again.status == 3, again.everything
        assert "error[rescue-under-way]" in again.stderr
        assert re.search(r"\(process \d+\)", again.stderr)
    assert there.bash("--dry-run").status == 0
    assert shop.versions() == [NEW]


def test_the_file_for_psql_says_beforehand_that_a_second_run_will_tell(there, shop):
    with without_its_standby(shop):
        with cut_at_commit(shop) as port:
            done = there.file(PGPORT=str(port))
        assert done.status == 2, done.everything
        assert "If the connection is lost now, run it again" in done.stdout
        again = there.file()
        assert again.status == 3, again.everything
        assert "[rescue-under-way]" in again.stderr
    again = there.file()
    assert (again.status, "Nothing to do" in again.stdout) == (0, True), again.everything


# --- signals -----------------------------------------------------------------------------------------------------


def started(host, *arguments, **environment):
    return subprocess.Popen(
        [shutil.which("bash"), str(host.folder / "stamp.bash"), *arguments],
        env=host.environment(**environment),
        cwd=host.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("sent", "status"), SIGNALS)
def test_a_signal_cancels_the_waiting_statement_and_nothing_was_written(there, shop, sent, status):
    with shop.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
        run = started(there, "--yes")
        until(shop, WAITS_FOR_LOCK)
        run.send_signal(sent)
        _, told = run.communicate(timeout=4)
    assert run.returncode == status, told
    assert "error[interrupted]: Interrupted. Nothing was written." in told
    assert shop.versions() == [OLD]


@pytest.mark.parametrize(("sent", "status"), SIGNALS)
def test_a_signal_at_the_commit_says_that_it_was_written(there, shop, sent, status):
    with without_its_standby(shop):
        run = started(there, "--yes")
        until(shop, WAITS_FOR_STANDBY)
        run.send_signal(sent)
        out, told = run.communicate(timeout=4)
        assert shop.versions() == [NEW]
    assert run.returncode == status, told
    assert "Written, and verified on a new connection" in out


@pytest.mark.parametrize("clock", ["perl", ""])
def test_without_a_timeout_it_is_the_same(there, shop, clock):
    """macOS has perl; a small image has neither."""
    needed = {"bash", "sh", "cat", "mktemp", "rm", clock} - {""}
    programs = there.folder / "few"
    programs.mkdir()
    for name in needed:
        (programs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin"))
    there.environment()
    path = f"{there.folder}/psql{there.psql}:{programs}"
    assert there.bash("--dry-run", PATH=path).status == 0
    with shop.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
        run = started(there, "--yes", PATH=path)
        until(shop, WAITS_FOR_LOCK)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=4)
    assert run.returncode == 130, told
    assert "Interrupted. Nothing was written." in told
    assert there.bash("--yes", PATH=path).status == 0
    assert shop.versions() == [NEW]


def test_a_signal_while_it_only_reads_ends_it(there, shop):
    with shop.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version")
        run = started(there, "--dry-run")
        until(shop, WAITS_FOR_LOCK)
        run.send_signal(signal.SIGTERM)
        _, told = run.communicate(timeout=4)
    assert (run.returncode, "Interrupted. Nothing was written." in told) == (143, True), told


@pytest.mark.parametrize("at", ["question", "lock"])
def test_ctrl_c_at_a_terminal(there, shop, at):
    command = [shutil.which("bash"), str(there.folder / "stamp.bash"), *(["--yes"] if at == "lock" else [])]
    environment = {**clean_environment(there.folder), **there.environment()}
    with shop.session() as other, other.cursor() as cursor:
        if at == "lock":
            cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
        terminal = Terminal(command, str(there.folder), environment, 200, piped=False)
        if at == "lock":
            until(shop, WAITS_FOR_LOCK)
        else:
            terminal.wait_for("[y/N]")
            time.sleep(0.5)  # nobody is faster: between its question and its read, bash would only note the signal
        terminal.type(CTRL_C)
        status = terminal.end(4)
        terminal.close()
    assert status == 130, terminal.text
    assert "nterrupted. Nothing was written." in terminal.text
    assert shop.versions() == [OLD]


def test_psql_does_not_commit_after_bash_was_killed(there, shop):
    with shop.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
        run = started(there, "--yes")
        until(shop, WAITS_FOR_LOCK)
        run.kill()
        run.wait()
        other.rollback()
        end = time.monotonic() + 10
        while shop.run("SELECT FROM pg_stat_activity WHERE application_name = 'alembic-rescue'", role="postgres"):
            assert time.monotonic() < end
            time.sleep(0.05)
    run.communicate()
    assert shop.versions() == [OLD]
    assert "After kill -9 it cannot" in there.bash("--help").stdout


SIGNAL_AT = """
set -T
trap 'if [[ $BASH_COMMAND == writing=yes ]]; then at=0; fi
  if [[ -n ${at:-} ]]; then at=$((at + 1)); if [[ $at == "$AT" ]]; then kill -INT $$; fi; fi' DEBUG
"""
"""Interrupts the script at the command number AT, counted from `writing=yes` on."""


def test_a_signal_at_any_command_from_the_write_on_reports_the_outcome(stamped):
    (stamped.folder / "signals").write_text(SIGNAL_AT)
    database, seen, at = stamped.database, set(), 0
    while (0, NEW) not in seen:  # then it came after the answer, or after the end
        at += 1
        database.stand_at(OLD)
        done = stamped.bash("--yes", BASH_ENV=str(stamped.folder / "signals"), AT=str(at))
        (row,) = database.versions()
        told = done.everything.replace("Nothing was written yet.", "")
        assert done.status in ((0, 130, 5) if row == NEW else (130,)), done.everything
        assert ("Nothing was written." in told) == (row == OLD), done.everything
        seen.add((done.status, row))
    assert at > 20
    assert {(130, OLD), (130, NEW), (0, NEW)} <= seen
