"""Recommendations are accepted as printed and lead out (promise 9): from states that nobody chose, to the head.

A chain is really upgraded; then something happens to the database that happens in practice.  The recommendation of
`diagnose` is followed, again and again, until nothing is left to do.
"""

from __future__ import annotations

import random
import re
import shlex

import pytest

from tests import chains
from tests.conftest import ProjectCopy

BODIES = {
    "r1": "op.create_table('a', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Text))",
    "r2": "op.create_table('b', sa.Column('id', sa.Integer, primary_key=True))\nop.create_index('ix_a_n', 'a', ['n'])",
    "r3": "op.add_column('a', sa.Column('m', sa.Integer, server_default='1'))\n"
    "op.execute(\"CREATE TYPE mood AS ENUM ('ok', 'sad')\")\n"
    "op.create_table('c', sa.Column('id', sa.Integer, primary_key=True),\n"
    "    sa.Column('b', sa.Integer, sa.ForeignKey('b.id')))",
    "r4": "op.create_unique_constraint('uq', 'a', ['n'])\nop.add_column('c', sa.Column('x', sa.Text))",
    "r5": "op.create_table('d', sa.Column('id', sa.Integer, primary_key=True))",
}
IDS = list(BODIES)
PARTS = {
    "r2": ["DROP INDEX ix_a_n", "DROP TABLE b CASCADE"],
    "r3": ["ALTER TABLE a DROP COLUMN m", "DROP TABLE c"],
    "r4": ["ALTER TABLE a DROP CONSTRAINT uq", "ALTER TABLE c DROP COLUMN x"],
}
WITH_DATA = {
    "r1": BODIES["r1"],
    "r2": BODIES["r2"],
    "d1": "op.execute(\"UPDATE a SET n = n || ' d1'\")",
    "r3": BODIES["r3"],
    "r4": BODIES["r4"],
    "d2": "op.execute(\"UPDATE a SET n = n || ' d2'\")",
    "r5": BODIES["r5"],
}
"""The same, and two that only change rows: no catalog shows whether they ran."""
ROWS = {
    "behind": lambda ids, at: [ids[max(0, at - 2)]],
    "right": lambda ids, at: [ids[at - 1]],
    "beyond": lambda ids, at: [ids[min(len(ids) - 1, at)]],
    "unknown": lambda *_: ["feed0000cafe"],
    "overlapping": lambda ids, at: [ids[at - 1], ids[0]],
    "lost": lambda *_: [],
}
MOST_STEPS = 6
ADMIN = "postgres"


def states():
    """The schema's position, what the rows say, and what is missing; each kind of rows with each of two positions."""
    chosen = random.Random(20261127)
    for rows in ROWS:
        for at in (2, 3, 4):
            yield rows, at, ""
            half = IDS[at - 1]
            if half in PARTS and rows in {"behind", "right"}:
                yield rows, at, chosen.choice(PARTS[half])


def catalog(database):
    return database.run(
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text "
        "FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"
    ) + database.run(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
    )


def commands_of(text):
    """Return the tool's commands in a text."""
    return re.findall(r"alembic-rescue ((?:stamp|plan|repair|complete|undo|diagnose)(?: --?[a-z-]+| [\w@]+)*)", text)


def is_true(choice, ran):
    """Check what it says about revisions that only change rows; `ran`: those that did run."""
    said = {way: re.findall(rf"{way} (\w+)", " ".join(choice["commands"])) for way in ("--accept", "--not-run")}
    if not any(said.values()):
        return "did not run" in choice["found"] and not any(one in choice["found"] for one in ran)
    return all(one in ran for one in said["--accept"]) and not any(one in ran for one in said["--not-run"])


