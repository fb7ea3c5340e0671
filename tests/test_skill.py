"""SKILL.md: what it has an agent run works, in that order, and what it names exists."""

from __future__ import annotations

import re
import shlex

import pytest

from alembic_rescue import errors
from alembic_rescue.model import Action
from tests.answers import SCHEMA
from tests.documents import all_parsed, blocks, shell_lines, shown
from tests.test_readme import PROGRAM, ROOT

SKILL = (ROOT / "SKILL.md").read_text("utf-8")
COMMANDS = [line for language, content in blocks(SKILL) for line in shell_lines(language, content)]


def test_its_front_matter_is_what_agents_expect():
    _, front, body = SKILL.split("---\n", 2)
    found = pytest.importorskip("yaml", reason="PyYAML is in the extra test").safe_load(front)
    assert (set(found), found["name"]) == ({"name", "description"}, "alembic-rescue")
    assert len(found["description"]) < 1024
    assert body.startswith("\n# ")
    assert len(SKILL.splitlines()) < 80


def test_each_command_parses_and_answers_in_json():
    all_parsed(shown(SKILL))
    assert all("--format json" in line for line in COMMANDS if line.startswith("alembic-rescue"))


def test_each_action_and_each_exit_status_is_explained():
    table = "\n".join(line.split(" | ")[0] for line in SKILL.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z]+)`", table)) == {action.value for action in Action}
    (told,) = re.findall(r"^\*\*Exit status\.\*\*.*?\n\n", SKILL, re.MULTILINE | re.DOTALL)
    ours = {errors.DONE, errors.INTERNAL, errors.USAGE, errors.REFUSED, errors.DATABASE, errors.NOT_VERIFIED}
    assert {int(one) for one in re.findall(r"\b(\d+): ", told)} == ours | {errors.INTERRUPTED}


def test_options_that_answer_for_a_person_are_never_passed_without_one():
    (never,) = re.findall(r"^\*\*Never\*\*.*", SKILL, re.MULTILINE | re.DOTALL)
    silent = {
        max(option.opts, key=len)
        for command in PROGRAM.commands.values()
        for option in command.params
        if option.opts[0].startswith("-") and not option.envvar
    } - {"--only"}  # answers for nobody
    assert set(re.findall(r"`(--[a-z-]+)`", never)) == silent


def test_each_field_that_it_names_is_in_the_answer():
    known = {name for one in [SCHEMA, *SCHEMA["$defs"].values()] for name in one.get("properties", ())}
    others = {"env.py", "alembic_version", "alembic", "diagnose", "rehearse", *(action.value for action in Action)}
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", SKILL)) - others
    assert {part for name in named for part in name.split(".")} <= known


@pytest.mark.slow
def test_its_commands_in_this_order_resolve_the_incident(project, database):
    incident = project("incident", database)
    assert incident.alembic("upgrade", "774225e563ca").status == 0
    database.stand_at("b354d12d1e7d")
    revision = "REVISION"
    for line in COMMANDS:
        program, *arguments = shlex.split(line)
        arguments = [revision if one == "REVISION" else one for one in arguments]
        ran = incident.alembic(*arguments) if program == "alembic" else incident.rescue(*arguments)
        assert ran.status == 0, ran.everything
        if "diagnose" in arguments and "--check" not in arguments:
            recommendation = ran.json["databases"][0]["recommendation"]
            assert recommendation["action"] == "stamp"
            revision = recommendation["revision"]
        if program == "alembic-rescue" and "stamp" not in arguments:
            assert len(incident.receipts) == (1 if database.versions() != ["b354d12d1e7d"] else 0)
    assert revision == "774225e563ca"
    assert database.versions() == ["aae3309a2a8b"]
    assert ran.json["databases"][0]["recommendation"]["action"] == "nothing"


@pytest.mark.slow
def test_if_nothing_was_kept_they_end_before_the_stamp(project, database):
    incident = project("incident", database)
    assert incident.alembic("upgrade", "b354d12d1e7d").status == 0
    diagnose, plan, stamp, *_ = COMMANDS
    answers = [incident.rescue(*shlex.split(line.replace("REVISION", "774225e563ca"))[1:])
               for line in (diagnose, plan, stamp)]  # fmt: skip
    assert [one.status for one in answers] == [0, 3, 3]
    assert answers[0].json["databases"][0]["recommendation"]["action"] == "rerun"
    assert answers[2].json["refusals"][0]["code"] == "revision-not-applied"
    assert database.versions() == ["b354d12d1e7d"]
