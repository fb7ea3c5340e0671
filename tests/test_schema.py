"""docs/schema.json: as closed as it can be, and matching the values that the answers are built from."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from alembic_rescue import errors, model
from alembic_rescue.cli.commands import app
from alembic_rescue.evidence import completion, deployed, from_empty, lost, rehearsal
from alembic_rescue.evidence import model as evidence
from alembic_rescue.evidence.logs import values as logs
from alembic_rescue.model import Action, Outcome, Report
from alembic_rescue.report import json as report_json
from tests import answers
from tests.answers import SCHEMA

DEFINED = SCHEMA["$defs"]
OBJECTS = {name: one for name, one in DEFINED.items() if "properties" in one}
MADE_OF = {
    "note": model.Note,
    "identity": model.Identity,
    "recommendation": model.Recommendation,
    "choice": model.Choice,
    "revision": model.Revision,
    "object": evidence.ObjectEvidence,
    "blocker": model.Blocker,
    "located": model.Located,
    "completion": completion.Completion,
    "cause": evidence.Cause,
    "rehearsal": rehearsal.Rehearsal,
    "from_empty": from_empty.FromEmpty,
    "answer": rehearsal.Answer,
    "demand": rehearsal.Demand,
    "lock": rehearsal.Lock,
    "size": rehearsal.TableSize,
    "search": lost.Search,
    "lost": lost.Lost,
    "log": logs.DeploymentLog,
    "run": logs.Run,
    "step": logs.Step,
    "logged_error": logs.LoggedError,
    "frame": logs.Frame,
    "address": logs.Address,
    "deployment": deployed.Deployed,
    "redeploy": deployed.Redeploy,
    "receipt": model.Receipt,
    "receipt_part": model.ReceiptPart,
}
MADE_HERE = {"target", "error", "database"}
"""Added by report/json.py itself."""
BESIDES = {
    "recommendation": {"command"},
    "rehearsal": {"passes", "fails", "fails_at", "sure"},
    "answer": {"query", "violated", "fix"},
    "receipt": {"format", "state", "seal", "undone_by"},
}
"""What report/json.py adds to a value."""
WORDS = {str: "string", Path: "string", datetime: "string", int: "integer", float: "number", bool: "boolean"}


def in_schema(one: dict[str, Any]) -> str:
    """A property in short notation: ``[string]``, ``integer?``, ``a|b``, or the name of an object."""
    if "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        return name if name in OBJECTS else in_schema(DEFINED[name])
    if "anyOf" in one:
        value, null = one["anyOf"]
        assert null == {"type": "null"}
        return f"{in_schema(value)}?"
    if "enum" in one:
        return "|".join(sorted(filter(None, one["enum"]))) + "?" * (None in one["enum"])
    kind, *null = [one["type"]] if isinstance(one["type"], str) else one["type"]
    word = f"[{in_schema(one['items'])}]" if kind == "array" else kind
    return word + "?" * bool(null)


def in_code(hint: Any) -> str:
    """A field's type in the same notation."""
    inner = get_args(hint)
    if type(None) in inner:
        (value,) = set(inner) - {type(None)}
        return f"{in_code(value)}?"
    if inner:
        return f"[{in_code(inner[0])}]"
    if is_dataclass(hint):
        return next(name for name, kind in MADE_OF.items() if kind is hint)
    return "|".join(sorted(one.value for one in hint)) if issubclass(hint, Enum) else WORDS[hint]


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)
    assert set(OBJECTS) == {*MADE_OF, *MADE_HERE}


@pytest.mark.parametrize("name", MADE_OF)
def test_each_object_has_the_fields_of_its_value(name):
    told = {field: in_schema(one) for field, one in OBJECTS[name]["properties"].items()
            if field not in BESIDES.get(name, ())}  # fmt: skip
    fields = {field: in_code(hint) for field, hint in get_type_hints(MADE_OF[name]).items()}
    narrowed = {field for field in told if fields.get(field) == "string" and "|" in told[field]}
    assert told == {field: told[field] if field in narrowed else word for field, word in fields.items()}


