"""``upgrade --rehearse`` and ``--verify``, several databases, other dialects, and typical projects."""

from __future__ import annotations

import socket
import sqlite3

import pytest

from tests import chains, silent_proxy
from tests.conftest import ProjectCopy
from tests.upgrades import SHOP, SLEEPS, written
from tests.watching import blocked_by

pytestmark = pytest.mark.slow

SKIPS_HERE = """
    if not sa.inspect(op.get_bind()).has_table("marker"):
        op.create_table("t4", sa.Column("id", sa.Integer))
"""


def test_nothing_runs_if_the_rehearsal_fails(tmp_path, database):
    shop = written(tmp_path, database, {**SHOP, "r4": "op.execute('SELECT 1/0')"})
    shop.alembic("upgrade", "r1")
    refused = shop.rescue("upgrade", "--rehearse")
    assert (refused.status, database.versions()) == (3, ["r1"])
    assert (
        "error[rehearsal-failed]: the rehearsal failed, so nothing was run: r4 fails: division by zero"
        in refused.stderr
    )
    assert "alembic/versions/r4.py:9" in refused.stdout
    assert shop.rescue_json("upgrade", "--rehearse")["outcome"] == "refused"
    passes = shop.rescue("upgrade", "--rehearse", "r3")
    assert (passes.status, database.versions()) == (0, ["r3"]), passes.everything


def test_revisions_that_ran_are_proved(tmp_path, database):
    shop = written(tmp_path, database, {**SHOP, "r4": SKIPS_HERE})
    proved = shop.rescue("upgrade", "--verify", "r3")
    assert proved.status == 0
    assert "Proved: nothing is missing from the 3 applied revisions" in proved.stdout
    database.run("CREATE TABLE marker (id int)")
    lacking = shop.rescue("upgrade", "--verify")
    assert (lacking.status, database.versions()) == (5, ["r4"])
    assert "error[upgrade-not-proved]: " in lacking.stderr
    assert "t4" in lacking.stdout
    assert shop.rescue("upgrade", "--verify").status == 0, "nothing ran"


def test_without_a_scratch_database_to_prove_it_on_nothing_is_run(tmp_path, database):
    shop = written(tmp_path, database)
    refused = shop.rescue("--scratch", "none", "upgrade", "--verify")
    assert (refused.status, database.versions()) == (2, []), refused.everything
    assert "error[scratch-missing]: --verify cannot prove anything, so nothing was run: " in refused.stderr


@pytest.mark.parametrize(
    "name", ["env_engine_begin", "env_transaction_per_migration", "env_with_statements", "linear", "two_branches"]
)
def test_projects_upgrade_as_with_alembic(project, database, scratch, name):
    ours, theirs = project(name, database), scratch
    done = ours.rescue("upgrade")
    assert done.status == 0, done.everything
    ours.set_url(theirs.url)
    assert ours.alembic("upgrade", "heads").status == 0
    assert database.versions() == theirs.versions() != []
    ours.set_url(database.url)
    assert ours.rescue_json("upgrade")["outcome"] == "nothing-to-do"


SEVERAL = """\
from alembic import context
from sqlalchemy import create_engine

for url in context.config.get_main_option("sqlalchemy.url").split():
    with create_engine(url).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


def test_several_databases_in_one_run(tmp_path, database, scratch):
    body = "if sa.inspect(op.get_bind()).has_table('stops'): op.execute('SELECT 1/0')"
    shop = written(tmp_path, database, {**SHOP, "r4": body}, url=f"{database.url} {scratch.url}", env=SEVERAL)
    scratch.run("CREATE TABLE stops (id int)")
    document = shop.rescue_json("--scratch", "none", "upgrade")
    assert document["error"]["code"] == "migration-failed"
    assert (database.versions(), scratch.versions()) == (["r4"], [])
    assert (
        f"{database.name} at 127.0.0.1:{database.server.port} is at r4; it was at base (no row)"
        in document["error"]["help"]
    )
    scratch.run("DROP TABLE stops")
    document = shop.rescue_json("upgrade")
    assert document["outcome"] == "upgraded"
    assert [part["ran"] for part in document["databases"]] == [[], ["r1", "r2", "r3", "r4"]]
    assert shop.rescue_json("upgrade")["outcome"] == "nothing-to-do"


def test_a_lock_in_one_of_several_databases(tmp_path, database, scratch):
    body = "op.add_column('t1', sa.Column('name', sa.Text))"
    shop = written(tmp_path, database, {**SHOP, "r4": body}, url=f"{database.url} {scratch.url}", env=SEVERAL)
    shop.alembic("upgrade", "r3")
    with blocked_by(scratch, "SELECT * FROM t1"):
        failed = shop.rescue("--scratch", "none", "upgrade", "--lock-timeout", "0.4", "--retries", "1")
    assert (failed.status, database.versions(), scratch.versions()) == (4, ["r4"], ["r3"]), failed.everything
    assert "Trying again" in failed.stderr, "what the other has is recorded there"
    assert shop.rescue("upgrade").status == 0


def test_sqlite(tmp_path):
    file = tmp_path / "shop.db"
    root = chains.write(tmp_path / "project", f"sqlite:///{file}", {**SHOP, "r4": "op.execute('SELECT nosuch()')"}).root
    shop = ProjectCopy(root, tmp_path / "state")
    file.touch()
    first = shop.rescue("upgrade", "r3")
    assert first.status == 0, first.everything
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("r3",)]
    failed = shop.rescue("upgrade")
    assert failed.status == 3
    assert "error[migration-failed]: r4 failed at alembic/versions/r4.py:9: no such function: nosuch" in failed.stderr


def test_mariadb(tmp_path, maria):
    root = chains.write(tmp_path / "project", maria.url, {**SHOP, "r4": "op.execute('SELECT nosuch()')"}).root
    shop = ProjectCopy(root, tmp_path / "state")
    replicas = [shop.started("upgrade", "r3") for _ in range(3)]
    for one in replicas:
        one.communicate(timeout=120)
    assert [one.returncode for one in replicas] == [0, 0, 0]
    assert shop.rescue("--scratch", "none", "upgrade").status == 3


def test_a_silent_server_is_disconnected(tmp_path, database):
    def connect():
        return socket.create_connection(("127.0.0.1", database.server.port))

    with silent_proxy.between(connect, rb"pg_sleep", then=silent_proxy.Then.UNANSWERED) as proxy:
        behind = database.url.replace(f":{database.server.port}/", f":{proxy.port}/")
        shop = written(tmp_path, database, {**SHOP, "r4": SLEEPS}, url=behind)
        silent = shop.rescue("upgrade")
    assert silent.status == 4
    assert "the server went silent: no answer for 30 s to SELECT pg_sleep(60)" in silent.stderr


@pytest.mark.parametrize("format_", ["markdown", "html", "github"])
def test_document_formats(tmp_path, database, format_):
    shop = written(tmp_path, database, {**SHOP, "r4": "op.execute('SELECT 1/0')"})
    done = shop.rescue("--format", format_, "upgrade", "r3").stdout
    assert "Upgraded" in done
    assert "database here" in done, "the picture of the chain"
    assert "r4" in done
    failed = shop.rescue("--format", format_, "upgrade")
    assert failed.status == 3
    assert 0 < failed.stdout.index("r4 failed at") < failed.stdout.index("Recommendation")
