"""What env.py leaves running, and what happens to the calling process, leaves no worker out of step."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from alembic_rescue.client import load
from tests.test_workers import at_first, linear
from tests.watching import until

__all__ = ["linear"]


def test_a_process_that_env_py_leaves_running_delays_nobody(linear):
    at_first(linear, "import subprocess; subprocess.Popen(['sleep', '30'], start_new_session=True)")
    began = time.monotonic()
    project = load()
    project.look()
    project.end()
    assert time.monotonic() - began < 15


def test_a_child_that_env_py_forks_neither_answers_nor_stays(linear):
    at_first(linear, "import os\nif os.fork() == 0: open('child', 'w').write(str(os.getpid()))")
    project = load()
    assert project.look().visited[0].database.current_heads == ("aaaa0001",)
    child = int(Path("child").read_text())
    project.end()
    until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text(), "it ends", 20)


def test_a_project_stays_in_the_folder_in_which_it_was_loaded(linear, tmp_path, monkeypatch):
    at_first(linear, "")
    project = load()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    project._worker.kill()
    assert project.look().visited[0].database.current_heads == ("aaaa0001",)


def test_an_interrupted_request_leaves_no_answer_for_the_next_one(linear):
    at_first(linear, "import time; time.sleep(2)")
    project = load()

    def left(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, left)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(ZeroDivisionError):
            project.look()
    finally:
        signal.signal(signal.SIGALRM, before)
    linear.database.run("UPDATE alembic_version SET version_num = 'aaaa0002'")
    assert project.look().visited[0].database.current_heads == ("aaaa0002",)


def test_a_forked_process_has_its_own_worker(linear):
    at_first(linear, "")
    project = load()
    project.look()
    child = os.fork()
    if child == 0:
        os._exit(project.look().visited[0].database.current_heads == ("aaaa0001",))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert project.look().visited[0].database.current_heads == ("aaaa0001",)


def test_a_process_with_many_open_files_has_workers_too(linear):
    at_first(linear, "")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, limits[1]), limits[1]))
    opened = [os.dup(2) for _ in range(1100)]
    try:
        load().look()
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
