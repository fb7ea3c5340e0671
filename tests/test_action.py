"""action.yml and .pre-commit-hooks.yaml, each read and run as its runner does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import actions, apart, chains, matrix
from tests.conftest import BIN, ProjectCopy, Ran, clean_environment
from tests.test_readme import parse

yaml = pytest.importorskip("yaml", reason="PyYAML is in the extra test")
ROOT = matrix.ROOT
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ *inputs\.([a-z-]+) *\}\}")
EVIL = (
    "x; touch pwned #",
    "$(touch pwned)",
    "`touch pwned`",
    '"; touch pwned; "',
    "' ; touch pwned ; '",
    "a && touch pwned",
)
SHOP = {f"r{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2)}


def filled(value: str, given: dict[str, str]) -> str:
    """Return an expression's value, as the runner inserts it."""
    inputs = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | given
    return EXPRESSION.sub(lambda found: inputs[found[1]], value)


def run_step(step, folder: Path, given: dict[str, str], **environment: str) -> Ran:
    """Run a step as the runner does: bash runs the script from a file, and inputs are environment variables."""
    script = folder.parent / "step.sh"
    script.write_text(step["run"])
    where = folder / filled(step.get("working-directory", "."), given)
    values = {name: filled(value, given) for name, value in step["env"].items()}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=where,
        env=clean_environment(folder.parent, **environment, **values) | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


# --- the files ---------------------------------------------------------------------------------------------------


def test_the_action_describes_itself_and_each_input():
    assert {"name", "description", "inputs", "runs"} <= set(ACTION)
    assert ACTION["runs"]["using"] == "composite"
    assert list(ACTION["inputs"]) == ["command", "arguments", "python", "version", "working-directory"]
    for one in ACTION["inputs"].values():
        assert one["description"].endswith(".")
        assert isinstance(one["default"], str)


