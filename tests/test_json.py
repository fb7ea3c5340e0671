"""The JSON of format 1: every promised field is in every document, with the promised values."""

from __future__ import annotations

from dataclasses import fields

import pytest

from alembic_rescue import Cause, ObjectEvidence

DOCUMENT = {
    "format",
    "command",
    "outcome",
    "refusals",
    "target",
    "script_heads",
    "databases",
    "fingerprint",
    "receipt",
    "error",
}
DATABASE = {
    "url",
    "dialect",
    "server_version",
    "server_id",
    "role",
    "version_table",
    "version_table_schema",
    "current_heads",
    "heads_after",
    "revisions",
    "pending_after",
    "blockers",
    "causes",
    "findings",
    "recommendation",
}
REVISION = {"revision", "doc", "path", "verdict", "accepted", "objects"}
NOTE = {"code", "message", "help"}
CAUSE = {"revision", "path", "line", "statement", "error", "swallowed", "fix"}
OBJECT = {"kind", "name", "expected", "presence", "detail", "line", "sql"}


def test_the_fields_of_causes_and_objects_are_as_promised():
    assert {field.name for field in fields(Cause)} >= CAUSE
    assert {field.name for field in fields(ObjectEvidence)} >= OBJECT


@pytest.fixture
def linear(project, any_database):
    linear = project("linear", any_database)
    linear.alembic("upgrade", "aaaa0001")
    return linear


def test_a_plan(linear, any_database):
    plan = linear.rescue_json("plan", "aaaa0003")
    assert set(plan) >= DOCUMENT
    assert (plan["format"], plan["command"], plan["outcome"]) == (1, "plan", "ready")
    assert plan["target"]["revision"] == "aaaa0003"
    assert plan["target"]["doc"] == "step 3"
    assert plan["script_heads"] == ["aaaa0005"]
    assert plan["fingerprint"].startswith("sha256:")
    assert plan["receipt"] is plan["error"] is None

    (part,) = plan["databases"]
    assert set(part) >= DATABASE
    assert part["url"] == (
        f"postgresql+psycopg2://rescue_app:***@127.0.0.1:{any_database.server.port}/{any_database.name}"
    )
    assert part["dialect"] == "postgresql"
    assert part["server_version"].startswith(str(any_database.server.version))
    assert part["role"] == "rescue_app"
    assert (part["version_table"], part["version_table_schema"]) == ("alembic_version", None)
    assert (part["current_heads"], part["heads_after"]) == (["aaaa0001"], ["aaaa0003"])
    assert part["pending_after"] == ["aaaa0004", "aaaa0005"]
    assert [revision["revision"] for revision in part["revisions"]] == ["aaaa0002", "aaaa0003"]
    assert all(set(revision) >= REVISION for revision in part["revisions"])
    assert part["revisions"][0]["path"] == "alembic/versions/0002_step_2.py"
    assert all(set(finding) == NOTE for finding in part["findings"])
    assert set(part["recommendation"]) == {"action", "revision", "reason", "steps", "choices", "only", "command"}


def test_each_command_and_its_outcome(linear):
    outcomes = {}
    for arguments in (
        ["diagnose"],
        ["stamp", "aaaa0003", "--yes"],
        ["stamp", "aaaa0003", "--yes"],
        ["undo", "--yes"],
        ["receipts"],
        ["plan", "base"],
        ["plan"],
    ):
        document = linear.rescue_json(*arguments)
        assert set(document) >= DOCUMENT
        assert document["command"] == arguments[0]
        outcomes.setdefault(arguments[0], []).append(document["outcome"])
    assert outcomes == {
        "diagnose": ["ready"],
        "stamp": ["stamped", "nothing-to-do"],
        "undo": ["undone"],
        "receipts": ["ready"],
        "plan": ["refused", "error"],
    }


def test_a_stamp_names_its_receipt_and_the_databases_position(linear):
    stamped = linear.rescue_json("stamp", "head", "--yes")
    assert stamped["receipt"] == str(linear.receipts[-1])
    assert stamped["databases"][0]["current_heads"] == ["aaaa0005"]
    listed = linear.rescue_json("receipts")["receipts"]
    assert [receipt["path"] for receipt in listed] == [stamped["receipt"]]
    assert listed[0]["parts"][0]["rows_before"] == ["aaaa0001"]


def test_a_refusal_has_its_text_and_what_was_known(linear):
    refused = linear.rescue("--format", "json", "stamp", "base", "--yes")
    assert refused.status == 3
    document = refused.json
    assert document["outcome"] == "refused"
    assert [set(note) for note in document["refusals"]] == [NOTE]
    assert document["refusals"][0]["code"] == "target-behind-current"
    assert document["databases"][0]["current_heads"] == ["aaaa0001"]
    assert document["error"] is None


def test_an_error_has_its_text(linear):
    failed = linear.rescue("-c", "nowhere.ini", "--format", "json", "diagnose")
    assert failed.status == 2
    assert failed.json["outcome"] == "error"
    assert failed.json["error"]["code"] == "no-config"
    assert set(failed.json["error"]) == NOTE
    assert failed.json["databases"] == failed.json["refusals"] == []
