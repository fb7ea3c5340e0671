"""The tests' own MariaDB: one server for the run; without one, nobody takes the run for complete."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import mariadb
from tests.conftest import clean_environment

NO_SERVER = """\
import os, shutil, sys
import pytest
which = shutil.which
shutil.which = lambda name, *a, **k: None if "mariadb" in name or "mysql" in name else which(name, *a, **k)
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_the_server_listens_on_its_socket_only(maria):
    assert maria.run("SELECT @@skip_networking, @@socket") == [(1, str(maria.server.socket))]


def test_a_session_is_found_in_the_servers_log_by_its_database(maria):
    with maria.session() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shop (id int)")
    assert [session[-1] for session in maria.logged()].count("CREATE TABLE shop (id int)") == 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_without_a_server_the_last_line_of_the_run_says_so(tmp_path, workers):
    last = _run_without_a_server(tmp_path, "-n", workers).stdout.splitlines()[-1]
    assert last == "NOT TESTED: MySQL and MariaDB. " + mariadb.MISSING


@pytest.mark.slow
def test_if_it_is_required_a_missing_server_is_a_failure(tmp_path):
    ran = _run_without_a_server(tmp_path, "-n", "0", **{mariadb.REQUIRED: "1"})
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert mariadb.MISSING in ran.stdout


def _run_without_a_server(tmp_path, *arguments, **environment):
    one_test = f"{__file__}::{test_the_server_listens_on_its_socket_only.__name__}"
    return subprocess.run(
        [sys.executable, "-c", NO_SERVER, *arguments, "--color=no", "-p", "no:cacheprovider", one_test],
        env=clean_environment(tmp_path, **environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
