"""Ways in which a migration could write to the project's database, or reach it, during an inspection.

Each function is the body of an ``upgrade()``; unguarded, it leaves a row with its own name in table ``trace``.
LIVE, URL, SOCKET and NAME are set in the revision's file.
"""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

LIVE: dict[str, Any] = {}
"""Arguments of ``psycopg2.connect``, for the project's database."""
URL = ""
SOCKET = ""
"""libpq's connection string for the same database, through the socket, as superuser."""
NAME = ""
SQL = f"INSERT INTO trace VALUES ('{NAME}')"


def insert(**instead):
    import psycopg2

    connection = psycopg2.connect(**{**LIVE, **instead})
    connection.autocommit = True
    connection.cursor().execute(SQL)
    connection.close()


def program():
    return f"import psycopg2\nc = psycopg2.connect(**{LIVE!r})\nc.autocommit = True\nc.cursor().execute({SQL!r})\n"


SUPPORT = (insert, program)
WRITES: dict[str, Callable[[], None]] = {}
BEYOND = {
    # What else it needs: an extension, a server setting, or an end of the process.
    *(
        "dblink",
        "postgres_fdw",
        "copy_to_program",
        "subscription",
        "at_exit",
        "when_it_is_collected",
        "libpq_by_ctypes",
    ),
    *("bare_socket", "bare_socket_by_c", "socket_of_the_server", "http", "asyncio_socket", "replication_slot"),
    *("large_object_exported", "another_alembic_stamps", "spawned_by_multiprocessing", "process_pool"),
}
"""Those that leave no row when they are tried unguarded as a plain role."""


def way(function: Callable[[], None]) -> Callable[[], None]:
    WRITES[function.__name__] = function
    return function


# --- through the connection that it is given ------------------------------------------------------------------------


@way
def op_execute():
    op.execute(SQL)


@way
def cursor_of_the_connection():
    op.get_bind().connection.cursor().execute(SQL)


@way
def driver_s_connection():
    raw = op.get_bind().connection.dbapi_connection
    raw.cursor().execute(SQL)
    raw.commit()


@way
def engine_s_other_connection():
    with op.get_bind().engine.begin() as connection:
        connection.execute(sa.text(SQL))


@way
def raw_connection():
    raw = op.get_bind().engine.raw_connection()
    raw.cursor().execute(SQL)
    raw.commit()
    raw.close()


@way
def autocommit_block():
    with op.get_context().autocommit_block():
        op.execute(SQL)


@way
def writable_again():
    op.execute("SET TRANSACTION READ WRITE")
    op.execute(SQL)


@way
def session_writable_again():
    op.execute("COMMIT")
    op.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    op.execute("SET default_transaction_read_only = off")
    op.execute("BEGIN")
    op.execute(SQL)
    op.execute("COMMIT")


@way
def committed_by_hand():
    op.execute(f"{SQL}; COMMIT; BEGIN")


@way
def autocommit_of_the_driver():
    with op.get_bind().engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(SQL))


@way
def sequence_and_row():
    op.get_bind().execute(sa.text("SELECT nextval('counted')"))
    op.execute(SQL)


@way
def large_object():
    op.execute("SELECT lo_from_bytea(0, 'x')")
    op.execute(SQL)


@way
def replication_slot():
    op.execute("SELECT pg_create_physical_replication_slot('rescue_test_slot', true)")


@way
def large_object_exported():
    op.execute("SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/rescue_test_export')")


# --- through SQLAlchemy -----------------------------------------------------------------------------------------------


@way
def engine_of_its_own():
    with sa.create_engine(URL).begin() as connection:
        connection.execute(sa.text(SQL))


@way
def engine_in_autocommit():
    with sa.create_engine(URL, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(SQL))


@way
def engine_with_a_creator():
    import psycopg2

    with sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(**LIVE)).begin() as connection:
        connection.execute(sa.text(SQL))


@way
def engine_that_sets_the_host_back():
    engine = sa.create_engine("postgresql+psycopg2://x@nowhere.invalid/x")

    @sa.event.listens_for(engine, "do_connect")
    def lead_back(_dialect, _record, args, kwargs):
        args.clear()
        kwargs.clear()
        kwargs.update(LIVE)

    with engine.begin() as connection:
        connection.execute(sa.text(SQL))


@way
def engine_whose_listener_connects():
    import psycopg2

    engine = sa.create_engine("postgresql+psycopg2://x@nowhere.invalid/x")
    sa.event.listen(engine, "do_connect", lambda *_: psycopg2.connect(**LIVE))
    with engine.begin() as connection:
        connection.execute(sa.text(SQL))


