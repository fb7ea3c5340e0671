"""MariaDB and SQLite, which commit each statement of a migration: what that leaves behind, and how it is reported."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from alembic_rescue import diagnose, findings, load
from alembic_rescue.evidence.model import Proof
from tests import chains
from tests.conftest import ProjectCopy
from tests.mariadb import MariaDatabase
from tests.servers import PASSWORD, ROLE

pytestmark = pytest.mark.compatibility

USERS = """
    def upgrade():
        op.create_table("users", sa.Column("id", sa.Integer, primary_key=True))
    """
SWALLOWS = """
    def upgrade():
        try:
            op.add_column("users", sa.Column("email", sa.String(80)))
            op.create_table("marks", sa.Column("id", sa.Integer, primary_key=True), sa.Column("word", sa.String(9)))
            op.create_index("ix_users_email", "users", ["email"])
        except Exception:
            pass
    """
LATER = """
    def upgrade():
        op.create_table("later", sa.Column("id", sa.Integer, primary_key=True))
    """
BREAKS_OFF = """
    def upgrade():
        op.create_table("marks", sa.Column("id", sa.Integer, primary_key=True))
        op.add_column("users", sa.Column("color", sa.String(9), server_default="red"))
        op.create_table("later", sa.Column("id", sa.Integer, primary_key=True))  # is there already
        op.create_table("colors", sa.Column("id", sa.Integer, primary_key=True))
        op.create_index("ix_users_color", "users", ["color"])
    """


@dataclass
class SqliteFile:
    """The same interface as `MariaDatabase`, as far as these tests need it."""

    path: Path

    @property
    def url(self):
        return f"sqlite:///{self.path}"

    def run(self, *statements):
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            found = [connection.execute(statement).fetchall() for statement in statements]
        return found[-1] if found else []

    def versions(self):
        return [row[0] for row in self.run("SELECT version_num FROM alembic_version")]


@pytest.fixture(params=["mariadb", "sqlite"])
def either(request, tmp_path):
    """An empty database on each of the two."""
    return request.getfixturevalue("maria") if request.param == "mariadb" else SqliteFile(tmp_path / "shop.db")


@pytest.fixture
def shop(either, tmp_path):
    """Create a project with these migrations, at the first of them."""

    def make(*bodies):
        made = ProjectCopy(chains.write(tmp_path / "project", either.url, bodies).root, tmp_path / "state", either)
        assert made.alembic("upgrade", "r1").status == 0
        return made

    return make


def _name(database):
    return "MariaDB" if isinstance(database, MariaDatabase) else "SQLite"


def _shown(document):
    return [o["sql"] for part in document["databases"] for r in part["revisions"] for o in r["objects"] if o["sql"]]


def test_a_swallowed_error_lets_the_version_advance_and_applied_shows_what_is_missing(shop, either):
    project = shop(USERS, SWALLOWS, LATER)
    either.run("ALTER TABLE users ADD COLUMN email VARCHAR(80)")  # by hand, or by an older revision r2
    before = project.rescue("diagnose").stdout
    if _name(either) == "SQLite":  # MariaDB's schema cannot be copied, so nothing shows that it would fail
        assert re.search(r"warning\[swallowed-error\]: \S+r2.py:\d+: ALTER TABLE users ADD COLUMN email", before)
        assert "hides it, so the version moves on regardless" in " ".join(before.split())
    assert "SAVEPOINT" not in before
    assert "rolled back" not in before

    assert project.alembic("upgrade", "head").status == 0
    assert either.versions() == ["r3"]
    assert "Recommendation: complete r2" in project.rescue("diagnose").stdout

    looked = project.rescue_json("diagnose", "--applied")
    (part,) = looked["databases"]
    (finding,) = [f for f in part["findings"] if f["code"] == "stamped-but-not-there"]
    assert finding["message"].startswith("r2 counts as applied, but its table ")
    missing = {
        o["name"].partition(" on ")[0] for r in part["revisions"] for o in r["objects"] if o["presence"] == "absent"
    }
    assert {"marks", "ix_users_email"} <= missing
    assert (part["recommendation"]["action"], part["recommendation"]["revision"]) == ("complete", "r2")

    either.run(*(statement for shown in _shown(looked) for statement in shown.split(";\n")))
    (part,) = project.rescue_json("diagnose", "--applied")["databases"]
    assert part["recommendation"]["action"] == "nothing", part["recommendation"]


def test_a_half_failed_migration_is_completed_and_stamped(shop, either):
    project = shop(USERS, BREAKS_OFF)
    sa.Table("later", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True)).create(sa.create_engine(either.url))
    assert project.alembic("upgrade", "head").status != 0
    assert either.versions() == ["r1"]

    looked = project.rescue_json("diagnose")
    (part,) = looked["databases"]
    each = "commits each DDL statement" if _name(either) == "MariaDB" else "runs each statement separately here"
    assert {
        "code": "no-transactional-ddl",
        "message": f"{_name(either)} {each}: a migration that failed half-way leaves behind what it created",
        "help": "add what a revision lacks by hand, then stamp it; if it ran again, it would fail on existing objects",
    } in part["findings"]
    assert part["recommendation"]["action"] == "complete"
    assert project.rescue("stamp", "head", "--yes").status == 3

    either.run(*(statement for shown in _shown(looked) for statement in shown.split(";\n")))
    assert project.rescue_json("stamp", "head", "--yes")["outcome"] == "stamped"
    assert either.versions() == ["r2"]
    assert project.rescue_json("undo", "--yes")["outcome"] == "undone"
    assert either.versions() == ["r1"]


def test_if_nothing_exists_no_rollback_is_mentioned(shop):
    (part,) = shop(USERS, LATER).rescue_json("diagnose")["databases"]
    assert part["recommendation"]["action"] == "rerun"
    assert (
        "The run did not get that far. To see what failed: `alembic-rescue diagnose --log"
        in part["recommendation"]["reason"]
    )


def test_a_missing_lock_against_a_second_rescue_is_reported_if_it_matters(shop, either):
    project = shop(USERS, LATER)
    either.run("CREATE TABLE later (id INTEGER NOT NULL, PRIMARY KEY (id))")
    told = [f for part in project.rescue_json("plan", "head")["databases"] for f in part["findings"]]
    looked = [f for part in project.rescue_json("diagnose")["databases"] for f in part["findings"]]
    of_lock = [f["message"] for f in told if f["code"] == "no-rescue-lock"]
    assert of_lock == ([] if _name(either) == "MariaDB" else ["SQLite has no lock to keep out a second rescue"])
    assert "no-rescue-lock" not in [f["code"] for f in looked]


@pytest.mark.parametrize("either", ["sqlite"], indirect=True)
def test_a_database_without_read_only_sessions_is_named(shop):
    """A kind of database that no test has a server for: the facts are SQLite's, except the dialect's name."""
    (part,) = diagnose(load(str(shop(USERS).root / "alembic.ini"))).databases
    database = part.database
    assert findings.limits(database, Proof((), None)) == ()
    other = replace(database, identity=replace(database.identity, dialect="oracle"))
    (told,) = findings.limits(other, Proof((), None))
    assert (told.code, told.help) == ("not-held-read-only", "use a role that can only read, with --url")
    assert told.message == (
        "a session on oracle cannot be made read-only, and has no timeouts: whatever env.py writes is kept"
    )
    (told,) = findings.of_stamp(other)
    assert told.message == "oracle has no lock to keep out a second rescue"


def test_a_driver_that_env_py_calls_directly_is_read_only(maria, tmp_path):
    project = ProjectCopy(chains.write(tmp_path / "project", maria.url, (USERS,)).root, tmp_path / "state", maria)
    maria.run("CREATE TABLE trace (way text)")
    env_py = project.root / "alembic" / "env.py"
    named = {"unix_socket": str(maria.server.socket), "user": ROLE, "password": PASSWORD, "database": maria.name}
    writes = f"""
import pymysql
raw = pymysql.connect(**{named!r})
try:
    raw.cursor().execute("INSERT INTO trace VALUES ('x')")
    raw.commit()
except pymysql.Error:
    raw.close()
"""
    env_py.write_text(writes + env_py.read_text())
    looked = project.rescue("diagnose")
    assert looked.status == 0, looked.everything
    assert maria.run("SELECT * FROM trace") == []
    assert project.alembic("current").status == 0
    assert maria.run("SELECT * FROM trace") == [("x",)], "to Alembic it does write"
