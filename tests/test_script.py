"""``script``: the plan of a real project as a file, which does what ``stamp`` does."""

from __future__ import annotations

import re
import stat
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

import alembic_rescue
from alembic_rescue import errors, scripting
from alembic_rescue.client import Project
from alembic_rescue.dialects.handover import Standing
from alembic_rescue.model import Outcome
from alembic_rescue.redact import Secrets
from tests import chains, servers
from tests.conftest import ProjectCopy, fresh_database, server_of
from tests.graphs import Node, write_project
from tests.handing_over import FORMS, SCRIPTS, Host, found_by_shellcheck
from tests.test_gate import MARKED
from tests.test_several_databases import tenants
from tests.writing import write_env

pytestmark = pytest.mark.slow
__all__ = ["tenants"]

OLD, NEW = "b354d12d1e7d", "774225e563ca"
OTHER_WAYS = ["postgresql+asyncpg", "postgres", "postgresql+psycopg"]


@pytest.fixture
def stuck(project, database):
    """The incident: all objects of NEW exist, and the version is OLD."""
    incident = project("incident", database)
    assert incident.alembic("upgrade", NEW).status == 0
    database.stand_at(OLD)
    return incident


def make(project, shell, target, *more):
    """Create the file with ``--out``, and return a host that runs it."""
    made = project.rescue("script", target, "--for", shell, "--out", str(project.root / f"stamp.{shell}"), *more)
    assert made.status == 0, made.everything
    return Host(project.root, project.database)


# --- the same as a stamp -----------------------------------------------------------------------------------------


@FORMS
def test_the_incident_is_stamped_and_reverted_and_alembic_continues(stuck, database, shell):
    host = make(stuck, shell, "7742", "--reason", "deployment 4711")
    text = (stuck.root / f"stamp.{shell}").read_text()
    for told in (
        "deployment 4711",
        "sha256:",
        NEW,
        f"{database.name} at 127.0.0.1",
        "alembic-rescue script 7742 --for",
    ):
        assert told in text
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert database.versions() == [NEW]
    assert "6 revisions" in done.stdout
    assert host.back(shell).status == 0
    assert database.versions() == [OLD]
    assert host.stamp(shell).status == 0
    assert stuck.alembic("upgrade", "head").status == 0
    assert host.stamp(shell).status == 3
    assert host.back(shell).status == 3


@FORMS
def test_an_object_that_disappears_before_it_is_run_is_noticed(stuck, database, shell):
    host = make(stuck, shell, NEW)
    database.run("DROP TABLE document_reviews")
    done = host.stamp(shell)
    assert done.status == 3
    assert "table public.document_reviews is not there any more" in done.stderr
    assert database.versions() == [OLD]