def do(project, recommendation, ran=()):
    """Carry it out as printed; a person who has checked the rows knows which revisions `ran`."""
    for choice in recommendation["choices"]:
        if is_true(choice, ran):
            for command in choice["commands"]:
                tool, *words = shlex.split(command)
                done = project.rescue(*words, "--yes") if tool == "alembic-rescue" else project.alembic(*words)
                assert done.status == 0, (choice, done)
            return
    action, command, reason = (recommendation[name] for name in ("action", "command", "reason"))
    if command:
        words = shlex.split(command)[1:]
        done = project.rescue(*words, "--yes")
        assert done.status == 0, (command, done.everything)
        return
    if action in {"rerun", "nothing"}:
        upgraded = project.alembic("upgrade", "head")
        assert upgraded.status == 0, (reason, upgraded.stderr)
        return
    ways = [way for way in commands_of(reason) if way.startswith("diagnose")]
    assert ways, f"a dead end: {recommendation}"
    there = project.rescue_json(*ways[0].split())["databases"][0]["recommendation"]
    assert there["action"] != "stop" or there["choices"], there
    do(project, there, ran)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "at", "lost"), list(states()), ids=lambda value: str(value).replace(" ", "-"))
def test_what_is_recommended_leads_to_the_head(rows, at, lost, database, tmp_path):
    root = chains.write(tmp_path / "project", database.url, BODIES).root
    project = ProjectCopy(root, tmp_path / "state", database)
    assert project.alembic("upgrade", "head").status == 0
    whole = catalog(database)
    database.run(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public", role="postgres"
    )
    assert project.alembic("upgrade", IDS[at - 1]).status == 0
    database.run("INSERT INTO a (id, n) VALUES (1, 'kept')")
    if lost:
        database.run(lost)
    database.run("DROP TABLE alembic_version; CREATE TABLE alembic_version (version_num VARCHAR(32))")
    for row in ROWS[rows](IDS, at):
        database.run(f"INSERT INTO alembic_version VALUES ('{row}')")

    taken = []
    for _ in range(MOST_STEPS):
        (part,) = project.rescue_json("diagnose")["databases"]
        recommendation = part["recommendation"]
        taken.append((recommendation["action"], recommendation["revision"]))
        for finding in part["findings"]:
            for command in commands_of(finding["help"]):
                told = project.rescue(
                    *command.split(), *([] if command.startswith(("diagnose", "plan")) else ["--yes"])
                )
                assert told.status != 2, (finding, told.everything)
                if not command.startswith(("diagnose", "plan")):
                    break
        if recommendation["action"] == "nothing" and database.versions() == ["r5"]:
            break
        do(project, recommendation)
    assert (catalog(database), database.versions()) == (whole, ["r5"]), taken
    assert database.run("SELECT id, n FROM a") == [(1, "kept")]
    assert project.alembic("upgrade", "head").status == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "at"),
    # If the rows say that a revision that only changes rows ran, nothing else shows that it did not.
    [(rows, at) for rows in ROWS for at in (2, 3, 4, 5, 6) if rows != "beyond" or at not in {2, 5}],
)
def test_a_revision_that_changes_rows_runs_once_for_a_person_who_has_checked_them(rows, at, database, tmp_path):
    root = chains.write(tmp_path / "project", database.url, WITH_DATA).root
    project = ProjectCopy(root, tmp_path / "state", database)
    ids = list(WITH_DATA)
    assert project.alembic("upgrade", "r1").status == 0
    database.run("INSERT INTO a (id, n) VALUES (1, 'kept')")
    assert project.alembic("upgrade", ids[at - 1]).status == 0
    database.run("DROP TABLE alembic_version; CREATE TABLE alembic_version (version_num VARCHAR(32))")
    for row in ROWS[rows](ids, at):
        database.run(f"INSERT INTO alembic_version VALUES ('{row}')")
    ran = [one for one in ids[:at] if one.startswith("d")]

    taken = []
    for _ in range(MOST_STEPS):
        (part,) = project.rescue_json("diagnose")["databases"]
        recommendation = part["recommendation"]
        taken.append((recommendation["action"], recommendation["revision"], recommendation["choices"]))
        if recommendation["action"] == "nothing" and database.versions() == ["r5"]:
            break
        do(project, recommendation, ran)
        if "d2" in database.run("SELECT n FROM a")[0][0]:
            ran = ["d1", "d2"]
        elif "d1" in database.run("SELECT n FROM a")[0][0]:
            ran = ["d1"]
    assert database.versions() == ["r5"], taken
    assert database.run("SELECT id, n FROM a") == [(1, "kept d1 d2")], taken
