"""The database is at a revision that the scripts lack: found, compared with the catalog, and the way out (issue 10)."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import chains
from tests.conftest import ProjectCopy
from tests.repositories import Repo

pytestmark = pytest.mark.slow

BODIES = {f"ab0{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2, 3)}
SECRET = 'op.execute("INSERT INTO t3 VALUES (3)")  # the token is Zq8-hidden-Tok3n'


class Deployed:
    """A project in git, and its database."""

    def __init__(self, tmp_path, database, bodies, env):
        self.database = database
        root = chains.write(tmp_path / "project", database.url, bodies, env=env).root
        (root / ".gitignore").write_text("__pycache__\n")
        self.repo = Repo(root, "alembic/versions")
        self.tool = ProjectCopy(root, tmp_path / "state", database, {"GIT_CONFIG_GLOBAL": os.devnull})
        self.repo.git("init", "-q", "-b", "main")

    def file(self, revision):
        return self.repo.folder / f"{revision}.py"

    def upgrade(self, revision):
        assert self.tool.alembic("upgrade", revision).status == 0

    def roll_back(self, *revisions):
        """Move the current files to a branch, and leave main without these."""
        commit = self.repo.commit("all")
        self.repo.git("branch", "release")
        for revision in revisions:
            self.file(revision).unlink()
        self.repo.commit("roll back")
        return commit

    def look(self, *options):
        (part,) = self.tool.rescue_json("diagnose", *options)["databases"]
        return part

    def type(self, command):
        """Run a printed command in the project's folder."""
        subprocess.run(["sh", "-c", command], cwd=self.repo.root, check=True, capture_output=True)


@pytest.fixture
def deployed(tmp_path, database):
    def make(bodies=BODIES, env=None):
        return Deployed(tmp_path, database, bodies, env)

    return make


def codes(part):
    return [note["code"] for note in part["findings"]]


def test_the_code_was_rolled_back_and_its_effects_exist(deployed):
    there = deployed()
    there.upgrade("ab03")
    commit = there.roll_back("ab02", "ab03")
    part = there.look()
    (note,) = [note for note in part["findings"] if note["code"] == "ahead-of-the-scripts"]
    assert "the database is ahead of this code" in note["message"]
    assert "the database is at ab03" in note["message"]
    assert "all its changes are in the database" in note["message"]
    assert f"ab03 and ab02 at commit {commit[:12]}" in note["message"]
    assert "It follows ab01" in note["message"]
    command = part["lost"]["command"]
    assert command == f"git checkout {commit[:12]} -- alembic/versions/ab02.py alembic/versions/ab03.py"
    assert command in note["help"]
    assert {one["revision"]: one["verdict"] for one in part["revisions"]} == {"ab02": "applied", "ab03": "applied"}
    assert part["recommendation"]["action"] == "stop"
    assert part["recommendation"]["choices"][0]["commands"] == [command]
    assert part["recommendation"]["choices"][1]["commands"] == [
        command,
        "alembic downgrade ab01",
        "git rm --quiet --force -- alembic/versions/ab02.py alembic/versions/ab03.py",
    ]
    assert there.tool.rescue("diagnose", "--check").status == 3
    located = there.look("--locate")
    assert located["recommendation"]["action"] == "stop"
    assert "ahead of this code" in located["recommendation"]["reason"]
    for verb in (("repair",), ("stamp", "ab01")):
        answer = there.tool.rescue_json(*verb, "--yes")
        assert answer["outcome"] == "refused"
        assert answer["refusals"][0]["code"] == ("ahead-of-the-scripts" if verb == ("repair",) else "unknown-current")
        assert command in answer["refusals"][0]["help"]
    assert there.tool.rescue("repair", "--yes").status == 3
    assert there.look("--applied")["lost"]["command"] == command
    assert there.database.versions() == ["ab03"]
    there.type(command)
    assert there.look()["recommendation"]["action"] == "nothing"
    assert there.look()["lost"] is None
    assert there.tool.alembic("downgrade", "ab01").status != 0 or there.database.versions() == ["ab01"]


def test_stamped_with_a_revision_that_never_ran_here(deployed):
    there = deployed()
    there.upgrade("ab02")
    there.roll_back("ab03")
    there.database.stand_at("ab03")
    part = there.look()
    assert "unknown-revision-never-ran" in codes(part)
    assert [one["verdict"] for one in part["revisions"]] == ["not-applied"]
    assert part["recommendation"]["command"] == "alembic-rescue repair"
    assert there.look("--locate")["recommendation"]["command"] == "alembic-rescue repair"
    assert there.tool.rescue_json("repair", "--yes")["outcome"] == "repaired"
    assert there.database.versions() == ["ab02"]
    assert there.tool.alembic("upgrade", "head").status == 0


