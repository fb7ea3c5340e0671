"""The guard of a worker: a migration's connections are redirected to a scratch database, or refused and recorded."""

from __future__ import annotations

import contextlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg2
import pytest

from alembic_rescue.scratch.server import provided
from alembic_rescue.worker.isolation import refusal
from alembic_rescue.worker.isolation.refusal import Refused, current_stack
from alembic_rescue.worker.isolation.routes import Address, Routes
from tests import servers, ways_out

LIVE = {"host": "db.example.com", "port": 5432, "database": "shop", "user": "app"}
SCRATCH = {"host": "/tmp/s", "port": 5432, "database": "scratch_1", "user": "app"}
OTHER = {"host": "/tmp/s", "port": 5432, "database": "scratch_2", "user": "app"}


@pytest.fixture(autouse=True)
def recorded():
    """What was refused in one test does not affect the next."""
    before = len(refusal.refusals)
    yield refusal.refusals
    del refusal.refusals[before:]


# --- routes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        ({"host": "DB.example.com", "dbname": "shop", "user": "app"}, ("db.example.com", "5432", "shop", "app")),
        ({"host": "127.0.0.1", "port": "5433", "database": "shop"}, ("localhost", "5433", "shop", "me")),
        ({"host": "::1", "username": "app"}, ("localhost", "5432", "app", "app")),
        ({"host": "/Run/Postgres/", "db": "shop"}, ("/Run/Postgres", "5432", "shop", "me")),
        ({"host": "one,two", "port": "1,2", "dbname": "shop"}, ("one", "1", "shop", "me")),
        ({"host": None, "port": "", "database": b"shop", "user": None}, ("", "5432", "shop", "me")),
        (
            {"unix_socket": "/run/m.sock", "host": "localhost", "port": 3306, "db": "shop"},
            ("/run/m.sock", "", "shop", "me"),
        ),
        ({}, ("", "5432", "me", "me")),
    ],
)
def test_an_address_in_any_spelling(asked, address, monkeypatch):
    monkeypatch.setenv("PGUSER", "me")
    assert Address.of(asked) == Address(*address)


def test_what_an_inspection_has_seen_is_redirected_as_told():
    routes = Routes()
    routes.add(LIVE, SCRATCH)
    routes.add({**LIVE, "database": "tenant"}, OTHER)
    assert routes.to({**LIVE, "password": "x"})["database"] == "scratch_1"
    assert routes.to({**LIVE, "database": "tenant"})["database"] == "scratch_2"


def test_another_name_for_the_same_server_is_routed_by_the_database():
    routes = Routes()
    routes.add(LIVE, SCRATCH)
    assert routes.to({**LIVE, "host": "10.0.0.7", "port": 6432, "user": "owner"})["database"] == "scratch_1"


def test_the_same_database_on_two_servers_is_told_apart_by_the_server():
    routes = Routes()
    routes.add(LIVE, SCRATCH)
    routes.add({**LIVE, "host": "other.example.com"}, OTHER)
    assert routes.to(LIVE)["database"] == "scratch_1"
    assert routes.to({**LIVE, "host": "other.example.com"})["database"] == "scratch_2"
    with pytest.raises(Refused, match=r"shop at third\.example\.com"):
        routes.to({**LIVE, "host": "third.example.com"})


def test_the_user_that_was_seen_is_the_nearest():
    routes = Routes()
    routes.add(LIVE, SCRATCH)
    routes.add({**LIVE, "user": "owner"}, {**SCRATCH, "user": "owner"})
    assert routes.to({**LIVE, "user": "owner"})["user"] == "owner"
    assert routes.to({**LIVE, "user": "somebody"})["user"] == "app"


def test_what_no_inspection_has_seen_is_refused_and_recorded_or_redirected_to_the_default(recorded):
    with pytest.raises(Refused):
        Routes().to({**LIVE, "password": "s3cret"})
    assert "s3cret" not in recorded[-1].what
    assert Routes(default=SCRATCH).to(LIVE)["database"] == "scratch_1"


def test_what_is_already_redirected_stays():
    routes = Routes()
    routes.add(LIVE, SCRATCH)
    routes.add({**LIVE, "database": "scratch_1"}, OTHER)
    assert routes.to(SCRATCH) == SCRATCH