def test_a_database_has_all_of_its_identity():
    identity = OBJECTS["identity"]["properties"]
    assert {name: OBJECTS["database"]["properties"][name] for name in identity} == identity


@pytest.mark.parametrize("name", ["", *OBJECTS])
def test_each_object_is_closed_and_each_field_is_required_and_described(name):
    one = OBJECTS.get(name, SCHEMA)
    sometimes = {"": {"receipts", "script", "not_asked"}, "error": {"blockers"}}.get(name, set())
    assert one["additionalProperties"] is False
    assert [*one["required"], *(field for field in one["properties"] if field in sometimes)] == [*one["properties"]]
    assert all(told["description"].endswith((".", "`")) for told in [one, *one["properties"].values()])


def test_commands_outcomes_and_actions_match_the_program():
    commands = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    rules = {rule["if"]["properties"]["command"]["const"]: rule["then"]["properties"]["outcome"]["enum"]
             for rule in SCHEMA["allOf"] if set(rule["if"]["properties"]) == {"command"}}  # fmt: skip
    assert {*commands, ""} == set(SCHEMA["properties"]["command"]["enum"]) == set(rules)
    assert {outcome for rule in rules.values() for outcome in rule} == {one.value for one in Outcome}
    assert set(DEFINED["outcome"]["enum"]) == {one.value for one in Outcome}
    assert set(DEFINED["action"]["enum"]) == {one.value for one in Action}


PLAN = json.loads(report_json.dumped(report_json.document(Report("plan", Outcome.READY, None, (), ())), str))


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"more": 1}, r"'more' was unexpected"),
        ({"outcome": "stamped"}, r"\$\.outcome"),
        ({"outcome": "refused"}, r"\$\.refusals"),
        ({"outcome": "error"}, r"\$\.error"),
        ({"error": {"code": "usage", "message": "m", "help": ""}}, r"\$\.error"),
        ({"refusals": [{"code": "Not A Code", "message": "m", "help": ""}]}, r"code"),
        ({"receipts": []}, r"\$"),
        ({"fingerprint": "sha256:1"}, r"fingerprint"),
    ],
)
def test_a_deviation_from_the_schema_is_detected(change, at):
    assert answers.document(json.dumps(PLAN)) == PLAN
    with pytest.raises(AssertionError, match=at):
        answers.document(json.dumps({**PLAN, **change}))


def test_an_error_without_any_project_fits_the_schema():
    answers.document(report_json.dumped(report_json.failure("", errors.BadUsage("no such option")), str))


@pytest.mark.slow
def test_each_command_fits_the_schema_even_while_a_lock_is_held(project, database):
    linear = project("linear", database)
    assert linear.alembic("upgrade", "aaaa0001").status == 0
    came_to = {}
    with database.session() as held:
        held.cursor().execute("LOCK TABLE alembic_version IN SHARE MODE")
        for line in (
            "diagnose --locate", "rehearse", "plan nope", "script aaaa0003 --for bash", "complete aaaa0002 --yes",
            "repair --yes", "undo --yes", "wait --timeout 1", "redeploy --yes", "receipts", "demo --nope",
            "stamp aaaa0003 --yes --lock-timeout 1",
        ):  # fmt: skip
            answer = linear.rescue_json(*line.split())  # validated against the schema there
            came_to[answer["command"]] = (answer["error"] or {}).get("code", answer["outcome"])
            if "timeout" in line:
                assert [one["locks"] for one in answer["error"]["blockers"]] == [["ShareLock"]]
    assert came_to == {
        "diagnose": "ready",
        "rehearse": "passes",
        "plan": "refused",
        "script": "ready",
        "complete": "nothing-to-do",
        "repair": "nothing-to-do",
        "undo": "refused",
        "wait": "wait-timeout",
        "redeploy": "no-platform",
        "receipts": "ready",
        "demo": "usage",
        "stamp": "lock-timeout",
    }