def test_replaced_by_a_squash_that_names_it(deployed):
    there = deployed()
    there.upgrade("ab02")
    there.repo.commit("all")
    for revision in BODIES:
        there.file(revision).unlink()
    text = (
        chains.HEADER.format(revision="sq01", down=None)
        + "replaces = ['ab01', 'ab02']\n\n"
        + chains.module(f"{BODIES['ab01']}\n{BODIES['ab02']}")
    )
    there.file("sq01").write_text(text)
    part = there.look()
    (note,) = [note for note in part["findings"] if note["code"] == "revision-replaced"]
    assert "sq01" in note["message"]
    assert part["recommendation"]["command"] == "alembic-rescue repair"
    assert there.tool.rescue_json("repair", "--yes")["outcome"] == "repaired"
    assert there.database.versions() == ["sq01"]


def test_squashed_without_being_named(deployed):
    """Found in git, in a separate history: as always, the right rows are those that the catalog proves."""
    there = deployed()
    there.upgrade("ab02")
    there.repo.commit("all")
    for revision in BODIES:
        there.file(revision).unlink()
    there.file("sq01").write_text(
        chains.HEADER.format(revision="sq01", down=None) + chains.module(f"{BODIES['ab01']}\n{BODIES['ab02']}")
    )
    part = there.look()
    assert "unknown-revision-found" in codes(part)
    assert part["recommendation"]["action"] == "stop"
    assert there.look("--locate")["recommendation"]["command"] == "alembic-rescue repair"
    assert there.tool.rescue_json("repair", "--yes")["outcome"] == "repaired"


def test_recreated_under_another_id(deployed):
    """Its effects are those of a revision that the scripts have: nothing is left over."""
    there = deployed()
    there.upgrade("ab03")
    there.roll_back("ab03")
    text = chains.HEADER.format(revision="cd03", down="ab02") + chains.module(BODIES["ab03"])
    there.file("cd03").write_text(text)
    part = there.look()
    assert "unknown-revision-made-anew" in codes(part)
    assert "ahead-of-the-scripts" not in codes(part)
    assert part["recommendation"]["command"] == "alembic-rescue repair"
    (refusal,) = there.tool.rescue_json("plan", "cd03")["refusals"]
    assert (refusal["code"], "alembic-rescue repair" in refusal["help"]) == ("unknown-current", True)
    assert there.look("--locate")["recommendation"]["command"] == "alembic-rescue repair"
    assert there.tool.rescue_json("repair", "--yes")["outcome"] == "repaired"
    assert there.database.versions() == ["cd03"]


def test_recreated_with_more_in_it(deployed):
    """What it has in addition is missing: it is created, and then the rows are right."""
    there = deployed()
    there.upgrade("ab03")
    there.roll_back("ab03")
    more = f"{BODIES['ab03']}\nop.create_table('memo', sa.Column('id', sa.Integer))"
    there.file("cd03").write_text(chains.HEADER.format(revision="cd03", down="ab02") + chains.module(more))
    for command in ("complete cd03", "repair"):
        assert there.look()["recommendation"]["command"] == f"alembic-rescue {command}"
        assert there.tool.rescue(*command.split(), "--yes").status == 0
    assert there.database.versions() == ["cd03"]


def test_an_unprovable_revision_is_accepted_by_name(deployed):
    there = deployed({**BODIES, "ab03": SECRET.replace("t3", "t2")})
    there.upgrade("ab03")
    there.roll_back("ab03")
    part = there.look()
    assert "whether it ran here is unknown" in str(part["findings"])
    assert there.tool.rescue_json("repair", "--yes")["refusals"][0]["code"] == "ahead-of-the-scripts"
    assert there.tool.rescue_json("repair", "--yes", "--not-run", "ab03")["outcome"] == "repaired"
    (receipt,) = there.tool.receipts
    assert "ab03 did not run (--not-run)" in receipt.read_text()
    assert there.database.versions() == ["ab02"]


def test_a_revision_without_any_effect_here_is_said_not_to_have_run(deployed):
    there = deployed({**BODIES, "ab03": f"{BODIES['ab03']}\n{SECRET}"})
    there.upgrade("ab02")
    there.database.stand_at("ab03")
    there.roll_back("ab03")
    (*_, choice) = there.look()["recommendation"]["choices"]
    assert choice == {"found": "it did not run here", "commands": ["alembic-rescue repair --not-run ab03"]}
    assert there.tool.rescue_json("repair", "--yes", "--not-run", "ab03")["outcome"] == "repaired"
    assert there.database.versions() == ["ab02"]


