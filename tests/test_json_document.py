"""docs/json.md: its examples are the program's answers, and what it says about outcomes is true."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from itertools import pairwise

import pytest

from tests import answers
from tests.answers import SCHEMA
from tests.conftest import BIN
from tests.documents import all_parsed, blocks, shell_lines, shown

DOCUMENT = (answers.FILE.parent / "json.md").read_text("utf-8")
BLOCKS = blocks(DOCUMENT)
EXAMPLES = [
    (*shell_lines("console", typed)[0].split(" | jq "), json.loads(answer))
    for (one, typed), (other, answer) in pairwise(BLOCKS)
    if (one, other) == ("console", "json")
]
PROSE = frozenset(["reason", "message", "help", "error", "fix"])
"""Texts for people: the wording may change before the document does."""


@pytest.fixture
def stuck(project, database):
    incident = project("incident", database)
    assert incident.alembic("upgrade", "774225e563ca").status == 0
    database.stand_at("b354d12d1e7d")
    return incident


def way(jq):
    """The keys on the way to a part of the document."""
    return [int(one) if one.isdigit() else one for one in re.findall(r"\w+", jq)]


def at(document, keys):
    for key in keys:
        document = document[key]
    return document


def facts(value):
    if isinstance(value, list):
        return [facts(one) for one in value]
    if isinstance(value, dict):
        return {key: type(one) if key in PROSE and isinstance(one, str) else facts(one) for key, one in value.items()}
    return value


def test_each_json_is_an_example_of_a_call_that_parses():
    assert len(EXAMPLES) == sum(language == "json" for language, _ in BLOCKS) > 3
    all_parsed(shown(DOCUMENT))


@pytest.mark.slow
def test_each_example_is_the_programs_answer_and_fits_the_schema(stuck):
    for call, jq, example in EXAMPLES:
        _, *arguments = shlex.split(call)
        document = stuck.rescue(*arguments).json
        *keys, last = [None, *way(jq)]
        whole = {None: document}
        part = at(whole, keys)
        assert facts(example) == facts(part[last]), jq
        part[last] = example
        answers.document(json.dumps(whole[None]))


@pytest.mark.slow
def test_the_python_example_validates_an_answer(stuck):
    (example,) = [content for language, content in BLOCKS if language == "python"]
    shutil.copy(answers.FILE, stuck.root)
    ran = stuck.run([sys.executable, "-c", example], PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert (ran.status, ran.everything) == (0, "")

    schema = stuck.root / "schema.json"
    schema.write_text(json.dumps({**SCHEMA, "required": ["what no answer has"]}))
    ran = stuck.run([sys.executable, "-c", example], PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert "'what no answer has' is a required property" in ran.stderr


def table(column):
    """Return the rows of the table that begins with this column: the first cell, and the others."""
    (found,) = re.findall(rf"^\| {column} \|.*\n\|[-|]+\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in found.splitlines()]
    return {first: rest for first, *rest in rows}


def codes(text):
    return re.findall(r"`([a-z_-]+)`", text)


def test_the_fields_that_it_names_are_the_schemas():
    assert {name for first in table("field") for name in codes(first)} | {"databases"} == set(SCHEMA["properties"])
    (named,) = re.findall(r"^Each of `databases` has (.*?) and more\.$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert set(codes(named)) <= set(SCHEMA["$defs"]["database"]["properties"])
    assert {name for first in table("`action`") for name in codes(first)} == set(SCHEMA["$defs"]["action"]["enum"])


def test_outcomes_of_commands_and_their_exit_statuses():
    rules = {rule["if"]["properties"]["command"]["const"]: rule["then"]["properties"]["outcome"]["enum"]
             for rule in SCHEMA["allOf"] if set(rule["if"]["properties"]) == {"command"}}  # fmt: skip
    told = {codes(outcome)[0]: (of, status) for outcome, (of, status) in table("`outcome`").items()}
    assert set(told) == set(SCHEMA["$defs"]["outcome"]["enum"])
    for outcome, (of, status) in told.items():
        commands = {command for command, outcomes in rules.items() if outcome in outcomes}
        assert set(codes(of)) == (set() if of == "all" else commands)
        assert of != "all" or commands == set(rules)
        told_statuses = {int(one) for one in re.findall(r"\b\d+\b", status)}
        assert told_statuses == answers.STATUSES.get(outcome, {0})