@way
def pool_s_listener_writes():
    engine = sa.create_engine(URL)

    @sa.event.listens_for(engine, "connect")
    def write(raw, _record):
        raw.cursor().execute(SQL)
        raw.commit()

    engine.connect().close()


@way
def session_of_its_own():
    from sqlalchemy.orm import Session

    with Session(sa.create_engine(URL)) as session:
        session.execute(sa.text(SQL))
        session.commit()


@way
def dialect_by_itself():
    from sqlalchemy.dialects.postgresql import psycopg2

    raw = psycopg2.dialect(dbapi=psycopg2.dialect.import_dbapi()).connect(**LIVE)
    raw.cursor().execute(SQL)
    raw.commit()


@way
def asynchronous_engine():
    import asyncio

    from sqlalchemy.ext.asyncio import create_async_engine

    async def write():
        engine = create_async_engine(URL.replace("psycopg2", "asyncpg"))
        async with engine.begin() as connection:
            await connection.execute(sa.text(SQL))
        await engine.dispose()

    asyncio.run(write())


@way
def in_two_phases():
    with sa.create_engine(URL).connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(sa.text(SQL))
        transaction.prepare()
        transaction.commit()


@way
def another_alembic_upgrades():
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    with sa.create_engine(URL).begin() as connection:
        Operations(MigrationContext.configure(connection)).execute(SQL)


@way
def another_alembic_stamps():
    from alembic.migration import MigrationContext

    with sa.create_engine(URL).begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "other_version"})
        context._ensure_version_table()


# --- through the drivers themselves -----------------------------------------------------------------------------------


@way
def psycopg2_by_arguments():
    insert()


@way
def psycopg2_by_dsn():
    import psycopg2

    connection = psycopg2.connect(" ".join(f"{key}='{value}'" for key, value in LIVE.items()))
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_by_url():
    import psycopg2

    connection = psycopg2.connect(URL.replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_by_socket():
    import psycopg2

    connection = psycopg2.connect(SOCKET)
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_s_class():
    import psycopg2.extensions

    connection = psycopg2.extensions.connection(" ".join(f"{key}='{value}'" for key, value in LIVE.items()))
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_below():
    from psycopg2 import _psycopg

    connection = _psycopg._connect(" ".join(f"{key}='{value}'" for key, value in LIVE.items()))
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_s_subclass():
    import io

    import psycopg2
    import psycopg2.extras

    connection = psycopg2.connect(**LIVE, connection_factory=psycopg2.extras.LoggingConnection)
    connection.initialize(io.StringIO())
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_s_pool():
    from psycopg2.pool import ThreadedConnectionPool

    connection = ThreadedConnectionPool(1, 1, **LIVE).getconn()
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)


@way
def psycopg2_by_variables():
    import psycopg2

    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    os.environ.update({names[key]: str(value) for key, value in LIVE.items()})
    try:
        connection = psycopg2.connect("")
        with connection, connection.cursor() as cursor:
            cursor.execute(SQL)
    finally:
        for name in names.values():
            del os.environ[name]


@way
def psycopg2_by_service():
    import tempfile

    import psycopg2

    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as file:
        file.write("[there]\n" + "".join(f"{key}={value}\n" for key, value in LIVE.items()))
    os.environ["PGSERVICEFILE"] = file.name
    try:
        connection = psycopg2.connect("service=there")
        with connection, connection.cursor() as cursor:
            cursor.execute(SQL)
    finally:
        del os.environ["PGSERVICEFILE"]


@way
def psycopg2_by_several_hosts():
    insert(host=f"127.0.0.1,{LIVE['host']}", port=f"1,{LIVE['port']}")


@way
def psycopg2_by_hostaddr():
    insert(hostaddr=LIVE["host"], host="scratch.invalid", sslmode="disable")


@way
def psycopg2_imported_again():
    import sys

    taken = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "psycopg2"}
    try:
        insert()
    finally:
        sys.modules.update(taken)


@way
def psycopg2_reloaded():
    import importlib

    import psycopg2

    importlib.reload(psycopg2)
    insert()


@way
def psycopg3():
    import psycopg

    with psycopg.connect(**LIVE) as connection:
        connection.execute(SQL)


@way
def psycopg3_s_class():
    import psycopg

    with psycopg.Connection.connect(**LIVE, autocommit=True) as connection:
        connection.execute(SQL)


@way
def psycopg3_below():
    from psycopg import pq

    connection = pq.PGconn.connect(" ".join(f"{key}='{value}'" for key, value in LIVE.items()).encode())
    connection.exec_(SQL.encode())
    connection.finish()


@way
def psycopg3_asynchronous():
    import asyncio

    import psycopg

    async def write():
        async with await psycopg.AsyncConnection.connect(**LIVE, autocommit=True) as connection:
            await connection.execute(SQL)

    asyncio.run(write())


