"""``--format github`` through the command line, as a runner reads it: each verb, refusals and errors, too."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import actions, chains
from tests.conftest import ProjectCopy

pytestmark = pytest.mark.slow
TARGET = "774225e563ca"
FILE = "backend/incident/alembic/versions/774225e563ca_add_document_ai_suggestions_and_version.py"


@pytest.fixture
def step(tmp_path):
    """A step of a job whose workspace has the project in ``backend``."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    subprocess.run(["git", "init", "-q", str(workspace)], check=True)
    return {"GITHUB_WORKSPACE": str(workspace), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}


@pytest.fixture
def stuck(step, project, database):
    made = project("incident", database)
    root = made.root.parent / "workspace" / "backend" / "incident"
    root.parent.mkdir(parents=True)
    made.root.rename(root)
    moved = ProjectCopy(root, made.home, database, step)
    assert moved.alembic("upgrade", TARGET).status == 0
    assert moved.alembic("stamp", "b354d12d1e7d").status == 0
    return moved


def told(made, *arguments, status=0, **environment):
    """Return the commands on stdout; assert that there are none on stderr."""
    ran = made.rescue("--format", "github", *arguments, **environment)
    assert ran.status == status, ran.everything
    assert actions.commands(ran.stderr) == []
    return actions.commands(ran.stdout)


def summary(made):
    return Path(made.environment["GITHUB_STEP_SUMMARY"]).read_text("utf-8")


def levels(found):
    return [one.name for one in found]


def test_from_diagnose_to_undo(stuck, database):
    error, notice = told(stuck, "diagnose")
    assert (error.name, error.place) == ("error", f"{FILE}:40")
    assert error.properties["title"] == "alembic-rescue: swallowed-error"
    assert (notice.name, notice.data.splitlines()[-1]) == ("notice", f"alembic-rescue stamp {TARGET}")
    assert "```mermaid\nflowchart TD\n" in summary(stuck)
    rehearsed = told(stuck, "rehearse", status=3)
    assert (rehearsed[0].name, rehearsed[0].place) == ("error", f"{FILE}:40")
    refused = told(stuck, "stamp", "head", "--yes", status=3)
    assert set(levels(refused)) == {"error"}
    titles = {one.properties["title"] for one in refused}
    assert "alembic-rescue: revision-not-applied" in titles
    assert all("file" in one.properties for one in refused), refused
    assert told(stuck, "stamp", TARGET, "--yes") == []
    assert told(stuck, "wait", TARGET) == []
    assert told(stuck, "receipts") == []
    assert told(stuck, "undo", "--yes") == []
    assert [one for one in summary(stuck).split("\n\n") if one.startswith("### ")] == [
        f"### alembic-rescue {verb}" for verb in ("diagnose", "rehearse", "stamp", "stamp", "wait", "receipts", "undo")
    ]
    assert database.url.split(":")[2].split("@")[0] not in summary(stuck)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["undo", "none-such", "--yes"], 3, "no-receipt"),
        (["stamp", TARGET], 2, "no-terminal"),
        (["plan"], 2, "usage"),
        (["diagnose", "--no-such-option\n::add-mask::x"], 2, "usage"),
        ([], 2, "usage"),
        (["-c", "elsewhere.ini", "diagnose"], 2, "no-config"),
    ],
)
def test_an_error_is_one_annotation(stuck, arguments, status, code):
    (error,) = told(stuck, *arguments, status=status)
    assert (error.name, error.properties) == ("error", {"title": f"alembic-rescue: {code}"})


def test_a_refusal_comes_with_the_report(stuck):
    refused, cause = told(stuck, "plan", "none::error::x", status=3)
    assert refused.data.startswith("the script directory has no revision 'none::error::x'\n")
    assert cause.properties["title"] == "alembic-rescue: swallowed-error"


def test_the_environment_variable_works_even_if_the_command_line_is_invalid(stuck):
    for words in (["diagnose", "--no-such"], ["--no-such", "diagnose"]):
        ran = stuck.rescue(*words, ALEMBIC_RESCUE_FORMAT="github")
        assert (ran.status, levels(actions.commands(ran.stdout))) == (2, ["error"])


def test_text_from_a_server_or_project_is_not_a_command(step, tmp_path, database):
    evil = "x\n::set-env name=PATH::/evil\n##[add-mask]y"
    bodies = {"r1": f"print({evil!r})\nop.execute({f'SELECT 1/0 -- {evil}'!r})"}
    root = chains.write(tmp_path / "workspace" / "shop", database.url, bodies).root
    env = root / "env.py" if (root / "env.py").exists() else next(root.rglob("env.py"))
    env.write_text(f"print({evil!r})\n{env.read_text()}")
    made = ProjectCopy(root, tmp_path / "state", database, step)
    found = told(made, "--debug", "rehearse", status=3)
    assert levels(found) == ["error", "warning"], found
    assert found[0].place.startswith("shop/")
    env.write_text(f"raise ValueError({evil!r})\n")
    (error,) = told(made, "--debug", "diagnose", status=2)
    assert error.properties["title"] == "alembic-rescue: env-failed"


@pytest.mark.parametrize(
    ("body", "words", "status", "line"),
    [
        ("op.execute('nonsense')", ["upgrade"], 3, ":9"),
        ("op.execute('nonsense')", ["upgrade", "--rehearse"], 3, ":9"),
        ("raise KeyError('a')", ["upgrade"], 3, ":9"),
        ("raise KeyError('a')", ["rehearse"], 2, ":9"),
        ("import os; os._exit(3)", ["rehearse", "--from-empty"], 3, ""),
    ],
)
def test_a_failure_is_one_annotation_in_its_file(step, tmp_path, database, body, words, status, line):
    root = chains.write(tmp_path / "workspace" / "shop", database.url, {"r1": body}).root
    found = told(ProjectCopy(root, tmp_path / "state", database, step), *words, status=status)
    about = [
        one for one in found if one.properties["title"].split()[-1] not in {"recommendation", "version-table-missing"}
    ]
    assert [(one.name, one.place) for one in about] == [("error", f"shop/alembic/versions/r1.py{line}")]


def test_an_up_to_date_database_has_no_annotations(stuck):
    assert stuck.rescue("stamp", TARGET, "--yes").status == 0
    assert stuck.alembic("upgrade", "head").status == 0
    assert told(stuck, "diagnose", "--check") == []
    assert set(levels(told(stuck, "diagnose", "--applied"))) == {"warning"}, "it changes rows"
    assert told(stuck, "rehearse") == []


def test_without_a_summary_the_report_follows(stuck):
    del stuck.environment["GITHUB_STEP_SUMMARY"]
    ran = stuck.rescue("--format", "github", "diagnose")
    commands, _, markdown = ran.stdout.partition("\n\n")
    assert len(actions.commands(commands)) == 2
    assert markdown.startswith("### alembic-rescue diagnose\n")
