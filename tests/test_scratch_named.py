"""A server given with ``--scratch``: copies are used there as on a private one, and everything is removed."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import psycopg2
import pytest

from alembic_rescue.scratch.bench import fitting
from tests import chains, servers
from tests.conftest import VERSIONS, ProjectCopy

BODIES = {
    "r1": "op.create_table('a', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Text))",
    "r2": "op.create_index('ix', 'a', ['n'])\nop.create_table('b', sa.Column('id', sa.Integer))",
    "r3": "op.add_column('b', sa.Column('more', sa.Text))\nop.execute('GRANT SELECT ON b TO rescue_app')",
}
OVER_A_TABLE_MADE_BY_HAND = {
    "r1": "op.add_column('a', sa.Column('n', sa.Text))",
    "r2": "op.create_index('ix', 'a', ['n'])",
    "r3": "op.create_table('b', sa.Column('id', sa.Integer))",
}
_KEPT = """
    SELECT 'database ' || datname FROM pg_database
    UNION SELECT 'role ' || rolname FROM pg_roles
    UNION SELECT m.rolname || ' is a ' || g.rolname FROM pg_auth_members a
      JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
"""

pytestmark = pytest.mark.slow
_LONG = "a_database_whose_name_is_as_long_as_any_may_be_" + "é" * 8


class Named:
    """Another server, with a superuser and a creator of databases and roles, neither of which is on the live one."""

    def __init__(self) -> None:
        self.server = servers.create(max(VERSIONS))
        self.run(f"CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '{servers.PASSWORD}'")
        self.run("CREATE ROLE maker LOGIN CREATEDB CREATEROLE")

    def run(self, statement: str) -> list[tuple[str, ...]]:
        with contextlib.closing(psycopg2.connect(self.server.admin_dsn)) as admin:
            admin.autocommit = True
            with admin.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def by_socket(self, role: str = "keeper") -> str:
        return f"postgresql://{role}@/postgres?host={self.server.pgdata}&port={self.server.port}"

    def by_tcp(self) -> str:
        return f"postgresql://keeper:{quote(servers.PASSWORD, safe='')}@127.0.0.1:{self.server.port}/postgres"

    def kept(self) -> set[str]:
        return {row[0] for row in self.run(_KEPT)}


@pytest.fixture(scope="module")
def named():
    made = Named()
    yield made
    made.server.remove()


@pytest.fixture
def unchanged(named):
    before = named.kept()
    yield
    assert named.kept() == before


def write(folder, database, bodies) -> ProjectCopy:
    return ProjectCopy(chains.write(folder / "project", database.url, bodies).root, folder / "state", database)


def half_there(folder, database) -> ProjectCopy:
    project = write(folder, database, BODIES)
    assert project.alembic("upgrade", "r2").status == 0
    database.run("DROP INDEX ix")
    database.stand_at("r1")
    return project


def rescue(project, url, *words):
    done = project.rescue("--scratch", url, "--format", "json", *words)
    assert servers.PASSWORD not in done.everything
    assert quote(servers.PASSWORD, safe="") not in done.everything
    return done


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("", _LONG), _LONG),
        (("", "shop", "_copy"), "shop_copy"),
        (("alembic_rescue_7_", "app"), "alembic_rescue_7_app"),
        (("alembic_rescue_7_", _LONG, "_copy"), "alembic_rescue_7_a_database_whose_name_is_as_long_as_a_copy"),
        (("", "x" * 46 + "éé" * 6, "_copy"), "x" * 46 + "é" * 4 + "_copy"),
    ],
)
def test_no_name_is_cut_off_by_the_server(parts, name):
    assert fitting(*parts) == name


@pytest.mark.parametrize("way", ["by_socket", "by_tcp"])
@pytest.mark.usefixtures("unchanged")
def test_a_named_server_can_do_everything_that_a_private_one_can(tmp_path, database, named, way):
    url, project = getattr(named, way)(), half_there(tmp_path, database)

    (seen,) = rescue(project, url, "diagnose").json["databases"]
    assert [one["verdict"] for one in seen["revisions"]] == ["partial", "not-applied"]
    assert [(one["revision"], one["error"]) for one in seen["causes"]] == [("r2", 'relation "b" already exists')]
    assert {note["code"] for note in seen["findings"]}.isdisjoint({"upgrade-not-tried", "copies-not-asked"})
    assert (seen["recommendation"]["action"], seen["recommendation"]["revision"]) == ("complete", "r2")

    rehearsed = rescue(project, url, "rehearse")
    assert (rehearsed.status, rehearsed.json["outcome"]) == (3, "fails")
    assert rehearsed.json["databases"][0]["recommendation"]["action"] == "complete"

    completed = rescue(project, url, "complete", "r2", "--yes")
    assert completed.status == 0, completed.everything
    (part,) = completed.json["databases"]
    assert part["completion"]["back"] == ["DROP INDEX public.ix;"]
    assert not part["completion"]["untried"]

    stamped = rescue(project, url, "stamp", "r2", "--yes")
    assert (stamped.status, database.versions()) == (0, ["r2"]), stamped.everything
    assert stamped.json["databases"][0]["rehearsal"]["passes"] is True

    assert rescue(project, url, "rehearse").json["outcome"] == "passes"


@pytest.mark.usefixtures("unchanged")
def test_a_chain_that_does_not_run_from_empty_is_tried_on_copies_there(tmp_path, database, named):
    database.run("CREATE TABLE a (id int PRIMARY KEY)")
    project = write(tmp_path, database, OVER_A_TABLE_MADE_BY_HAND)
    assert project.alembic("upgrade", "r2").status == 0
    database.run("DELETE FROM alembic_version")
    (seen,) = rescue(project, named.by_tcp(), "diagnose").json["databases"]
    assert "copies-not-asked" not in {note["code"] for note in seen["findings"]}
    assert [one["verdict"] for one in seen["revisions"]] == ["applied", "applied", "not-applied"]


@pytest.mark.usefixtures("unchanged")
def test_a_role_that_may_create_databases_and_roles_is_enough(tmp_path, database, named):
    project = half_there(tmp_path, database)
    completed = rescue(project, named.by_socket("maker"), "complete", "r2", "--yes")
    assert completed.status == 0, completed.everything
    assert completed.json["databases"][0]["completion"]["back"] == ["DROP INDEX public.ix;"]


@pytest.mark.usefixtures("unchanged")
def test_a_superuser_with_that_name_stands_for_one(tmp_path, database, named):
    project = half_there(tmp_path, database)
    project.set_url(f"postgresql://postgres@/{database.name}?host={database.server.pgdata}&port={database.server.port}")
    assert rescue(project, named.by_socket("postgres"), "complete", "r2", "--yes").status == 0
    passes = rescue(project, named.by_socket("keeper"), "stamp", "r2", "--yes")
    assert passes.json["databases"][0]["rehearsal"]["passes"] is True, passes.everything


def test_roles_with_the_same_name_there_are_unchanged(tmp_path, database, named):
    project = half_there(tmp_path, database)
    named.run("CREATE ROLE rescue_app NOLOGIN CONNECTION LIMIT 7")
    before = named.kept()
    try:
        assert rescue(project, named.by_socket(), "complete", "r2", "--yes").status == 0
        assert named.kept() == before
        settings = "SELECT rolcanlogin, rolconnlimit, rolconfig FROM pg_roles WHERE rolname = 'rescue_app'"
        assert named.run(settings) == [(False, 7, None)]
    finally:
        named.run("DROP ROLE rescue_app")


def test_a_superuser_there_does_not_stand_for_a_role_that_is_none(tmp_path, database, named):
    project = half_there(tmp_path, database)
    named.run("CREATE ROLE rescue_app SUPERUSER")
    before = named.kept()
    try:
        rehearsed = rescue(project, named.by_socket(), "rehearse")
        assert (rehearsed.status, rehearsed.json["error"]["code"]) == (2, "not-rehearsed")
        assert "rescue_app is a superuser on the scratch server" in rehearsed.json["error"]["message"]
        assert named.kept() == before
    finally:
        named.run("DROP ROLE rescue_app")


def test_nothing_is_created_on_the_projects_own_server(tmp_path, database):
    project = half_there(tmp_path, database)
    url = f"postgresql://postgres@/template1?host={database.server.pgdata}&port={database.server.port}"
    logged = database.server.log.stat().st_size
    refused = rescue(project, url, "rehearse")
    assert (refused.status, refused.json["error"]["code"]) == (2, "scratch-is-the-projects")
    with database.server.log.open() as log:
        log.seek(logged)
        assert "CREATE DATABASE alembic_rescue" not in log.read().replace('"', "")