@way
def asyncpg_connects():
    import asyncio

    import asyncpg

    async def write():
        arguments = {**LIVE, "database": LIVE["dbname"]}
        del arguments["dbname"]
        connection = await asyncpg.connect(**arguments)
        await connection.execute(SQL)
        await connection.close()

    asyncio.run(write())


@way
def asyncpg_s_pool():
    import asyncio

    import asyncpg

    async def write():
        async with asyncpg.create_pool(URL.replace("+psycopg2", ""), min_size=1, max_size=1) as pool:
            await pool.execute(SQL)

    asyncio.run(write())


@way
def pg8000_connects():
    import pg8000.dbapi

    connection = pg8000.dbapi.connect(
        user=LIVE["user"],
        password=LIVE["password"],
        host=LIVE["host"],
        port=int(LIVE["port"]),
        database=LIVE["dbname"],
    )
    connection.cursor().execute(SQL)
    connection.commit()
    connection.close()


@way
def pg8000_native():
    import pg8000.native

    connection = pg8000.native.Connection(
        LIVE["user"], password=LIVE["password"], host=LIVE["host"], port=int(LIVE["port"]), database=LIVE["dbname"]
    )
    connection.run(SQL)
    connection.close()


@way
def libpq_by_ctypes():
    import ctypes
    from pathlib import Path

    import psycopg2

    bundled = (Path(psycopg2.__file__).parents[1] / "psycopg2_binary.libs").glob("libpq*")
    libpq = ctypes.CDLL(str(next(bundled)))
    libpq.PQconnectdb.restype = ctypes.c_void_p
    libpq.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    connection = libpq.PQconnectdb(" ".join(f"{key}='{value}'" for key, value in LIVE.items()).encode())
    libpq.PQexec(connection, SQL.encode())


# --- through the network ----------------------------------------------------------------------------------------------


@way
def bare_socket():
    import socket

    with socket.create_connection((LIVE["host"], int(LIVE["port"])), 3) as connection:
        connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        connection.recv(1)


@way
def bare_socket_by_c():
    import _socket

    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.connect((LIVE["host"], int(LIVE["port"])))
    connection.close()


@way
def socket_of_the_server():
    import socket

    folder = SOCKET.partition("host=")[2].split()[0]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{folder}/.s.PGSQL.{LIVE['port']}")


@way
def asyncio_socket():
    import asyncio

    async def reach():
        _, writer = await asyncio.open_connection(LIVE["host"], int(LIVE["port"]))
        writer.close()

    asyncio.run(reach())


@way
def http():
    import urllib.request

    urllib.request.urlopen(f"http://{LIVE['host']}:{LIVE['port']}/", timeout=2)


# --- through other processes ------------------------------------------------------------------------------------------


@way
def subprocess_runs():
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", program()], check=True, timeout=20)


@way
def subprocess_in_a_shell():
    import shlex
    import subprocess
    import sys

    subprocess.check_call(f"{shlex.quote(sys.executable)} -c {shlex.quote(program())}", shell=True, timeout=20)


@way
def os_system():
    import shlex
    import sys

    os.system(f"{shlex.quote(sys.executable)} -c {shlex.quote(program())}")


@way
def os_popen():
    import shlex
    import sys

    os.popen(f"{shlex.quote(sys.executable)} -c {shlex.quote(program())}").read()


@way
def posix_spawn():
    import sys

    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", program()], dict(os.environ))
    os.waitpid(pid, 0)


@way
def fork():
    pid = os.fork()
    if pid == 0:
        try:
            insert()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


@way
def fork_exec_below():
    import subprocess
    import sys

    taken = subprocess._USE_POSIX_SPAWN
    subprocess._USE_POSIX_SPAWN = False
    try:
        subprocess.Popen([sys.executable, "-c", program()], close_fds=True, start_new_session=True).wait(20)
    finally:
        subprocess._USE_POSIX_SPAWN = taken


@way
def system_by_ctypes():
    import ctypes
    import shlex
    import sys

    ctypes.CDLL(None).system(f"{shlex.quote(sys.executable)} -c {shlex.quote(program())}".encode())


@way
def forked_by_multiprocessing():
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=insert)
    process.start()
    process.join(20)


@way
def spawned_by_multiprocessing():
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=os.system, args=("true",))
    process.start()
    process.join(20)


@way
def process_pool():
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1) as pool:
        pool.submit(os.getpid).result(20)


@way
def asyncio_process():
    import asyncio
    import sys

    async def run():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program())
        await process.wait()

    asyncio.run(run())


@way
def pseudo_terminal():
    import pty
    import sys

    pty.spawn([sys.executable, "-c", program()], lambda descriptor: os.read(descriptor, 1024))


# --- later, or through somebody else ----------------------------------------------------------------------------------


