# ruff: noqa: ARG001, SIM105 - the ways have one signature, and swallow errors as migrations do
"""Ways in which a migration may reach, or write, elsewhere; run in a separate process by test_guard.py.

Each receives the live database's address, and does what reaches it.  It is redirected to a scratch database instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import http.client
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace as Live

LED, OUT, SQL, HARMLESS = {}, {}, {}, {}
"""Redirected to the scratch database; refused; statements, which end on the scratch server; and what must work."""


def way(where):
    def add(function):
        where[function.__name__] = function
        return function

    return add


WRITE = "INSERT INTO written (way) VALUES ('{}')"


# --- redirected -----------------------------------------------------------------------------------------------------


def psycopg2_run(name, *arguments, **more):
    import psycopg2

    connection = psycopg2.connect(*arguments, **more)
    with connection, connection.cursor() as cursor:
        cursor.execute(WRITE.format(name))
    connection.close()


@way(LED)
def psycopg2_by_words(live):
    psycopg2_run("words", host=live.host, port=live.port, user=live.user, password=live.password, dbname=live.database)


@way(LED)
def psycopg2_by_url(live):
    psycopg2_run("url", live.url)


@way(LED)
def psycopg2_by_url_with_ssl_and_several_hosts(live):
    url = f"postgresql://{live.user}:x@{live.host},127.0.0.1/{live.database}?sslmode=require&target_session_attrs=any"
    psycopg2_run("several", url.replace(live.host + ",", f"{live.host}:{live.port},") + "&application_name=mine")


@way(LED)
def psycopg2_by_socket(live):
    psycopg2_run("socket", host=live.folder, port=live.port, user="postgres", dbname=live.database)


@way(LED)
def psycopg2_by_hostaddr(live):
    psycopg2_run("hostaddr", hostaddr="127.0.0.1", port=live.port, user="postgres", dbname=live.database)


@way(LED)
def psycopg2_by_environment(live):
    os.environ.update(
        PGHOST=live.folder,
        PGHOSTADDR="127.0.0.1",
        PGPORT=str(live.port),
        PGUSER="postgres",
        PGDATABASE=live.database,
        PGSSLMODE="require",
        PGTARGETSESSIONATTRS="standby",
        PGREQUIREPEER="nobody-of-that-name",
    )
    try:
        psycopg2_run("environment", "")
    finally:
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]


@way(LED)
def psycopg2_by_service(live):
    file = Path(live.scratch_folder, "service.conf")
    file.write_text(f"[live]\nhost={live.folder}\nport={live.port}\nuser=postgres\ndbname={live.database}\n")
    os.environ["PGSERVICEFILE"] = str(file)
    try:
        psycopg2_run("service", "service=live")
        os.environ["PGSERVICE"] = "live"
        psycopg2_run("service", "")
    finally:
        del os.environ["PGSERVICEFILE"]
        os.environ.pop("PGSERVICE", None)


@way(LED)
def psycopg2_class(live):
    import psycopg2.extensions

    connection = psycopg2.extensions.connection(live.dsn)
    assert isinstance(connection, psycopg2.extensions.connection)
    connection.cursor().execute(WRITE.format("class"))
    connection.commit()


@way(LED)
def psycopg2_in_c(live):
    import psycopg2._psycopg

    connection = psycopg2._psycopg._connect(live.dsn)
    connection.cursor().execute(WRITE.format("c"))
    connection.commit()


@way(LED)
def psycopg2_with_a_factory(live):
    import psycopg2
    import psycopg2.extras

    connection = psycopg2.connect(live.dsn, connection_factory=psycopg2.extras.DictConnection)
    connection.cursor().execute(WRITE.format("factory"))
    connection.commit()


@way(LED)
def psycopg2_pool(live):
    import psycopg2.pool

    pool = psycopg2.pool.ThreadedConnectionPool(1, 2, live.dsn)
    connection = pool.getconn()
    connection.cursor().execute(WRITE.format("pool"))
    connection.commit()


@way(LED)
def psycopg_by_url(live):
    import psycopg

    with psycopg.connect(live.url, autocommit=True, connect_timeout=3) as connection:
        connection.execute(WRITE.format("psycopg"))
        assert isinstance(connection.pgconn, psycopg.pq.PGconn)


@way(LED)
def psycopg_by_words(live):
    import psycopg

    with psycopg.Connection.connect(
        host=live.folder, port=live.port, user="postgres", dbname=live.database, sslmode="verify-full"
    ) as connection:
        connection.execute(WRITE.format("psycopg words"))


@way(LED)
def psycopg_async(live):
    import psycopg

    async def main():
        async with await psycopg.AsyncConnection.connect(live.url) as connection:
            await connection.execute(WRITE.format("psycopg async"))

    asyncio.run(main())


@way(LED)
def psycopg_libpq(live):
    import psycopg.pq

    connection = psycopg.pq.PGconn.connect(live.dsn.encode())
    connection.exec_(WRITE.format("pq").encode())
    connection.finish()


@way(LED)
def psycopg_generator(live):
    from psycopg import generators, waiting

    connection = waiting.wait_conn(generators.connect(live.dsn))
    connection.exec_(WRITE.format("generator").encode())


@way(LED)
def asyncpg_by_url(live):
    import asyncpg

    async def main():
        connection = await asyncpg.connect(live.url + "?sslmode=require&application_name=mine")
        await connection.execute(WRITE.format("asyncpg"))
        assert await connection.fetchval("SHOW application_name") == "mine"
        await connection.close()

    asyncio.run(main())


@way(LED)
def asyncpg_by_words(live):
    import asyncpg

    async def main():
        connection = await asyncpg.connect(
            host=[live.folder], port=live.port, user="postgres", database=live.database, server_settings={"jit": "off"}
        )
        await connection.execute(WRITE.format("asyncpg words"))
        await connection.close()

    asyncio.run(main())


@way(LED)
def asyncpg_pool(live):
    import asyncpg

    async def main():
        async with asyncpg.create_pool(live.url, min_size=1) as pool:
            await pool.execute(WRITE.format("asyncpg pool"))

    asyncio.run(main())


def pg8000_run(name, connect, live, **more):
    connection = connect(live.user, password=live.password, database=live.database, port=live.port, **more)
    connection.run(WRITE.format(name))
    connection.run("COMMIT")
    connection.close()


@way(LED)
def pg8000_by_words(live):
    import pg8000

    connection = pg8000.connect(live.user, host=live.host, port=live.port, database=live.database, password="x")
    connection.cursor().execute(WRITE.format("pg8000"))
    connection.commit()


@way(LED)
def pg8000_native(live):
    import pg8000.native

    pg8000_run("native", pg8000.native.Connection, live, host=live.host, ssl_context=True)


@way(LED)
def pg8000_by_socket(live):
    import pg8000.native

    pg8000_run("unix", pg8000.native.Connection, live, unix_sock=f"{live.folder}/.s.PGSQL.{live.port}")


@way(LED)
def pg8000_through_a_socket_of_ones_own(live):
    import pg8000.native

    pg8000_run("sock", pg8000.native.Connection, live, sock=live.open_socket)


def engine_run(name, url, raw=False, **more):
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, **more)
    if raw:
        connection = engine.raw_connection()
        connection.cursor().execute(WRITE.format(name))
        connection.commit()
        connection.close()
    else:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(WRITE.format(name)))
    engine.dispose()


@way(LED)
def sqlalchemy_engine(live):
    engine_run("engine", live.url.replace("://", "+psycopg2://"))


@way(LED)
def sqlalchemy_raw_connection(live):
    engine_run("raw", live.url.replace("://", "+psycopg2://"), raw=True)


@way(LED)
def sqlalchemy_psycopg(live):
    engine_run("engine psycopg", live.url.replace("://", "+psycopg://"))


@way(LED)
def sqlalchemy_pg8000(live):
    engine_run("engine pg8000", live.url.replace("://", "+pg8000://"))


@way(LED)
def sqlalchemy_creator(live):
    import psycopg2

    engine_run("creator", "postgresql+psycopg2://", creator=lambda: psycopg2.connect(live.dsn))


@way(LED)
def sqlalchemy_listener_that_sets_the_host(live):
    import sqlalchemy

    engine = sqlalchemy.create_engine("postgresql+psycopg2://nowhere/x")

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def back(_dialect, _record, _arguments, parameters):
        parameters.update(host=live.host, port=live.port, user=live.user, password="x", dbname=live.database)

    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(WRITE.format("listener")))


@way(LED)
def sqlalchemy_asyncpg(live):
    import sqlalchemy
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main():
        engine = create_async_engine(live.url.replace("://", "+asyncpg://"))
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text(WRITE.format("engine asyncpg")))
        await engine.dispose()

    asyncio.run(main())


@way(LED)
def in_a_thread(live):
    with ThreadPoolExecutor() as pool:
        pool.submit(psycopg2_run, "thread", live.dsn).result()


@way(LED)
def sqlite_file(live):
    sqlite_write(sqlite3.connect(live.sqlite))


@way(LED)
def sqlite_uri(live):
    sqlite_write(sqlite3.connect(f"file:{live.sqlite}?mode=rwc", uri=True))


@way(LED)
def sqlite_class(live):
    sqlite_write(sqlite3.Connection(live.sqlite))


@way(LED)
def sqlite_dbapi2(live):
    import sqlite3.dbapi2

    sqlite_write(sqlite3.dbapi2.connect(Path(live.sqlite)))


@way(LED)
def sqlite_sqlalchemy(live):
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{live.sqlite}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE IF NOT EXISTS written (way text)"))
    engine.dispose()


def sqlite_write(connection):
    connection.execute("CREATE TABLE IF NOT EXISTS written (way text)")
    connection.execute("INSERT INTO written VALUES ('x')")
    connection.commit()
    connection.close()


# --- refused --------------------------------------------------------------------------------------------------------


@way(OUT)
def raw_socket(live):
    socket.create_connection((live.host, live.port))


@way(OUT)
def raw_unix_socket(live):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(f"{live.folder}/.s.PGSQL.{live.port}")


@way(OUT)
def swallowed(live):
    try:
        socket.create_connection((live.host, live.port))
    except Exception:  # noqa: BLE001
        pass


@way(OUT)
def udp(live):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", (live.host, live.port))


@way(OUT)
def asyncio_connection(live):
    asyncio.run(asyncio.open_connection(live.host, live.port))


@way(OUT)
def asyncio_unix(live):
    asyncio.run(asyncio.open_unix_connection(f"{live.folder}/.s.PGSQL.{live.port}"))


@way(OUT)
def http_client(live):
    http.client.HTTPConnection(live.host, live.port, timeout=2).request("GET", "/")


@way(OUT)
def urlopen(live):
    urllib.request.urlopen(f"http://{live.host}:{live.port}/", timeout=2)


@way(OUT)
def name_lookup(live):
    socket.getaddrinfo("production.invalid", 5432)


@way(OUT)
def unknown_database(live):
    psycopg2_run("unknown", host="production.invalid", dbname="another", user="x")


@way(OUT)
def popen(live):
    subprocess.run(["psql", live.url, "-c", WRITE.format("psql")], check=False)


@way(OUT)
def shell(live):
    subprocess.getoutput(f"psql '{live.url}' -c \"{WRITE.format('shell')}\"")


@way(OUT)
def os_system(live):
    os.system(f"psql '{live.url}' -c \"{WRITE.format('system')}\"")


@way(OUT)
def os_popen(live):
    os.popen("psql").read()


@way(OUT)
def posix_spawn(live):
    os.waitpid(os.posix_spawn("/usr/bin/touch", ["touch", live.marker], os.environ), 0)


@way(OUT)
def os_spawn(live):
    os.spawnv(os.P_WAIT, "/usr/bin/touch", ["touch", live.marker])


@way(OUT)
def os_exec(live):
    os.execv("/usr/bin/touch", ["touch", live.marker])


@way(OUT)
def fork(live):
    child = os.fork()
    if child == 0:
        Path(live.marker).touch()
        os._exit(0)
    os.waitpid(child, 0)


@way(OUT)
def forkpty(live):
    child, _ = os.forkpty()
    if child == 0:
        os._exit(0)


@way(OUT)
def asyncio_subprocess(live):
    asyncio.run(asyncio.create_subprocess_exec("/usr/bin/touch", live.marker))


def _touch(marker):
    Path(marker).touch()


def multiprocess(live, method):
    process = multiprocessing.get_context(method).Process(target=_touch, args=(live.marker,))
    process.start()
    process.join()


@way(OUT)
def multiprocessing_fork(live):
    multiprocess(live, "fork")


@way(OUT)
def multiprocessing_spawn(live):
    multiprocess(live, "spawn")


@way(OUT)
def multiprocessing_forkserver(live):
    multiprocess(live, "forkserver")


@way(OUT)
def process_pool(live):
    with ProcessPoolExecutor(1) as pool:
        pool.submit(_touch, live.marker).result(timeout=5)


@way(OUT)
def fork_exec_underneath(live):
    import _posixsubprocess

    _posixsubprocess.fork_exec()


@way(OUT)
def thread_that_acts_afterwards(live):
    def later():
        time.sleep(0.05)
        with_suppressed = (live.host, live.port)
        try:
            socket.create_connection(with_suppressed)
        except OSError:
            pass

    thread = threading.Thread(target=later)
    thread.start()
    live.joined.append(thread)


@way(OUT)
def thread_without_an_object(live):
    import _thread

    done = threading.Event()

    def later():
        try:
            socket.create_connection((live.host, live.port))
        except OSError:
            pass
        done.set()

    _thread.start_new_thread(later, ())
    assert done.wait(5)


@way(OUT)
def timer(live):
    one = threading.Timer(0.02, lambda: swallowed(live))
    one.start()
    live.joined.append(one)


def libpq_file():
    import psycopg2

    return next(Path(psycopg2.__file__).parents[1].glob("psycopg2_binary.libs/libpq-*"))


@way(OUT)
def ctypes_libpq(live):
    libpq = ctypes.CDLL(str(libpq_file()))
    libpq.PQconnectdb(live.dsn.encode())


@way(OUT)
def ctypes_libc_connect(live):
    libc = ctypes.CDLL(None)
    libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), b"", 0)


@way(OUT)
def ctypes_system(live):
    ctypes.CDLL(None).system(f"touch {live.marker}".encode())


@way(OUT)
def kills_the_caller(live):
    os.kill(os.getppid(), signal.SIGTERM)


@way(OUT)
def sqlite_other_file(live):
    sqlite3.connect(live.sqlite + ".unknown")


@way(OUT)
def sqlite_attach(live):
    sqlite3.connect(":memory:").execute(f"ATTACH '{live.sqlite}' AS live")


@way(OUT)
def sqlite_attach_parameter(live):
    sqlite3.connect(":memory:").execute("ATTACH ? AS live", (live.sqlite,))


@way(OUT)
def sqlite_as_a_file(live):
    Path(live.sqlite).write_bytes(b"gone")


@way(OUT)
def sqlite_removed(live):
    Path(live.sqlite).unlink()


@way(OUT)
def sqlite_overwritten(live):
    shutil.copyfile(__file__, live.sqlite)


@way(OUT)
def sqlite_replaced(live):
    other = Path(live.scratch_folder, "other")
    other.write_bytes(b"x")
    other.replace(live.sqlite)


# --- in SQL, on the scratch server ---------------------------------------------------------------------------------

STATEMENTS = {
    "dblink": "CREATE EXTENSION dblink",
    "postgres_fdw": "CREATE EXTENSION postgres_fdw",
    "file_fdw": "CREATE EXTENSION file_fdw",
    "copy_to_program": "COPY (SELECT 1) TO PROGRAM 'touch {marker}'",
    "copy_from_program": "COPY written FROM PROGRAM 'touch {marker}'",
    "copy_to_file": "COPY (SELECT 1) TO '{marker}'",
    "large_object_export": "SELECT lo_export(lo_from_bytea(0, 'x'), '{marker}')",
    "subscription": "CREATE SUBSCRIPTION s CONNECTION '{dsn}' PUBLICATION p",
    "alter_system": "ALTER SYSTEM SET archive_command = 'touch {marker}'",
    "untrusted_language": "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'getpid'",
    "becomes_superuser": "SET ROLE postgres",
    "session_authorization": "SET SESSION AUTHORIZATION postgres",
}


# --- must work ------------------------------------------------------------------------------------------------------


@way(HARMLESS)
def uuids(live):
    import uuid

    assert uuid.uuid4() != uuid.uuid1()
    assert uuid.getnode()


@way(HARMLESS)
def temporary_files(live):
    import tempfile

    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory():
        file.write(b"x")


@way(HARMLESS)
def time_zones(live):
    from datetime import datetime
    from zoneinfo import ZoneInfo

    assert datetime.now(ZoneInfo("Europe/Vienna")).tzinfo


@way(HARMLESS)
def thread_pools(live):
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(abs, range(100))) == 4950


@way(HARMLESS)
def event_loops(live):
    async def main():
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: 1)

    assert asyncio.run(main()) == 1


@way(HARMLESS)
def platform_details(live):
    import platform

    platform.uname()
    platform.processor()
    ctypes.util.find_library("c")
    ctypes.CDLL(None).getpid()
    socket.gethostname()
    socket.getfqdn()


@way(HARMLESS)
def sqlite_in_memory(live):
    sqlite3.connect(":memory:").execute("VACUUM")
    sqlite3.connect("file::memory:?cache=shared", uri=True).execute("ATTACH ':memory:' AS other")


@way(HARMLESS)
def extensions_of_c(live):
    import decimal
    import hashlib
    import ssl
    import zlib

    ssl.create_default_context()
    assert hashlib.sha256(zlib.compress(b"x" * 1000)).hexdigest()
    assert decimal.Decimal("1.1") + 1
    import greenlet

    greenlet.greenlet(lambda: 1).switch()


@way(HARMLESS)
def files(live):
    Path(live.scratch_folder, "file").write_text("x")
    Path(live.scratch_folder, "file").unlink()


@way(HARMLESS)
def socket_pairs(live):
    left, right = socket.socketpair()
    left.send(b"x")
    assert right.recv(1) == b"x"


@way(HARMLESS)
def itself(live):
    os.kill(os.getpid(), 0)
    signal.raise_signal(signal.SIGCHLD)


def main():
    live = Live(**json.loads(sys.argv[1]), joined=[])
    from alembic_rescue.worker.isolation import guard

    asked = {"host": live.host, "port": live.port, "database": live.database, "user": live.user}
    by_socket = {**asked, "host": live.folder, "user": "postgres"}
    routes = guard.Routes()
    for one in (asked, by_socket, {**asked, "host": live.host + ",127.0.0.1"}):
        routes.add(one, live.scratch)
    routes.add_file(live.sqlite, Path(live.scratch_folder, "scratch.db"))
    live.open_socket = socket.create_connection((live.host, live.port))  # nothing may be sent on it
    if live.held_by == "hook":
        from alembic_rescue.servers import seccomp

        seccomp.available = lambda: False  # as if the kernel had no such filter
    guard.lead_away(routes)
    told = {}
    for name, function in LED.items():
        told[f"before {name}"] = attempt(guard, function, live)
    guard.bound_memory()
    told["held"] = vars(guard.close(routes))
    for kind in (HARMLESS, LED, OUT):
        for name, function in kind.items():
            told[name] = attempt(guard, function, live)
    for name, statement in STATEMENTS.items():
        told[f"sql {name}"] = attempt(
            guard, lambda _, sql=statement: statement_run(live, sql.format(marker=live.marker, dsn=live.dsn)), live
        )
    print(json.dumps(told), file=sys.__stdout__)


def statement_run(live, sql):
    import psycopg2

    connection = psycopg2.connect(live.dsn)
    connection.autocommit = True
    try:
        connection.cursor().execute(sql)
    finally:
        connection.close()


def attempt(guard, function, live):
    before = len(guard.refusals)
    error = ""
    try:
        function(live)
    except BaseException:  # noqa: BLE001
        error = traceback.format_exc(limit=-4)
    while live.joined:
        live.joined.pop().join()
    new = guard.refusals[before:]
    return {
        "error": error,
        "refused": [one.what for one in new],
        "asked": [any(frame[2] == function.__name__ for frame in (*one.started, *one.stack)) for one in new],
    }


if __name__ == "__main__":
    main()
