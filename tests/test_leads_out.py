"""Generated states: the printed advice, done step by step, ends in an upgrade that passes."""

from __future__ import annotations

import shlex

import pytest

from tests import chains
from tests.conftest import ProjectCopy

pytestmark = pytest.mark.slow

TABLES = (
    "op.create_table('log', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Text))\n"
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('c', sa.String(20)))\n"
    "op.create_table('t5', sa.Column('id', sa.Text, primary_key=True))"
)
INDEX, TWO = "op.create_index('ix', 't', ['c'])", "\nop.create_table('u', sa.Column('id', sa.Integer))"
RENAMED = (
    "op.create_unique_constraint('uq', 't', ['c'])\nop.rename_table('t5', 't11')\n"
    "op.add_column('t11', sa.Column('z', sa.Integer))"
)
CONVERTED = (
    "op.alter_column('t', 'c', type_=sa.Text())\nop.execute(\"UPDATE log SET n = n || ' ran'\")\n"
    "op.add_column('t', sa.Column('z', sa.Integer))"
)


@pytest.fixture
def stuck(database, tmp_path):
    def made(*bodies, at, sql, row=None):
        revisions = {f"r{number}": body for number, body in enumerate([TABLES, *bodies], 1)}
        root = chains.write(tmp_path / "project", database.url, revisions).root
        project = ProjectCopy(root, tmp_path / "state", database)
        assert project.alembic("upgrade", at).status == 0
        database.run(sql)
        if row is not None:
            database.stand_at(row)
        return project

    return made


def advice(project, *options):
    (part,) = project.rescue_json("diagnose", *options)["databases"]
    return part["recommendation"]


def led_out(project, steps=6):
    """Do what is printed.  Return the commands."""
    done = []
    for _ in range(steps):
        told = advice(project)
        if told["command"] is None and "--locate" in told["reason"]:
            told = advice(project, "--locate")
        if told["command"] is None:
            assert told["action"] in {"nothing", "rerun"}, told
            assert project.alembic("upgrade", "head").status == 0, told
            return done
        ran = project.rescue(*shlex.split(told["command"])[1:], "--yes")
        assert ran.status == 0, (told, ran.everything)
        done.append(told["command"].removeprefix("alembic-rescue "))
    raise AssertionError(done)


@pytest.mark.parametrize(
    ("bodies", "at", "sql", "row", "commands"),
    [
        (
            [RENAMED],
            "r1",
            "INSERT INTO t5 VALUES ('k'); ALTER TABLE t ADD CONSTRAINT uq UNIQUE (c)",
            None,
            ["complete r2", "stamp r2"],
        ),
        ([INDEX], "r2", "DROP INDEX ix; ALTER TABLE t DROP c", "nope", ["complete r1", "repair"]),
        ([INDEX + TWO, "pass"], "r2", "DROP INDEX ix", "nope", ["complete r2", "repair"]),
        (
            [INDEX, "op.rename_table('t', 't17')\nop.drop_table('t5')"],
            "r2",
            "ALTER TABLE t RENAME TO t17",
            "r3",
            ["complete r3"],
        ),
    ],
    ids=["a rename is missing", "an unknown row over half of the first", "and over half of the next", "beyond a half"],
)
def test_the_printed_advice_ends_at_the_head(bodies, at, sql, row, commands, stuck, database):
    project = stuck(*bodies, at=at, sql=sql, row=row)
    kept = database.run("SELECT count(*) FROM t5") if "t5 VALUES" in sql else None
    assert led_out(project) == commands
    assert kept is None or database.run("SELECT count(*) FROM t11") == kept


def test_in_a_schema_that_cannot_be_located_nothing_is_called_proved(stuck):
    project = stuck(INDEX, at="r2", sql="DROP INDEX ix; ALTER TABLE t DROP c", row="nope")
    told = project.rescue("repair", "--yes")
    assert told.status == 3
    assert "Proved" not in told.everything
    assert "error[nothing-located]: r1, the first revision, is only partially applied" in told.stderr
    assert "alembic-rescue complete r1" in told.stderr


def test_a_completion_that_would_be_refused_is_not_recommended(stuck, database):
    project = stuck(CONVERTED, at="r1", sql="ALTER TABLE t ADD z integer")
    told = advice(project)
    assert (told["action"], told["command"]) == ("stop", None)
    assert "create what is missing by hand in the order of the file" in told["reason"]
    ((command,),) = [one["commands"] for one in told["choices"]]
    database.run("ALTER TABLE t ALTER c TYPE text; UPDATE log SET n = n || ' ran'")
    assert project.rescue(*shlex.split(command)[1:], "--yes").status == 0
    assert led_out(project) == []


def test_a_revision_that_is_still_partial_is_not_called_completed(stuck):
    half = "op.create_table('b', sa.Column('id', sa.Integer))\n" + INDEX
    project = stuck(half, at="r1", sql="CREATE TABLE b (id integer NOT NULL)")
    ran = project.rescue("complete", "r2", "--yes")
    assert ran.status == 5
    assert "Completed" not in ran.stdout
    assert (
        "r2 is still partially applied: column public.b.id is missing or different. Make the change by hand"
        in ran.stdout
    )
    assert project.rescue("stamp", "r2", "--yes").status == 3