@way
def thread():
    import threading

    worker = threading.Thread(target=insert)
    worker.start()
    worker.join()


@way
def thread_that_stays():
    import threading
    import time

    threading.Thread(target=lambda: (time.sleep(0.3), insert())).start()


@way
def timer():
    import threading

    threading.Timer(0.2, insert).start()


@way
def thread_pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        pool.submit(insert).result()


@way
def event_loop_in_a_thread():
    import asyncio
    import threading

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(asyncio.to_thread(insert), loop).result(20)


@way
def at_exit():
    import atexit

    atexit.register(insert)


@way
def when_it_is_collected():
    import weakref

    class Kept:
        pass

    op.kept = Kept()
    weakref.finalize(op.kept, insert)


@way
def alarm():
    import signal
    import time

    taken = signal.signal(signal.SIGALRM, lambda *_: insert())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(0.2)
    signal.signal(signal.SIGALRM, taken)


@way
def traced():
    import sys

    def write(*_):
        sys.setprofile(None)
        insert()

    sys.setprofile(write)
    len("")


@way
def listener_for_all_engines():
    done = []

    @sa.event.listens_for(sa.engine.Engine, "before_cursor_execute")
    def write(*_):
        if not done:
            done.append(True)
            insert()

    op.execute("SELECT 1")


@way
def logging_handler():
    import logging

    class Writes(logging.Handler):
        def emit(self, _record):
            logging.getLogger("alembic").removeHandler(self)
            insert()

    logging.getLogger("alembic").addHandler(Writes())
    logging.getLogger("alembic").error("now")


@way
def patched_connect():
    import psycopg2

    taken, arguments = psycopg2.connect, dict(LIVE)
    psycopg2.connect = lambda *_args, **_kwargs: taken(**arguments)
    try:
        with op.get_bind().engine.begin() as connection:
            connection.execute(sa.text(SQL))
    finally:
        psycopg2.connect = taken


# --- through the scratch server ---------------------------------------------------------------------------------------


@way
def dblink():
    op.execute("CREATE EXTENSION dblink")
    op.execute(f"SELECT dblink_exec('{SOCKET}', $$ {SQL} $$)")


@way
def postgres_fdw():
    op.execute("CREATE EXTENSION postgres_fdw")
    options = ", ".join(f"{key} '{LIVE[key]}'" for key in ("host", "port", "dbname"))
    op.execute(f"CREATE SERVER live FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({options})")
    op.execute(
        "CREATE USER MAPPING FOR CURRENT_USER SERVER live "
        f"OPTIONS (user '{LIVE['user']}', password '{LIVE['password']}')"
    )
    op.execute("CREATE FOREIGN TABLE far (how text) SERVER live OPTIONS (table_name 'trace')")
    op.execute(f"INSERT INTO far VALUES ('{NAME}')")


@way
def copy_to_program():
    op.execute(f"COPY (SELECT 1) TO PROGRAM $$psql '{SOCKET}' -c \"{SQL}\"$$")


@way
def subscription():
    words = " ".join(f"{key}={LIVE[key]}" for key in ("host", "port", "user", "password", "dbname"))
    op.execute(f"CREATE SUBSCRIPTION follows CONNECTION '{words}' PUBLICATION anything WITH (connect = true)")


# --- what ends the process --------------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[], None]] = {}
"""Ways to take the process along: another program in its place, or none."""


def end(function: Callable[[], None]) -> Callable[[], None]:
    ENDS[function.__name__] = function
    return function


@end
def another_program():
    import sys

    os.execv(sys.executable, [sys.executable, "-c", program()])


@end
def os_exit():
    os._exit(0)


@end
def killed():
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@end
def sys_exit():
    import sys

    sys.exit(0)


@end
def descriptors_closed():
    os.closerange(3, 256)


@end
def stdout_closed():
    import sys

    sys.stdout.close()
    os.close(1)


def body(function: Callable[[], None]) -> str:
    """Its statements."""
    source = inspect.getsource(function)
    return textwrap.dedent(source[source.index("():\n") + 4 :])


def header(live: dict[str, Any], url: str, socket: str) -> str:
    """The first lines of a revision's file, for `chains.write`."""
    values = f"LIVE = {live!r}\nURL = {url!r}\nSOCKET = {socket!r}\n"
    support = "\n\n".join(inspect.getsource(function) for function in SUPPORT)
    return (
        "import os\nimport sqlalchemy as sa\nfrom alembic import op\n\n"
        "revision = NAME = {revision!r}\ndown_revision = {down!r}\n"
        "SQL = f\"INSERT INTO trace VALUES ('{{NAME}}')\"\n" + (values + support).replace("{", "{{").replace("}", "}}")
    ) + "\n\n"
