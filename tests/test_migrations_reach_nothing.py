"""Whatever a migration tries during an inspection, the project's database is unchanged (promise 1).

The ways are in ``writes.py``; here each is a revision of a real project, inspected by the command and by the API.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from tests import chains, writes
from tests.conftest import BIN, Database, ProjectCopy
from tests.servers import PASSWORD, ROLE
from tests.watching import ServerLog, everything

TRACE = 'op.execute("CREATE TABLE trace (how text); CREATE SEQUENCE counted; CREATE TABLE other (id serial)")'


def swallowed(body: str) -> str:
    return "try:\n" + textwrap.indent(body, "    ") + "\nexcept BaseException:\n    pass\n"


def project_of(root: Path, database: Database, bodies: dict[str, str], **options: str) -> ProjectCopy:
    """A project with these revisions after one that creates the table; the database is at that one."""
    port = database.server.port
    live = {"host": "127.0.0.1", "port": port, "user": ROLE, "password": PASSWORD, "dbname": database.name}
    header = writes.header(live, database.url, database.dsn)
    chains.write(root / "project", database.url, {"made": TRACE, **bodies}, header=header, **options)
    project = ProjectCopy(root / "project", root / "state", database)
    upgraded = project.alembic("upgrade", "made")
    assert upgraded.status == 0, upgraded.stderr
    return project


def written(ways: dict[str, Callable[[], None]]) -> dict[str, str]:
    return {name: writes.body(function) for name, function in ways.items()}


def sessions_of_others(log: ServerLog, before: set[int]) -> dict[int, list[str]]:
    return {pid: said for pid, said in log.sessions.items() if pid not in before}


@pytest.mark.parametrize("form", ["raising", "swallowing"])
def test_each_way(database: Database, tmp_path: Path, form: str) -> None:
    bodies = written(writes.WRITES)
    if form == "swallowing":
        bodies = {name: swallowed(body) for name, body in bodies.items()}
    project = project_of(tmp_path, database, bodies)
    before, log = everything(database), ServerLog(database)
    looked = project.rescue("--format", "json", "diagnose")
    assert everything(database) == before
    assert "INSERT INTO trace" not in " ".join(sql for _, sql in log.statements)
    assert database.run("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'rescue_test_slot'") == [(0,)]
    verdicts = {r["revision"]: r["verdict"] for r in looked.json["databases"][0]["revisions"]}
    assert set(verdicts) == set(bodies)
    assert not [name for name, verdict in verdicts.items() if verdict in {"applied", "empty"}], verdicts


@pytest.mark.parametrize("name", writes.ENDS)
def test_ways_that_end_the_process(database: Database, tmp_path: Path, name: str) -> None:
    bodies = {"ends": writes.body(writes.ENDS[name]), "after": 'op.add_column("other", sa.Column("a", sa.Integer))'}
    project = project_of(tmp_path, database, bodies)
    before = everything(database)
    looked = project.rescue("--format", "json", "diagnose")
    assert everything(database) == before
    verdicts = {r["revision"]: r["verdict"] for r in looked.json["databases"][0]["revisions"]}
    assert verdicts["ends"] not in {"applied", "empty"} or name == "stdout_closed"  # which a protocol survives
    assert verdicts["after"] in {"not-applied", "unverifiable"}


def test_a_revisions_file_that_writes_when_it_is_imported(database: Database, tmp_path: Path) -> None:
    """Not in ``upgrade()``, but in the module itself, for every command that loads the scripts."""
    project = project_of(tmp_path, database, {"later": 'op.add_column("other", sa.Column("a", sa.Integer))'})
    file = project.root / "alembic" / "versions" / "later.py"
    file.write_text(file.read_text() + "\ninsert()\n")
    before = everything(database)
    for look in (("diagnose",), ("diagnose", "--applied"), ("diagnose", "--locate"), ("plan", "later")):
        project.rescue(*look)
        assert everything(database) == before, look
    project.rescue("stamp", "later", "--yes", "--accept-missing", "later")
    assert database.run("SELECT * FROM trace") == []


def test_the_caller_of_the_api_is_not_disturbed(database: Database, tmp_path: Path) -> None:
    """Connections, threads and modules of the calling program are its own; nothing is redirected there."""
    project = project_of(tmp_path, database, written(writes.WRITES))
    chain = chains.Chain(project.root, database.url, tuple(writes.WRITES))
    connect, connection = psycopg2.connect, psycopg2.connect(database.dsn)
    before = everything(database, present=1)
    chain.diagnose()
    assert everything(database, present=1) == before
    assert psycopg2.connect is connect
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (database.name,)
    connection.close()


@pytest.mark.slow
def test_the_ways_do_write_if_nothing_stops_them(database: Database, tmp_path: Path) -> None:
    """Otherwise the other tests would prove nothing."""
    bodies = {name: swallowed(body) for name, body in written(writes.WRITES).items() if name not in writes.BEYOND}
    project = project_of(tmp_path, database, bodies, options="transaction_per_migration=True")
    ran = project.run([str(BIN / "alembic"), "upgrade", "head"])
    assert ran.status == 0, ran.stderr
    assert set(bodies) - {how for (how,) in database.run("SELECT how FROM trace")} == set()
