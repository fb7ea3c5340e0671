"""The trap that the tool exists for, and its variants: four states that look alike after a failed deployment.

Each is produced by really failing, on the reference incident's project; only one of them may be stamped as asked.
"""

from __future__ import annotations

import re

import pytest

BEFORE, FIRST, STUCK, LATEST = "b354d12d1e7d", "65e4b4ef883d", "774225e563ca", "aae3309a2a8b"
SWALLOWING = "alembic/versions/774225e563ca_add_document_ai_suggestions_and_version.py"
LEFTOVER = "CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')"


@pytest.fixture
def incident(project, any_database):
    """The backend of the incident, with its database at production's revision."""
    incident = project("incident", any_database)
    assert incident.alembic("upgrade", BEFORE).status == 0
    return incident


def _fail(incident, database):
    """The deployment: 774225e563ca swallows the failure of its CREATE TYPE, because the type already exists."""
    database.run(LEFTOVER)
    failed = incident.alembic("upgrade", "head")
    assert failed.status != 0
    assert "InFailedSqlTransaction" in failed.stderr


def _line_of_the_swallowed_statement(incident):
    lines = (incident.root / SWALLOWING).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if "CREATE TYPE" in line)


def _verdicts(document):
    return {found["revision"]: found["verdict"] for found in document["databases"][0]["revisions"]}


def test_nothing_exists_because_the_whole_run_was_rolled_back(incident, any_database):
    _fail(incident, any_database)
    assert any_database.versions() == [BEFORE]

    diagnosis = incident.rescue("diagnose")
    assert diagnosis.status == 0
    assert "Recommendation: rerun" in diagnosis.stdout
    assert "rolled back" in diagnosis.stdout
    assert f"{SWALLOWING}:{_line_of_the_swallowed_statement(incident)}" in diagnosis.stdout
    assert "warning[swallowed-error]" in diagnosis.stdout
    assert "begin_nested" in diagnosis.stdout
    assert incident.rescue("diagnose", "--check").status == 3

    refused = incident.rescue("stamp", STUCK, "--yes")
    assert refused.status == 3
    assert f"error[revision-not-applied]: {FIRST} is not applied" in refused.stderr
    # The type already existed before, so it proves no run.
    assert f"error[revision-not-applied]: {STUCK} is not applied" in refused.stderr
    assert "Alembic would never create what is missing" in refused.stderr
    assert any_database.versions() == [BEFORE]
    assert incident.receipts == []

    document = incident.rescue_json("plan", STUCK)
    assert document["outcome"] == "refused"
    assert _verdicts(document) == {FIRST: "not-applied", STUCK: "not-applied"}
    assert document["databases"][0]["recommendation"]["action"] == "rerun"


def test_a_transaction_per_migration_leaves_a_prefix(incident, any_database):
    env = incident.root / "alembic" / "env.py"
    env.write_text(
        re.sub(r"connection=connection,", "connection=connection, transaction_per_migration=True,", env.read_text())
    )
    _fail(incident, any_database)
    assert any_database.versions() == [FIRST]
    # The version was recorded; somebody sets it back, as the incident's guide did.
    any_database.run(f"UPDATE alembic_version SET version_num = '{BEFORE}'")

    advice = incident.rescue_json("diagnose")["databases"][0]["recommendation"]
    assert (advice["action"], advice["revision"]) == ("stamp", FIRST)
    refused = incident.rescue("stamp", STUCK, "--yes")
    assert refused.status == 3
    assert f"error[revision-not-applied]: {STUCK} is not applied" in refused.stderr
    assert incident.rescue("stamp", FIRST, "--yes").status == 0
    assert any_database.versions() == [FIRST]


def test_the_objects_exist_and_only_the_version_is_behind(incident, any_database):
    assert incident.alembic("upgrade", STUCK).status == 0
    any_database.run(f"UPDATE alembic_version SET version_num = '{BEFORE}'")
    assert "InFailedSqlTransaction" in incident.alembic("upgrade", "head").stderr

    document = incident.rescue_json("diagnose")
    advice = document["databases"][0]["recommendation"]
    assert (advice["action"], advice["revision"]) == ("stamp", STUCK)
    assert _verdicts(document)[FIRST] == _verdicts(document)[STUCK] == "applied"
    assert incident.rescue("stamp", STUCK, "--yes").status == 0
    assert incident.alembic("upgrade", "head").status == 0
    assert any_database.versions() == [LATEST]


def test_half_of_a_revision_exists_and_the_printed_sql_completes_it(incident, any_database):
    assert incident.alembic("upgrade", STUCK).status == 0
    any_database.run(f"UPDATE alembic_version SET version_num = '{BEFORE}'")
    any_database.run("ALTER TABLE documents DROP COLUMN version")

    document = incident.rescue_json("diagnose")
    part = document["databases"][0]
    assert part["recommendation"]["action"] == "complete"
    assert _verdicts(document)[STUCK] == "partial"
    refused = incident.rescue("stamp", STUCK, "--yes")
    assert refused.status == 3
    assert f"error[revision-partial]: {STUCK} is partially applied" in refused.stderr

    (stuck,) = [found for found in part["revisions"] if found["revision"] == STUCK]
    missing = [found for found in stuck["objects"] if found["presence"] != found["expected"]]
    assert [(found["kind"], found["name"]) for found in missing] == [("column", "public.documents.version")]
    assert all(found["line"] for found in missing)
    for statement in [found["sql"] for found in missing if found["sql"]]:
        assert " ".join(statement.split()) in " ".join(refused.stdout.split())
        any_database.run(statement)

    assert _verdicts(incident.rescue_json("diagnose"))[STUCK] == "applied"
    assert incident.rescue("stamp", STUCK, "--yes").status == 0