def test_no_input_is_inserted_into_a_script():
    for step in STEPS:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert all(EXPRESSION.fullmatch(value) for value in step["env"].values())
    used = {name for step in STEPS for value in [*step["env"].values(), step.get("working-directory", "")]
            for name in EXPRESSION.findall(value)}  # fmt: skip
    assert used == set(ACTION["inputs"])


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["name"])
def test_shellcheck_finds_nothing(step):
    if not (program := shutil.which("shellcheck", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")):
        pytest.skip("shellcheck is in the extra dev")
    script = f"#!/usr/bin/env bash\nset -eo pipefail\n{step['run']}"
    subprocess.run([program, "-"], input=script, text=True, check=True)


def test_the_hook_runs_when_a_migration_changes():
    assert HOOK["pass_filenames"] is False
    for changed, runs in (
        ("alembic/versions/abc_add.py", True),
        ("backend/migrations/versions/2026/abc_add.py", True),
        ("versions/abc.py", True),
        ("app/models.py", False),
        ("docs/conversions/a.py", False),
        ("alembic/versions/README.md", False),
    ):
        assert bool(re.search(HOOK["files"], changed)) is runs, changed


def test_the_hook_installs_the_scratch_extra():
    from alembic_rescue import compat

    project = compat.tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert HOOK["additional_dependencies"] == project["optional-dependencies"]["scratch"]
    assert HOOK["entry"] in project["scripts"]


# --- run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> dict[str, str]:
    """The variables of a runner on which the action's own step has installed the tool."""
    folder = tmp_path_factory.mktemp("runner")
    (folder / "work").mkdir()
    paths = {"RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(ROOT)}
    installed = run_step(STEPS[0], folder / "work", {}, **paths)
    assert installed.status == 0, installed.everything
    return paths


@pytest.fixture
def job(runner, tmp_path, database):
    """A job with a project in a folder of its workspace, and a Python with the project's requirements."""
    root = chains.write(tmp_path / "work" / "backend", database.url, SHOP).root
    python = apart.python_of("same")
    variables = {
        **runner,
        "GITHUB_WORKSPACE": str(tmp_path / "work"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    made = ProjectCopy(root, tmp_path / "state", database, variables)
    assert made.run([str(Path(python).with_name("alembic")), "upgrade", "r1"]).status == 0
    return made


def acted(job, **given):
    """Run the second step in the project's folder."""
    inputs = {"working-directory": "backend", **{name.replace("_", "-"): value for name, value in given.items()}}
    return run_step(STEPS[1], job.root.parent, inputs, **job.environment)


@pytest.mark.slow
def test_the_tool_has_its_own_environment_and_the_jobs_python_runs_the_migrations(job):
    own = Path(job.environment["RUNNER_TEMP"]) / "alembic-rescue" / "bin"
    ask = "import importlib.util as u; print(bool(u.find_spec('alembic_rescue')))"
    for python, has in ((own / "python", True), (apart.python_of("same"), False)):
        clean = clean_environment(job.home) | {"PYTHONPATH": ""}
        told = subprocess.run(
            [python, "-c", ask], cwd=job.home.parent, env=clean, capture_output=True, text=True, check=True
        )
        assert told.stdout == f"{has}\n"
    env = next(job.root.rglob("env.py"))
    env.write_text(f"import sys\nprint('RUN BY', sys.executable)\n{env.read_text()}")
    ran = acted(job, command="rehearse", arguments="--debug")
    assert ran.status == 0, ran.everything
    assert f"RUN BY {apart.python_of('same')}" in ran.stderr
    assert actions.commands(ran.everything) == []
    assert "### alembic-rescue rehearse" in Path(job.environment["GITHUB_STEP_SUMMARY"]).read_text("utf-8")


@pytest.mark.slow
def test_without_inputs_it_rehearses_from_empty_without_a_database(job):
    job.set_url("postgresql+psycopg2://nobody:x@127.0.0.1:1/nothing")
    ran = acted(job)
    assert ran.status == 0, ran.everything
    assert actions.commands(ran.everything) == []
    (last,) = job.root.rglob("*r2*.py")
    last.write_text(last.read_text().replace("op.create_table('t2'", "op.create_table('t1'"))
    assert acted(job).status == 3


@pytest.mark.slow
def test_a_migration_that_fails_fails_the_step_at_its_line(job):
    (last,) = job.root.rglob("*r2*.py")
    last.write_text(last.read_text().replace("op.create_table('t2'", "op.create_table('t1'"))
    ran = acted(job, command="rehearse")
    assert ran.status == 3, ran.everything
    (error,) = actions.commands(ran.everything)
    assert (error.name, error.properties["file"]) == ("error", str(last.relative_to(job.root.parent)))


@pytest.mark.slow
def test_arguments_are_split_as_in_a_shell(job):
    env = next(job.root.rglob("env.py"))
    env.write_text(f"{env.read_text()}\nprint('TOLD', context.get_x_argument())\n")
    ran = acted(
        job, command="diagnose --check", arguments="--debug -x 'note=two words'", python=apart.python_of("same")
    )
    assert ran.status == 3, ran.everything
    assert "TOLD ['note=two words']" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["command", "arguments", "python"])
def test_an_input_is_never_executed(job, name):
    for evil in EVIL:
        ran = acted(job, **{"command": "diagnose", name: evil})
        assert ran.status != 0, ran.everything
    assert not list(job.root.parent.parent.rglob("pwned"))


@pytest.mark.slow
def test_the_version_input_is_only_a_version(tmp_path):
    (tmp_path / "work").mkdir()
    paths = {"RUNNER_TEMP": str(tmp_path), "GITHUB_ACTION_PATH": str(ROOT)}
    for evil in EVIL[:3]:
        ran = run_step(STEPS[0], tmp_path / "work", {"version": evil}, **paths)
        assert ran.status != 0
        assert "Invalid" in ran.stderr, ran.everything
    assert not list(tmp_path.rglob("pwned"))


@pytest.fixture(scope="module")
def pre_commit() -> str:
    """The real pre-commit, in its own environment."""
    folder = apart.FOLDER / "pre-commit"
    program = folder / "bin" / "pre-commit"
    if not program.exists():
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "-q",
                "--disable-pip-version-check",
                "install",
                "pre-commit>=4",
            ],
        ):
            if subprocess.run(command, env=own, check=False).returncode:
                pytest.skip("pre-commit cannot be installed here")
    return str(program)


def cloned(folder: Path) -> Path:
    """Make a repository with the contents of a release."""
    folder.mkdir()
    for name in (
        ".pre-commit-hooks.yaml",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "docs",
        "alembic_rescue",
        "tests/api_types.py",
    ):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "release")
    return folder


def git(folder: Path, *arguments: str) -> str:
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *person, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_pre_commit_runs_the_hook_only_if_a_migration_changes(pre_commit, tmp_path, database):
    release = cloned(tmp_path / "release")
    root = chains.write(tmp_path / "shop", database.url, SHOP).root
    (root / "README.md").write_text("shop\n")
    hook = {"id": HOOK["id"], "args": ["--python", apart.python_of("same"), "rehearse"]}
    repository = {"repo": str(release), "rev": git(release, "rev-parse", "HEAD").strip(), "hooks": [hook]}
    (root / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [repository]}))
    git(root, "init", "-q")
    git(root, "add", "-A")
    made = ProjectCopy(
        root, tmp_path / "state", database, {"PRE_COMMIT_HOME": str(tmp_path / "hooks"), "PYTHONPATH": ""}
    )

    def run(*files):
        return subprocess.run(
            [pre_commit, "run", "--verbose", "--files", *files],
            cwd=root, env=clean_environment(made.home) | made.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    (last,) = root.rglob("*r2*.py")
    skipped = run("README.md")
    assert (skipped.returncode, "Skipped" in skipped.stdout) == (0, True), skipped
    passed = run(str(last))
    assert (passed.returncode, "Passes. No problem was found" in passed.stdout) == (0, True), passed
    last.write_text(last.read_text().replace("op.create_table('t2'", "op.create_table('t1'"))
    git(root, "add", "-A")
    failed = run(str(last))
    assert failed.returncode == 1, failed
    assert 'relation "t1" already exists' in failed.stdout


def test_the_program_accepts_the_default_commands_of_action_and_hook():
    action = f"alembic-rescue {ACTION['inputs']['command']['default']}"
    assert action == shlex.join([HOOK["entry"], *HOOK["args"]]) == "alembic-rescue rehearse --from-empty"
    assert parse(action) == "rehearse"