def test_files(tmp_path):
    (folder := tmp_path / "scratch").mkdir()
    live = str(tmp_path / "live.db")
    routes = Routes(folder=folder)
    routes.add_file(live, folder / "one.db")
    assert routes.to_file(live) == routes.to_file(str(tmp_path / "x" / ".." / "live.db")) == str(folder / "one.db")
    assert [routes.to_file(name) for name in (":memory:", "")] == [":memory:", ""]
    unseen = routes.to_file(str(tmp_path / "other.db"))
    assert Path(unseen).parent == folder
    assert routes.to_file(unseen) == unseen
    assert routes.is_live_file(live + "-wal")
    assert not routes.is_live_file(str(folder / "one.db"))
    strict = Routes()
    strict.add_file(live, folder / "one.db")
    with pytest.raises(Refused):
        strict.to_file(str(folder / "two.db"))


def test_which_sockets_belong_to_the_scratch_server():
    routes = Routes(default={"unix_socket": "/tmp/m", "database": "x"})
    routes.add(LIVE, SCRATCH)
    assert routes.sockets() == {"/tmp/s/.s.PGSQL.5432", "/tmp/m"}
    routes.add(LIVE, {**SCRATCH, "host": "scratch.example.com"})
    assert routes.sockets() is None
    assert routes.network() == {("scratch.example.com", 5432)}


def test_a_refusal_knows_who_asked(recorded):
    def asks():
        refusal.refuse("leave")

    with pytest.raises(Refused) as refused:
        asks()
    assert recorded[-1].what == "leave"
    assert recorded[-1].stack[-1] == (__file__, asks.__code__.co_firstlineno + 1, "asks")
    assert isinstance(refused.value, PermissionError)
    assert pickle.loads(pickle.dumps(refused.value)).what == "leave"
    assert current_stack()[-1][2] == "test_a_refusal_knows_who_asked"


# --- the whole of it, in its own process between two servers --------------------------------------------------------


@pytest.fixture(scope="module")
def scratch():
    """A scratch database like the chain's: its owner is no superuser."""
    with provided(None, "postgresql", "16", str) as server:
        folder = parse_qs(urlsplit(server.admin_url).query)["host"][0]
        with contextlib.closing(psycopg2.connect(server.admin_url)) as admin:
            admin.autocommit = True
            with admin.cursor() as cursor:
                cursor.execute(f"CREATE ROLE {servers.ROLE} LOGIN")
                cursor.execute(f"CREATE DATABASE scratch OWNER {servers.ROLE}")
        arguments = {"host": folder, "port": 5432, "database": "scratch", "user": servers.ROLE}
        with contextlib.closing(psycopg2.connect(**arguments)) as own, own, own.cursor() as cursor:
            cursor.execute("CREATE TABLE written (way text)")
        yield arguments


def sessions(database):
    """Return how many sessions that database has had, by the server's count."""
    with contextlib.closing(psycopg2.connect(database.server.admin_dsn)) as admin, admin.cursor() as cursor:
        cursor.execute(f"SELECT sessions FROM pg_stat_database WHERE datname = '{database.name}'")
        return cursor.fetchone()[0]


def state(database):
    """Return what the live database contains."""
    return [
        database.run("SELECT oid, relname, xmin::text FROM pg_class WHERE oid >= 16384 ORDER BY 1"),
        database.run("SELECT oid, datname, datacl::text FROM pg_database WHERE datname = current_database()"),
        database.run("SELECT rolname FROM pg_roles ORDER BY 1", role="postgres"),
        database.run("TABLE written"),
        database.run("SELECT last_value, is_called FROM counted"),
        database.run("SELECT count(*) FROM pg_largeobject_metadata"),
        database.run("SELECT subname FROM pg_stat_subscription"),
    ]