FORK = (Node("root"), Node("left", ("root",)), Node("right", ("root",)))
MERGED = (*FORK, Node("merged", ("left", "right")), Node("after", ("merged",)))
TWO = (Node("shop1"), Node("shop2", ("shop1",)), Node("plug1"), Node("plug2", ("plug1",), depends_on=("shop2",)))
GRAPHS = {
    "linear": ((Node("one"), Node("two", ("one",)), Node("three", ("two",))), ["one"], "three"),
    "from an empty table": ((Node("one"), Node("two", ("one",))), [], "two"),
    "onto one branch": (FORK, ["root"], "left"),
    "a branch begins": (FORK, ["left"], "right"),
    "both heads": (FORK, ["root"], "heads"),
    "a merge": (MERGED, ["left", "right"], "merged"),
    "over a merge": (MERGED, ["root"], "after"),
    "half a merge": (MERGED, ["left"], "merged"),
    "two bases": (TWO, ["shop1", "plug1"], "shop2"),
    "a dependency takes a row over": (TWO, ["shop1", "plug1"], "plug2"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_it_leaves_the_rows_that_a_stamp_leaves(tmp_path, database, name):
    nodes, rows, target = GRAPHS[name]
    project = alembic_rescue.load(str(write_project(tmp_path / "project", nodes, database.url)))
    database.stand_at(*rows)
    host = Host(tmp_path, database)
    for shell in SCRIPTS.shells:
        (tmp_path / f"stamp.{shell}").write_text(alembic_rescue.script(project, target, shell).text)
    alembic_rescue.stamp(project, target, confirm=lambda _: True, folder=tmp_path / "receipts")
    by_stamp = database.versions()
    assert by_stamp != sorted(rows)
    for shell in SCRIPTS.shells:
        database.stand_at(*rows)
        done = host.stamp(shell)
        assert done.status == 0, done.everything
        assert database.versions() == by_stamp
        assert host.back(shell).status == 0
        assert database.versions() == sorted(rows)


def test_without_a_version_table_it_creates_one(tmp_path, database):
    write_project(tmp_path / "project", GRAPHS["linear"][0], database.url)
    project = ProjectCopy(tmp_path / "project", tmp_path / "state", database)
    host = make(project, "bash", "two")
    assert database.run("SELECT to_regclass('alembic_version')") == [(None,)]
    assert host.stamp("bash").status == 0
    assert database.versions() == ["two"]
    assert project.alembic("upgrade", "head").status == 0


@FORMS
def test_on_postgresql_16_with_its_own_psql(project, shell):
    with fresh_database(server_of(16)) as database:
        incident = project("incident", database)
        assert incident.alembic("upgrade", NEW).status == 0
        database.stand_at(OLD)
        make(incident, shell, NEW)
        done = Host(incident.root, database, 16).stamp(shell)
        assert done.status == 0, done.everything
        assert database.versions() == [NEW]


@pytest.mark.parametrize("drivername", OTHER_WAYS)
def test_the_applications_url_works(stuck, database, drivername):
    host = make(stuck, "bash", NEW)
    url = database.url.replace("postgresql+psycopg2", drivername)
    assert host.bash("--yes", DATABASE_URL=url).status == 0
    assert database.versions() == [NEW]


# --- what it says, and where -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shell", "mode"), [("bash", 0o700), ("psql", 0o600)])
def test_the_file_is_private_to_the_user_and_the_same_text_goes_to_stdout(stuck, shell, mode):
    make(stuck, shell, NEW)
    path = stuck.root / f"stamp.{shell}"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    printed = stuck.rescue("script", NEW, "--for", shell)
    assert printed.status == 0
    assert without_times(printed.stdout) == without_times(path.read_text())
    assert servers.PASSWORD not in printed.everything
    if shell == "bash":
        assert found_by_shellcheck(path) == ""


def without_times(text):
    year = str(datetime.now(timezone.utc).year)
    made = ("# Made", "-- Made", "made_at", "made_with")
    return [line for line in text.splitlines() if not (line.startswith(made) and year in line)]


def test_the_document_has_the_script_and_the_plan(stuck):
    document = stuck.rescue_json("script", NEW, "--for", "psql")
    plan = stuck.rescue_json("plan", NEW)
    assert document["command"] == "script"
    assert document["outcome"] == "ready"
    assert document["fingerprint"] == plan["fingerprint"]
    assert "COMMIT;" in document["script"]
    assert document["not_asked"] == []
    assert servers.PASSWORD not in str(document)


def test_the_options_that_were_typed_are_in_the_next_step(stuck):
    made = stuck.rescue("-c", "alembic.ini", "script", NEW, "--for", "bash")
    assert made.status == 0, made.everything
    assert "next_step='alembic -c alembic.ini upgrade head'" in made.stdout


def test_it_says_how_the_file_is_run(stuck, database):
    for shell, name in (("bash", "stamp.bash"), ("psql", "to the host/stamp it.sql")):
        (stuck.root / "to the host").mkdir(exist_ok=True)
        made = stuck.rescue("script", NEW, "--for", shell, "--out", name)
        assert made.status == 0
        if shell == "bash":
            assert "\n    DATABASE_URL=... bash stamp.bash\n" in made.stdout
            assert "The script asks before it writes. To check only, add --dry-run.\n" in made.stdout
    way = f"PGHOST=127.0.0.1 PGPORT={database.server.port} PGUSER={servers.ROLE} PGDATABASE={database.name}"
    run = re.search(f"{re.escape(way)} psql .*", made.stdout)
    assert run, made.stdout
    assert "psql asks for the password" in made.stdout
    done = Host(stuck.root, database).run("bash", "-c", run[0], DATABASE_URL="", PGPASSWORD=servers.PASSWORD)
    assert (done.status, database.versions()) == (0, [NEW]), done.everything


def test_a_dash_is_stdout(stuck):
    made = stuck.rescue("script", NEW, "--for", "psql", "--out", "-")
    assert (made.status, "COMMIT;" in made.stdout, (stuck.root / "-").exists()) == (0, True, False)


def test_at_the_target_there_is_nothing_to_do_and_no_file(stuck, database):
    database.stand_at(NEW)
    for more in (["--out", "stamp.bash"], []):
        made = stuck.rescue("script", NEW, "--for", "bash", *more)
        assert (made.status, made.stdout) == (0, ""), made.everything
        assert made.stderr.endswith("No file was written: there is nothing to do.\n")
        assert "the database is already at this revision" in made.stderr
    assert not (stuck.root / "stamp.bash").exists()
    assert stuck.rescue_json("script", NEW, "--for", "bash")["script"] is None


def test_a_refused_plan_gives_no_script(stuck, database):
    database.run("DROP TABLE document_reviews")
    for more in (["--out", "stamp.bash"], []):
        refused = stuck.rescue("script", NEW, "--for", "bash", *more)
        assert (refused.status, refused.stdout) == (3, "")
        assert "error[revision-partial]" in refused.stderr
        assert "document_reviews" in refused.stderr
        assert refused.stderr.endswith("No file was written: the plan is refused.\n")
    assert "document_reviews" in stuck.rescue("plan", NEW).stdout, "of a plan it is the answer"
    assert not (stuck.root / "stamp.bash").exists()
    document = stuck.rescue_json("script", NEW, "--for", "bash")
    assert document["outcome"] == "refused"
    assert "script" not in document


@pytest.mark.parametrize("target", [OLD, "nothing"])
def test_a_target_behind_and_an_unknown_one_are_refused_as_by_stamp(stuck, database, target):
    database.stand_at(NEW)
    assert stuck.rescue("script", target, "--for", "psql").status == 3


def test_accepted_revisions_are_reported_as_unchecked(project, database):
    orders = project("orders", database)
    assert orders.alembic("upgrade", "head").status == 0
    database.run("DELETE FROM alembic_version")
    assert orders.rescue("script", "head", "--for", "bash").status == 3
    made = orders.rescue("script", "head", "--for", "bash", "--accept", MARKED)
    assert made.status == 0, made.everything
    told = f"of {MARKED}: it cannot be verified, and was accepted"
    assert f"note: the script does not check UPDATE orders SET state = 'old' WHERE id < 1000 {told}" in (made.stderr)
    assert told in made.stdout
    assert "(unverifiable, accepted)" in made.stdout


BODIES = {
    "one": "def upgrade():\n    op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))",
    "two": """def upgrade():
    op.execute("ALTER TABLE users ADD COLUMN token text DEFAULT 'password=hunter2-and-more'")
    op.execute("CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x'")
    op.execute("COMMENT ON TABLE users IS 'people'")
    op.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    op.drop_index('gone')
""",
}


@pytest.fixture
def chain(tmp_path, database):
    """A chain whose second revision changes what the first has created, drops something, and contains a secret."""
    bodies = {**BODIES, "one": BODIES["one"] + "\n    op.create_index('gone', 'users', ['id'])"}
    made = chains.write(tmp_path / "project", database.url, bodies)
    made.upgrade("two")
    database.stand_at("one")
    return made


def test_a_secret_in_a_definition_is_not_in_the_file_and_that_is_reported(chain):
    made = alembic_rescue.script(chain.load(), "two", "bash")
    assert made.report.outcome is Outcome.READY
    assert made.text is not None
    assert "hunter2" not in made.text
    assert any("the definition of column public.users.token" in told for told in made.not_asked), made.not_asked
    assert "the definition of column public.users.token" in made.text


def test_a_password_among_a_servers_options_is_not_in_the_file():
    away = Standing("server", "away", {"srvname": "away", "srvoptions": '["host=db", "password=hunter2-and-more"]'})
    near = Standing("server", "near", {"srvname": "near", "srvoptions": '["host=db"]'})
    there, hidden = scripting._without_secrets([away, near], Secrets())
    assert there == (away._replace(facts=None), near)
    assert len(hidden) == 1
    assert "server away" in hidden[0]


@pytest.mark.parametrize(
    "changed",
    [
        "ALTER TABLE users DROP token",
        "DROP FUNCTION twice",
        "COMMENT ON TABLE users IS NULL",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "CREATE INDEX gone ON users (id)",
    ],
)
def test_what_a_revision_only_changed_or_dropped_is_checked_too(chain, database, tmp_path, changed):
    (tmp_path / "stamp.bash").write_text(alembic_rescue.script(chain.load(), "two", "bash").text)
    host = Host(tmp_path, database)
    assert host.bash("--dry-run").status == 0
    database.run(changed)
    refused = host.stamp("bash")
    assert refused.status == 3, refused.everything
    assert "What was proved does not hold any more" in refused.stderr


# --- when there is none ------------------------------------------------------------------------------------------


def test_of_several_databases_one_must_be_named(tenants):
    refused = tenants.rescue("script", "aaaa0003", "--for", "bash")
    assert refused.status == 3
    assert "error[script-for-one-database]" in refused.stderr
    for tenant in ("blue", "green", "red"):
        assert f"alembic-rescue script aaaa0003 --for bash --only {tenant}" in refused.stderr
    (tenants.root / "stamp.bash").write_text(
        tenants.rescue("script", "aaaa0003", "--for", "bash", "--only", "green").stdout
    )
    done = Host(tenants.root, tenants.database).stamp("bash")
    assert done.status == 0, done.everything
    rows = [tenants.database.versions(f"{tenant}.alembic_version") for tenant in ("blue", "green", "red")]
    assert rows == [["aaaa0001"], ["aaaa0003"], ["aaaa0001"]]


@FORMS
def test_another_dialect_is_refused(tmp_path, shell):
    write_project(tmp_path / "project", GRAPHS["linear"][0], f"sqlite:///{tmp_path}/shop.sqlite")
    (tmp_path / "shop.sqlite").touch()
    refused = ProjectCopy(tmp_path / "project", tmp_path / "state").rescue("script", "two", "--for", shell)
    assert refused.status == 3, refused.everything
    assert "error[no-script-for-dialect]: scripts are not available for SQLite, only for PostgreSQL" in refused.stderr


def test_an_unknown_shell_is_a_usage_error(stuck):
    assert stuck.rescue("script", NEW, "--for", "fish").status == 2
    assert stuck.rescue("script", NEW).status == 2


def test_a_file_that_cannot_be_written_is_a_usage_error(stuck):
    refused = stuck.rescue("script", NEW, "--for", "bash", "--out", "nowhere/stamp.bash")
    assert refused.status == 2
    assert "error[cannot-write-file]" in refused.stderr


def test_another_file_is_not_overwritten_but_an_older_script_is(stuck):
    (stuck.root / "stamp.bash").write_text("somebody's work")
    refused = stuck.rescue("script", NEW, "--for", "bash", "--out", "stamp.bash")
    assert refused.status == 2
    assert "it already exists and is not such a script" in refused.stderr
    assert (stuck.root / "stamp.bash").read_text() == "somebody's work"
    for _ in range(2):
        assert stuck.rescue("script", NEW, "--for", "bash", "--out", "again.bash").status == 0


@pytest.mark.parametrize("what", ["DROP TABLE b", "ALTER TABLE b ALTER id TYPE bigint"])
def test_a_change_while_it_is_made_is_noticed(database, tmp_path, monkeypatch, what):
    tables = [f"op.create_table('{name}', sa.Column('id', sa.Integer))" for name in "ab"]
    chain = chains.write(tmp_path / "project", database.url, tables)
    chain.upgrade("r2")
    database.stand_at("r1")
    read = Project.standing

    def standing(self, *asked):
        database.run(what)
        return read(self, *asked)

    monkeypatch.setattr(Project, "standing", standing)
    with pytest.raises(errors.Refusal) as refused:
        alembic_rescue.script(chain.load(), "r2", "bash")
    assert refused.value.code == "script-moved"


def test_a_name_that_cannot_be_printed_is_refused():
    error = errors.ScriptCannotName("two\nlines")
    assert (error.code, error.exit_status) == ("script-cannot-name", 3)
    identity = SimpleNamespace(schema=None, version_table="two\nlines", dialect="postgresql")
    part = SimpleNamespace(database=SimpleNamespace(identity=identity))
    with pytest.raises(errors.ScriptCannotName):
        scripting.of_one(SimpleNamespace(databases=[part]), NEW, "bash")


def test_if_an_id_is_a_known_secret_there_is_no_script(stuck):
    refused = stuck.rescue("script", NEW, "--for", "bash", APP_SECRET_KEY=NEW)
    assert refused.status == 3, refused.everything
    assert "error[script-holds-secret]" in refused.stderr


ASYNCHRONOUS = """
import asyncio
from sqlalchemy.ext.asyncio import create_async_engine

def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    async with create_async_engine({url!r}, poolclass=pool.NullPool).connect() as connection:
        await connection.run_sync(migrate)

asyncio.run(main())
"""


def test_with_an_asynchronous_driver_it_is_the_same(stuck, database):
    write_env(stuck, engine="None", body=ASYNCHRONOUS.format(url=database.url.replace("psycopg2", "asyncpg")))
    host = make(stuck, "psql", NEW)
    database.run("ALTER TABLE documents ALTER version SET DEFAULT 2")
    assert host.stamp("psql").status == 3
    database.run("ALTER TABLE documents ALTER version SET DEFAULT 1")
    assert host.stamp("psql").status == 0
    assert database.versions() == [NEW]