def test_no_text_of_a_found_file_is_shown(deployed):
    there = deployed({**BODIES, "ab03": f"{BODIES['ab03']}\n{SECRET}"})
    there.upgrade("ab03")
    there.database.run("DROP TABLE t3")
    there.roll_back("ab03")
    for options in ((), ("--locate",)):
        for answer in (there.tool.rescue("diagnose", *options), there.tool.rescue("--format", "json", "diagnose")):
            assert "INSERT" not in answer.stdout
            assert "CREATE TABLE" not in answer.stdout
            assert "Zq8" not in answer.stdout + answer.stderr


def test_a_found_file_that_can_no_longer_be_loaded(deployed):
    there = deployed()
    there.upgrade("ab03")
    (there.repo.folder.parent / "helper.py").write_text("")
    there.file("ab03").write_text("import nowhere_any_more\n" + there.file("ab03").read_text())
    there.roll_back("ab03")
    part = there.look()
    assert "its changes were not compared with the database" in str(part["findings"])
    assert part["recommendation"]["action"] == "stop"
    assert part["recommendation"]["choices"][0]["commands"] == [part["lost"]["command"]]


def test_nothing_is_found(deployed):
    there = deployed()
    there.upgrade("ab02")
    there.repo.commit("all")
    there.database.stand_at("feed0000cafe")
    part = there.look()
    (note,) = [note for note in part["findings"] if note["code"] == "unknown-revision-not-found"]
    assert "the reflog" in note["message"]
    assert "diagnose --locate" in note["help"]
    assert part["lost"]["missing"] == ["feed0000cafe"]
    assert part["recommendation"]["action"] == "stop"
    assert there.look("--locate")["recommendation"]["command"] == "alembic-rescue repair"


def test_if_every_row_is_known_nothing_is_searched(deployed, tmp_path):
    there = deployed()
    there.upgrade("ab02")
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 1\n")
    spy.chmod(0o755)
    path = f"{spy.parent}:{os.environ['PATH']}"
    there.tool.rescue("diagnose", PATH=path)
    assert not (tmp_path / "called").exists()
    there.database.stand_at("feed0000cafe")
    there.tool.rescue("diagnose", PATH=path)
    assert (tmp_path / "called").exists()


@pytest.mark.parametrize("form", ["text", "json"])
def test_two_rows_of_which_one_is_known(deployed, form):
    there = deployed()
    there.upgrade("ab03")
    there.roll_back("ab03")
    there.database.stand_at("ab02", "ab03")
    told = there.tool.rescue("--format", form, "diagnose")
    assert told.status == 0
    assert "ahead of this code" in " ".join(told.stdout.split())


TENANTS = ("blue", "green", "red")
ENV = f"""\
from alembic import context
from sqlalchemy import engine_from_config, pool, text

engine = engine_from_config(context.config.get_section(context.config.config_ini_section), poolclass=pool.NullPool)
for tenant in {TENANTS!r}:
    with engine.connect() as connection:
        connection.execute(text(f"SET search_path TO {{tenant}}"))
        if hasattr(connection, "commit"):
            connection.commit()
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


def test_each_of_several_databases_is_reported_separately(deployed):
    """Blue is where the scripts are, green is ahead of them, and red was stamped with a revision that never ran."""
    there = deployed(env=ENV)
    for tenant in TENANTS:
        there.database.run(f"CREATE SCHEMA {tenant}")
    there.upgrade("ab03")
    for tenant in ("blue", "red"):
        there.database.run(f"DROP TABLE {tenant}.t3")
    there.database.run("UPDATE blue.alembic_version SET version_num = 'ab02'")
    there.roll_back("ab03")
    blue, green, red = there.tool.rescue_json("diagnose")["databases"]
    assert [part["lost"] is None for part in (blue, green, red)] == [True, False, False]
    assert blue["recommendation"]["action"] == "nothing"
    assert ("ahead-of-the-scripts" in codes(green), green["recommendation"]["action"]) == (True, "stop")
    assert red["recommendation"]["command"] == "alembic-rescue repair --only red"
    assert red["recommendation"]["command"] in there.tool.rescue("diagnose").stdout
    assert there.tool.rescue_json("repair", "--yes")["refusals"][0]["code"] == "ahead-of-the-scripts"
    assert there.tool.rescue_json("repair", "--yes", "--only", "red")["outcome"] == "repaired"
    assert there.database.versions("red.alembic_version") == ["ab02"]
    assert there.database.versions("green.alembic_version") == ["ab03"]


def test_a_change_to_an_older_table_is_not_left_behind(deployed):
    """The scripts have the table, but not what was done to it later."""
    there = deployed({**BODIES, "ab03": 'op.alter_column("t2", "id", type_=sa.BigInteger())'})
    there.upgrade("ab03")
    there.roll_back("ab03")
    assert there.look()["recommendation"]["action"] == "stop"
    assert "ahead-of-the-scripts" in [one["code"] for one in there.tool.rescue_json("repair", "--yes")["refusals"]]
    assert there.database.versions() == ["ab03"]