@pytest.fixture(scope="module", params=["kernel", "hook"])
def told(request, scratch, server, tmp_path_factory):
    """What became of each way out, and what the live server recorded about it."""
    from tests.conftest import fresh_database

    folder = tmp_path_factory.mktemp(request.param)
    (folder / "files").mkdir()
    (sqlite := folder / "live.db").write_bytes(b"live")
    with fresh_database(server) as database:
        database.run("CREATE TABLE written (way text); CREATE SEQUENCE counted")
        before = state(database)
        counted, logged = sessions(database), server.log.stat().st_size
        password = quote(servers.PASSWORD, safe="")
        live = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": servers.ROLE,
            "password": servers.PASSWORD,
            "database": database.name,
            "folder": str(server.pgdata),
            "url": f"postgresql://{servers.ROLE}:{password}@127.0.0.1:{server.port}/{database.name}",
            "dsn": database.dsn,
            "sqlite": str(sqlite),
            "scratch_folder": str(folder / "files"),
            "marker": str(folder / "outside"),
            "scratch": scratch,
            "held_by": request.param,
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.ways_out", json.dumps(live)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        ways = json.loads(done.stdout.splitlines()[-1])
        with server.log.open("rb") as log:
            log.seek(logged)
            seen = [line for line in log.read().decode(errors="replace").splitlines() if database.name in line]
        ways["live"] = {
            "sessions": sessions(database) - counted,
            "log": seen,
            "same": state(database) == before,
            "file": sqlite.read_bytes().decode(),
            "outside": (folder / "outside").exists(),
        }
        assert servers.PASSWORD not in json.dumps([way.get("refused") for way in ways.values()])
        yield ways


def test_the_live_databases_were_not_reached(told):
    assert told["live"] == {"sessions": 0, "log": [], "same": True, "file": "live", "outside": False}


def test_what_enforces_it(told, request):
    by_kernel = sys.platform == "linux" and "kernel" in request.node.name
    assert told["held"] == {"children": by_kernel, "network": by_kernel}


@pytest.mark.parametrize("way", ways_out.LED)
def test_redirected_to_the_scratch_database(told, way):
    for when in (f"before {way}", way):
        assert told[when]["error"] == ""
        assert told[when]["refused"] == []


@pytest.mark.parametrize("way", ways_out.OUT)
def test_refused_and_attributed_to_the_caller(told, way):
    assert len(told[way]["refused"]) >= 1, told[way]["error"]
    assert all(told[way]["asked"])


@pytest.mark.parametrize("way", ways_out.STATEMENTS)
def test_what_the_scratch_server_answers(told, way):
    assert told[f"sql {way}"]["error"] != ""


@pytest.mark.parametrize("way", ways_out.HARMLESS)
def test_what_must_work(told, way):
    assert told[way]["error"] == ""
    assert told[way]["refused"] == []


def run_alone(script):
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such filter elsewhere")
def test_the_kernel_alone():
    """As for a C library, which no hook sees."""
    assert run_alone("""
import os, socket, threading, time
from alembic_rescue.servers import seccomp
other = []
def later():
    time.sleep(0.2)
    attempt("other thread", lambda: socket.socket(socket.AF_INET))
def attempt(name, function):
    try:
        function()
        print(name.replace(" ", "-") + ":done")
    except OSError as error:
        print(name.replace(" ", "-") + ":" + type(error).__name__)
early = threading.Thread(target=later)
early.start()
assert seccomp.refuse((*seccomp.NO_NETWORK, *seccomp.NO_CHILDREN, *seccomp.NO_MEDDLING))
attempt("tcp", lambda: socket.socket(socket.AF_INET))
attempt("tcp6", lambda: socket.socket(socket.AF_INET6))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("fork", os.fork)
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
attempt("thread", lambda: threading.Thread(target=int).start())
early.join()
""") == [
        "tcp:PermissionError",
        "tcp6:PermissionError",
        "netlink:PermissionError",
        "unix:done",
        "fork:PermissionError",
        "exec:PermissionError",
        "spawn:PermissionError",
        "thread:done",
        "other-thread:PermissionError",
    ]


