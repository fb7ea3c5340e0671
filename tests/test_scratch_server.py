"""The scratch server: which one, how it is configured, that it is no way out, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

import platformdirs
import psutil
import psycopg2
import pytest

from alembic_rescue.dialects.mysql import scratch as mysql
from alembic_rescue.dialects.postgresql import surroundings
from alembic_rescue.dialects.postgresql.programs import Programs, of_machine
from alembic_rescue.dialects.postgresql.scratch import nearest
from alembic_rescue.dialects.scratch import Alike, Making, Place, Surroundings
from alembic_rescue.errors import ScratchFailed, ScratchMissing, ScratchUnfit
from alembic_rescue.scratch.server import provided
from alembic_rescue.servers import programs
from alembic_rescue.worker.scratch.places import prepare

ROOT = Path(__file__).parents[1]
_SHARED = Path("/dev/shm")
HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from alembic_rescue.scratch.server import provided
with provided(None, "postgresql", "18", lambda line: None) as server:
    print(server.admin_url, server.alone, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(monkeypatch):
    """A temporary folder for one test, short enough for a socket and open to the server's user."""
    folder = Path(tempfile.mkdtemp(prefix="rescue-place-", dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert processes(folder) == []
    shutil.rmtree(folder)


def processes(folder):
    """Return the command lines that name that folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in process.cmdline()):
                found.append(" ".join(process.cmdline()))
    return found


def gone(folder, seconds=10.0):
    """Return whether everything in that folder disappears, and the processes with it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if list(folder.iterdir()) == [] and processes(folder) == []:
            return True
        time.sleep(0.05)
    return False


def fine(line):
    raise AssertionError(line)


def one(major, folder="x"):
    return Programs(Path(folder), f"{major}.1")


@pytest.mark.parametrize(
    ("live", "machine", "wheel", "best"),
    [
        (16, [15, 16], [16, 18], ("machine", 16)),
        (16, [15, 17], [16, 18], ("wheel", 16)),
        (17, [15], [16, 18], ("wheel", 18)),
        (15, [13], [16, 18], ("wheel", 16)),
        (19, [15, 20], [16, 18], ("machine", 20)),
        (19, [13, 15], [16, 18], ("machine", 15)),
        (19, [], [16, 18], ("wheel", 18)),
        (12, [11, 13, 14], [], ("machine", 13)),
        (12, [], [], None),
        (0, [13, 15], [14], ("machine", 15)),
        (0, [13], [16, 18], ("wheel", 18)),
        (0, [], [], None),
    ],
)
def test_which_version_is_chosen(live, machine, wheel, best):
    found = nearest(live, [one(m, "machine") for m in machine], [one(w, "wheel") for w in wheel])
    assert (found and (str(found.folder), found.major)) == best


@pytest.mark.parametrize(
    ("words", "major"),
    [("16.4 (Debian 16.4-1.pgdg120+1)", 16), ("PostgreSQL 18.1 on x86_64", 18), ("19beta1", 19), ("", 0)],
)
def test_the_major_version_from_a_servers_words(words, major):
    assert programs.major(words) == major


def test_a_private_server_leaves_nothing_behind(place):
    with provided(None, "postgresql", "18.0", fine) as server:
        assert programs.major(server.version) == 18
        assert (server.programs / "psql").exists()
        assert server.private
        with contextlib.closing(psycopg2.connect(server.admin_url)) as connection:
            settings = {name: connection.info.parameter_status(name) for name in ("is_superuser", "server_version")}
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'fsync', 'autovacuum', "
                    "'full_page_writes', 'synchronous_commit', 'max_prepared_transactions', 'server_encoding')"
                )
                settings |= dict(cursor.fetchall())
        assert settings == {
            "is_superuser": "on",
            "server_version": server.version,
            "listen_addresses": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "max_prepared_transactions": "20",
            "server_encoding": "UTF8",
        }
        sockets = Path(parse_qs(urlsplit(server.admin_url).query)["host"][0])
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert place in sockets.parents
    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("place")
def test_a_projects_database_may_have_the_name_of_one_that_comes_with_the_server():
    around = Surroundings("app", superuser=False, schemas=("public",), search_path="shop, public")
    wanted = Place("postgresql", {}, "postgres", around, ("shop",), role="app")
    with provided(None, "postgresql", "18.0", fine) as server:
        making = Making(server.admin_url, (wanted,), ())
        prepare(making)
        url = urlsplit(server.admin_url)
        theirs = url._replace(path="/postgres", netloc=url.netloc.replace("postgres@", "app@")).geturl()
        with contextlib.closing(psycopg2.connect(theirs)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SHOW search_path")
            assert cursor.fetchone() == ("shop, public",)
            cursor.execute("CREATE TABLE kept (id int)")
        prepare(making)  # as the next worker does
        with contextlib.closing(psycopg2.connect(theirs)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('shop.kept') IS NOT NULL")
            assert cursor.fetchone() == (True,)


def test_its_superuser_has_the_name_of_the_live_servers_own():
    with (
        provided(None, "postgresql", "18", fine, Alike(superuser="rds admin")) as server,
        contextlib.closing(psycopg2.connect(server.admin_url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname !~ '^pg_'")
        assert cursor.fetchall() == [("rds admin", True)]


@pytest.mark.parametrize(
    ("role", "superuser", "first", "called"),
    [
        ("app", False, "postgres", "postgres"),
        ("postgres", True, "postgres", "postgres"),
        ("postgres", False, "rdsadmin", "rdsadmin"),
        ("postgres", False, "postgres", "postgres_superuser"),
    ],
)
def test_no_superuser_of_a_private_server_has_the_name_of_a_role_that_is_none(role, superuser, first, called):
    assert surroundings.first_role_beside(role, first, superuser=superuser) == called


def test_it_is_gone_after_an_error_too(place):
    with pytest.raises(ZeroDivisionError), provided("local", "postgresql", "18", fine):
        _ = 1 / 0
    assert list(place.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_another_version_and_a_missing_locale_are_reported():
    told = []
    with (
        provided(None, "postgresql", "99.1", told.append, Alike("LATIN1", "xx_XX.ISO8859-1")) as server,
        contextlib.closing(psycopg2.connect(server.admin_url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW server_encoding")
        assert cursor.fetchone() == ("LATIN1",)
    version, locale = told
    assert "the project's is 99.1" in version
    assert "this machine lacks the locale xx_XX.ISO8859-1" in locale


def test_a_server_that_does_not_start(place):
    started = provided(None, "postgresql", "18", fine, Alike("NONSENSE"))
    with pytest.raises(ScratchFailed, match=r"initdb ended with 1.*NONSENSE") as failed, started:
        pass
    assert failed.value.code == "scratch-failed"
    assert "--scratch" in failed.value.help
    assert list(place.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a superuser may start programs")
def test_it_is_no_way_out_for_a_superuser(place, server):
    tried = {
        f"COPY (SELECT 1) TO PROGRAM 'touch {place}/outside'": "could not execute command",
        f"CREATE SUBSCRIPTION s CONNECTION 'host={server.pgdata} port={server.port} user=postgres dbname=postgres' "
        "PUBLICATION p": "Permission denied",
        f"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port={server.port} dbname=postgres' PUBLICATION p": (
            "Permission denied"
        ),
    }
    with provided(None, "postgresql", "18", fine) as scratch:
        with contextlib.closing(psycopg2.connect(scratch.admin_url)) as connection:
            connection.autocommit = True
            for statement, answer in tried.items():
                with connection.cursor() as cursor, pytest.raises(psycopg2.Error, match=answer):
                    cursor.execute(statement)
        if os.geteuid() == 0:
            assert scratch.alone


def holding(place, python=sys.executable, variables=MappingProxyType({}), **more):
    """A process that keeps a scratch server until its standard input ends."""
    process = subprocess.Popen(
        [python, "-c", HOLD, str(ROOT)],
        env={**os.environ, "TMPDIR": str(place), **variables},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )
    return process, process.stdout.readline().split()


def test_a_caller_that_is_killed_leaves_nothing(place):
    process, (url, _) = holding(place)
    with contextlib.closing(psycopg2.connect(url)):
        process.kill()
        process.wait()
        assert gone(place)


@pytest.mark.skipif(not _SHARED.is_dir(), reason="what a server shares is elsewhere")
def test_a_server_that_is_killed_leaves_no_memory_behind(place):
    before = {*_SHARED.glob("PostgreSQL.*")}
    process, (url, _) = holding(place)
    during = {*_SHARED.glob("PostgreSQL.*")} - before
    (postgres,) = next(child for child in psutil.Process(process.pid).children()).children()
    with contextlib.closing(psycopg2.connect(url)):
        postgres.kill()
        postgres.wait()
    process.stdin.close()
    assert process.wait(10) == 0
    assert gone(place)
    until = time.monotonic() + 20  # other tests' servers have their own, which go with them
    while left := during & {*_SHARED.glob("PostgreSQL.*")}:
        assert time.monotonic() < until, left
        time.sleep(0.1)


@pytest.mark.slow
def test_what_a_killed_keeper_leaves_is_removed_by_the_next_run(place):
    process, (url, _) = holding(place)
    keeper = next(child for child in psutil.Process(process.pid).children())
    (postgres,) = keeper.children()
    postgres.suspend()  # so that it outlives its keeper
    keeper.kill()
    process.kill()
    process.wait()
    assert list(place.iterdir()) != []
    postgres.resume()
    with provided(None, "postgresql", "18", fine):
        (mine,) = place.iterdir()
        assert str(mine) not in url
    assert gone(place)


@pytest.mark.slow
def test_a_run_leaves_other_runs_servers_alone(place):
    process, (url, _) = holding(place)
    with provided(None, "postgresql", "18", fine), contextlib.closing(psycopg2.connect(url)):
        pass
    with contextlib.closing(psycopg2.connect(url)):
        pass
    process.stdin.close()
    assert process.wait(10) == 0
    assert gone(place)


@pytest.mark.slow
def test_ctrl_c_does_not_reach_it(place):
    process, (url, _) = holding(place, start_new_session=True, preexec_fn=ignore_interrupts)
    os.killpg(process.pid, signal.SIGINT)
    with contextlib.closing(psycopg2.connect(url)):
        pass
    process.stdin.close()
    assert process.wait(10) == 0


def ignore_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user")
@pytest.mark.skipif(not of_machine(), reason="the machine has no PostgreSQL that any user may run")
def test_for_an_ordinary_user(place):
    python = "/usr/bin/python3"
    if not programs.unprivileged_can(python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"):
        pytest.skip("the machine has no Python that any user may run")
    user = programs.unprivileged()
    private = place / "own"
    private.mkdir()
    os.chown(private, user["user"], user["group"])
    libraries = place / "libraries"
    libraries.mkdir()
    shutil.copytree(Path(platformdirs.__file__).parent, libraries / "platformdirs")
    closed = place / "somebody's"  # a cache that this user may not read
    closed.mkdir(mode=0o700)
    variables = {"PYTHONPATH": str(libraries), "XDG_CACHE_HOME": str(closed)}
    process, (url, _) = holding(private, python, variables, **user)
    assert str(private) in url
    process.stdin.close()
    assert process.wait(10) == 0
    assert gone(private)


def test_other_users_folders_and_links_are_left_alone(place):
    link = place / "alembic-rescue-scratch-link"
    link.symlink_to(place / "elsewhere")
    with provided(None, "sqlite", "3.40", fine):
        pass
    assert link.is_symlink()
    link.unlink()


def test_sqlite_only_needs_a_folder(place):
    with provided(None, "sqlite", "3.40", fine) as server:
        folder = Path(url2pathname(urlsplit(server.admin_url).path))
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "scratch.db").write_text("x")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("choice", "dialect", "url"),
    [
        ("postgresql://me:secret@host/empty", "postgresql", "postgresql://me:secret@host/empty"),
        ("postgres://me@host/empty", "postgresql", "postgresql://me@host/empty"),
        ("postgresql+psycopg://me@/empty?host=/run", "postgresql", "postgresql://me@/empty?host=/run"),
        ("postgresql+psycopg2:///empty?host=/run", "postgresql", "postgresql:///empty?host=/run"),
        ("mysql+pymysql://me@host/empty", "mariadb", "mysql://me@host/empty"),
        ("sqlite:////folder/empty.db", "sqlite", "sqlite:////folder/empty.db"),
    ],
)
def test_a_named_server(choice, dialect, url):
    with provided(choice, dialect, "16", fine) as server:
        assert (server.admin_url, server.private, server.version) == (url, False, "")


@pytest.mark.parametrize("choice", ["mysql://me:secret@host/x", "somewhere", "postgres:secret"])
def test_an_unfit_named_server_is_refused(choice):
    with pytest.raises(ScratchUnfit) as unfit, provided(choice, "postgresql", "16", fine):
        pass
    assert "secret" not in str(unfit.value)


@pytest.mark.parametrize(
    ("choice", "dialect", "way"),
    [("none", "postgresql", "alembic-rescue[scratch]"), (None, "oracle", "--scratch URL")],
)
def test_none(choice, dialect, way):
    with pytest.raises(ScratchMissing) as missing, provided(choice, dialect, "16", fine):
        pass
    assert missing.value.code == "scratch-missing"
    assert way in missing.value.help


@pytest.mark.slow
@pytest.mark.skipif(mysql.found() is None, reason="there is no MariaDB or MySQL server on this machine")
def test_a_private_mariadb(place):
    import pymysql

    with provided(None, "mysql", "10.11", print) as server:
        (socket,) = parse_qs(urlsplit(server.admin_url).query)["unix_socket"]
        with contextlib.closing(pymysql.connect(unix_socket=socket, user="root")) as connection:
            assert server.version.partition("-")[0] in connection.get_server_info()
    assert gone(place)