def test_drivers_that_were_imported_before_are_redirected_too(scratch):
    assert run_alone(f"""
import asyncio, sqlite3, psycopg2, psycopg2.extras, psycopg2.pool, psycopg, asyncpg, pg8000.native
from alembic_rescue.worker.isolation import guard
routes = guard.Routes({scratch!r})
guard.lead_away(routes)
guard.lead_away(routes)
where = dict(host="production.invalid", user="x", password="y")
def name(connection):
    cursor = connection.cursor(); cursor.execute("SELECT current_database()"); print(cursor.fetchone()[0])
name(psycopg2.connect(dbname="shop", **where))
name(psycopg2.extensions.connection("host=production.invalid dbname=shop"))
print(psycopg2.connect("host=production.invalid", connection_factory=psycopg2.extras.NamedTupleConnection).info.dbname)
name(psycopg.connect(dbname="shop", **where))
async def main():
    connection = await asyncpg.connect("postgresql://x:y@production.invalid/shop")
    print(await connection.fetchval("SELECT current_database()"))
    await connection.close()
asyncio.run(main())
print(pg8000.native.Connection(database="shop", **where).run("SELECT current_database()")[0][0])
try:
    sqlite3.connect("/tmp/somebodys.db")
except guard.Refused:
    print("refused")
""") == [*["scratch"] * 6, "refused"]


def test_other_arguments_of_a_driver_are_kept(scratch):
    assert run_alone(f"""
from alembic_rescue.worker.isolation import guard
guard.lead_away(guard.Routes({scratch!r}))
import asyncio, asyncpg, psycopg, psycopg2, pg8000.native
ask = "SELECT current_setting('application_name') || current_setting('search_path') || current_setting('lock_timeout')"
for connect in (psycopg2.connect, psycopg.connect):
    connection = connect("host=production.invalid application_name=mine options='-c search_path=a -c lock_timeout=7s'")
    cursor = connection.cursor(); cursor.execute(ask); print(cursor.fetchone()[0])
    connection.close()
print(psycopg.connect("host=x", autocommit=True).autocommit)
async def main():
    settings = {{"application_name": "mine", "search_path": "a"}}
    connection = await asyncpg.connect("postgresql://production.invalid/x?lock_timeout=7s", server_settings=settings)
    print(await connection.fetchval(ask))
    await connection.close()
asyncio.run(main())
connection = pg8000.native.Connection("x", host="production.invalid", application_name="mine")
print(connection.run("SHOW application_name")[0][0])
""") == ["minea7s", "minea7s", "True", "minea7s", "mine"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is bounded less strictly, or not at all")
def test_memory_is_bounded():
    assert run_alone("""
from alembic_rescue.worker.isolation import guard
guard.bound_memory(512 * 2**20)
held = bytearray(100 * 2**20)
try:
    bytearray(600 * 2**20)
except MemoryError:
    print("bounded")
import mmap, resource
mmap.mmap(-1, 2**32, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ).close()
print(resource.getrlimit(resource.RLIMIT_CORE))
""") == ["bounded", "(0,", "0)"]


def test_what_a_revision_changes_in_the_process_is_restored():
    assert run_alone("""
import builtins, locale, logging, os, signal, sys, threading, warnings
import alembic.op, sqlalchemy
from alembic_rescue.worker.isolation.guard import undisturbed
logger = logging.getLogger("mine")
def state():
    return (os.getcwd(), dict(os.environ), list(sys.path), list(sys.argv), signal.getsignal(signal.SIGTERM),
            logger.disabled, list(logging.root.handlers), logging.root.level, list(warnings.filters), sys.excepthook,
            alembic.op.execute, sqlalchemy.create_engine, builtins.print, os.umask(os.umask(0o22)), sys.stdout)
before = state()
try:
    with undisturbed():
        os.chdir("/"); os.environ["X"] = "1"; os.environ.pop("PATH"); sys.path.insert(0, "/nowhere"); sys.argv = ["x"]
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        logging.disable(logging.CRITICAL); logger.disabled = True; logging.basicConfig(level=10)
        warnings.simplefilter("error"); sys.excepthook = None; os.umask(0)
        alembic.op.execute = sqlalchemy.create_engine = builtins.print = lambda *_: None
        sys.stdout.close()
        sys.exit(7)
except SystemExit as error:
    after = state()
    print(error.code, "same" if after[:-1] == before[:-1] else "changed", logging.root.manager.disable)
""") == ["7", "same", "0"]
