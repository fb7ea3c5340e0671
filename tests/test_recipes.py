"""docs/recipes: each fragment parses as its platform reads it, and each command in it is one of the program's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import chains
from tests.conftest import ProjectCopy, own_shop
from tests.documents import all_parsed, blocks, called, operators, shell_lines, shown
from tests.handing_over import Host
from tests.repositories import Repo, source

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent.parent / "docs" / "recipes"
RECIPES = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.md")) if path.name != "README.md"}
INDEX = (FOLDER / "README.md").read_text("utf-8")
WITHOUT_PYTHON = "script"
"""The recipe for a plain host, which is no platform."""
PLATFORMS = {name: text for name, text in RECIPES.items() if name != WITHOUT_PYTHON}
PLACEHOLDERS = frozenset(["$PORT"])


def procfile(content):
    """Heroku's rule: a name and a command in each line."""
    lines = [line for line in content.splitlines() if line.strip()]
    found = [re.fullmatch(r"([A-Za-z0-9_-]+):\s*(\S.*)", line) for line in lines]
    assert all(found), content
    return {one[1]: one[2] for one in found}


def yaml_documents(content):
    return pytest.importorskip("yaml", reason="PyYAML is in the extra test").safe_load(content)


PARSERS = {"yaml": yaml_documents, "toml": tomllib.loads, "json": json.loads, "procfile": procfile}
"""How each language of a block is parsed; what a shell runs is parsed by bash."""


def fragments(name, language):
    """Return the contents of a recipe's blocks in one language."""
    return [PARSERS[language](content) for found, content in blocks(RECIPES[name]) if found == language]


def texts(value):
    """Yield each command in a fragment: a text, or a list of words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        yield from (value if any(" " in one for one in value) else [shlex.join(value)])
    else:
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from texts(one)


def configured(name):
    """Return each call of the program in a recipe's fragments."""
    held = [one for language in PARSERS for one in fragments(name, language)]
    return [call for one in held for text in texts(one) for line in text.splitlines() if "alembic-rescue" in line
            for call in called(line)]  # fmt: skip


def one_command(command):
    """The words of a command that no shell reads."""
    assert set(operators(command)) <= PLACEHOLDERS, f"needs a shell: {command}"
    return shlex.split(command)


# --- all of them -------------------------------------------------------------------------------------------------


def test_each_recipe_is_in_the_index_and_no_other():
    assert set(re.findall(r"^\| \[[^\]]+\]\(([\w-]+)\.md\)", INDEX, re.MULTILINE)) == set(PLATFORMS)
    platforms = {"render", "heroku", "fly", "railway", "kubernetes", "compose", "github-actions"}
    assert set(PLATFORMS) == platforms
    assert f"({WITHOUT_PYTHON}.md)" in INDEX


@pytest.mark.parametrize("name", PLATFORMS)
def test_each_says_what_to_run_before_on_failure_and_after(name):
    steps = re.split(r"^## ", RECIPES[name], flags=re.MULTILINE)
    (before,), (failed,), (after,) = (
        [step for step in steps if step.startswith(title)]
        for title in ("Before a deployment\n", "When it failed\n", "After it\n")
    )
    assert "alembic-rescue rehearse" in before
    assert re.search(r"alembic-rescue (?:--receipts \S+ )?diagnose --log -", failed)
    assert "only what it recommends" in failed
    assert re.search(r"alembic-rescue (?:wait|redeploy)", after)
    assert fragments(name, "yaml") + fragments(name, "toml") + fragments(name, "json") + fragments(name, "procfile")


@pytest.mark.parametrize("name", PLATFORMS)
def test_each_says_what_a_proof_needs_where_the_database_is_and_that_the_stamp_comes_first(name):
    before, failed, after = (
        re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", RECIPES[name], re.MULTILINE | re.DOTALL)[1]
        for title in ("Before a deployment", "When it failed", "After it")
    )
    assert "alembic-rescue[scratch]" in (RECIPES[name] if name == "github-actions" else before)
    assert re.search(r"only after the stamp|after the stamp", " ".join(after.split()))
    if name != "compose":  # there it runs in the image, with the image's own variables
        (told,) = [content for language, content in blocks(failed) if "diagnose --log -" in content]
        assert re.search(r"export (?:DATABASE|ALEMBIC_RESCUE)_URL.*alembic-rescue diagnose", told, re.DOTALL)
        assert "heck out the commit that failed" in " ".join(failed.split())


@pytest.mark.parametrize("name", [*RECIPES, "index"])
def test_each_command_parses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = shown(INDEX) if name == "index" else [*shown(RECIPES[name]), *configured(name)]
    assert calls
    all_parsed(calls)


@pytest.mark.parametrize("name", RECIPES)
def test_each_block_parses_and_each_shell_line_is_read_by_bash(name):
    for language, content in blocks(RECIPES[name]):
        assert language in {*PARSERS, "console", "bash"}
        if language in {"console", "bash"}:
            script = content if language == "bash" else "\n".join(shell_lines(language, content))
            assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        if language == "bash":
            assert re.match(r"#!/(?:usr/bin/env bash\nset -euo pipefail|bin/sh\nset -eu)\n", content), content
        if language == "bash" and shutil.which("shellcheck"):
            subprocess.run(["shellcheck", "-"], input=content, text=True, check=True)


@pytest.mark.parametrize("name", RECIPES)
def test_none_answers_for_a_person_and_none_contains_a_secret(name):
    for call in [*shown(RECIPES[name]), *configured(name)]:
        assert not re.search(r"--(?:accept|accept-missing|not-run)\b", call)
    for call in configured(name):
        assert not re.search(r"\b(?:stamp|complete|repair|undo)\b", call)
    assert not re.search(r"://\w+:[^@\s*]+@|\brnd_(?!test)\w", RECIPES[name])


@pytest.mark.parametrize(
    "command",
    ["alembic-rescue rehearse && alembic upgrade head", "alembic upgrade head | tee log", "alembic upgrade $TARGET",
     "alembic upgrade head; true", "alembic upgrade head > log"],
)  # fmt: skip
def test_what_needs_a_shell_is_known(command):
    with pytest.raises(AssertionError, match="needs a shell"):
        one_command(command)


@pytest.mark.parametrize("name", PLATFORMS)
def test_each_upgrades_guarded_and_says_what_a_person_does_when_that_fails(name):
    assert any(re.search(r"^alembic-rescue (?:--format github )?upgrade\b", call) for call in configured(name))
    for language, content in blocks(RECIPES[name]):
        assert "alembic upgrade" not in content, language
    failed = re.search(r"^## When it failed\n(.*?)(?=^## )", RECIPES[name], re.MULTILINE | re.DOTALL)[1]
    assert "README.md#when-upgrade-failed" in failed
    if name not in {"heroku", "github-actions"}:  # their workers start afterwards
        assert "alembic-rescue wait" in RECIPES[name] or "alembic-rescue, wait" in RECIPES[name]


def test_the_index_says_what_each_exit_status_asks_for():
    table = INDEX.partition("## When upgrade failed")[2]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["2", "3", "4", "5", "130"]


# --- each platform -----------------------------------------------------------------------------------------------

UPGRADE = ["alembic-rescue", "upgrade"]


def test_render():
    (blueprint,) = fragments("render", "yaml")
    (service,) = blueprint["services"]
    assert one_command(service["preDeployCommand"]) == UPGRADE
    assert (service["type"], service["plan"] != "free") == ("web", True)
    (variable,) = service["envVars"]
    assert variable["fromDatabase"]["name"] in {one["name"] for one in blueprint["databases"]}
    assert "alembic" not in service["startCommand"]


def test_heroku():
    (processes,) = fragments("heroku", "procfile")
    assert shlex.split(processes["release"]) == UPGRADE
    assert "alembic" not in processes["web"]


def test_fly():
    (app,) = fragments("fly", "toml")
    assert one_command(app["deploy"]["release_command"]) == UPGRADE
    assert re.fullmatch(r"\d+[ms]", app["deploy"]["release_command_timeout"])


def test_railway():
    (as_json,), (as_toml,) = fragments("railway", "json"), fragments("railway", "toml")
    assert as_toml["deploy"]["preDeployCommand"] == as_json["deploy"]["preDeployCommand"]
    (command,) = as_json["deploy"]["preDeployCommand"]
    assert one_command(command) == UPGRADE
    assert "alembic" not in as_json["deploy"]["startCommand"]


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_kubernetes():
    job, deployment = fragments("kubernetes", "yaml")
    assert (job["apiVersion"], job["kind"], deployment["kind"]) == ("batch/v1", "Job", "Deployment")
    assert job["spec"]["backoffLimit"] == 0
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert [one["command"] for one in pod["containers"]] == [UPGRADE]
    waiting, application = containers(deployment["spec"]["template"]["spec"])
    assert waiting["command"][:2] == ["alembic-rescue", "wait"]
    assert waiting["image"] == application["image"]
    assert "command" not in application
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    for one in [*containers(pod), waiting, application]:
        assert one["envFrom"] == [{"secretRef": {"name": "backend-database"}}]
        one_command(shlex.join(one.get("command", [])))


def test_the_patch_that_lets_an_older_image_start_fits_the_deployment():
    _, deployment = fragments("kubernetes", "yaml")
    (patch,) = re.findall(r"--type json -p '(.*)'", RECIPES["kubernetes"])
    (step,) = json.loads(patch)
    *way, name = step["path"].strip("/").split("/")
    at = deployment
    for part in way:
        at = at[part]
    assert (step["op"], [one["name"] for one in at[name]]) == ("remove", ["migrations"])
    assert "unknown-while-waiting" in RECIPES["kubernetes"]


def test_compose():
    here, elsewhere = (one["services"] for one in fragments("compose", "yaml"))
    assert here["migrate"]["command"] == UPGRADE
    assert here["migrate"]["depends_on"]["db"]["condition"] == "service_healthy"
    assert "healthcheck" in here["db"]
    assert elsewhere["migrations"]["command"][:2] == ["alembic-rescue", "wait"]
    for services, before, after in ((here, "migrate", "backend"), (elsewhere, "migrations", "worker")):
        assert services[before]["restart"] == "no"  # false, if it had no quotes
        assert services[after]["depends_on"] == {before: {"condition": "service_completed_successfully"}}
        assert services[before]["image"] == services[after]["image"]


def test_github_actions():
    workflow, _ = fragments("github-actions", "yaml")
    assert workflow.get("on", workflow.get(True)) == {"push": {"branches": ["main"]}}  # YAML 1.1 reads "on" as true
    (job,) = workflow["jobs"].values()
    assert job["concurrency"]["cancel-in-progress"] is False
    _, migrate, deploy = [one_command(step["run"]) for step in job["steps"] if "run" in step]
    assert migrate == ["alembic-rescue", "--format", "github", "upgrade", "--rehearse", "--verify"]
    assert deploy == ["alembic-rescue", "redeploy", "--yes"]


def test_github_actions_of_a_pull_request_have_no_secret_and_all_of_git():
    _, workflow = fragments("github-actions", "yaml")
    (job,) = workflow["jobs"].values()
    assert "secrets." not in json.dumps(workflow)
    checkout, *_ = job["steps"]
    assert checkout["with"] == {"fetch-depth": 0}


# --- played ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kubernetes_pods_start_in_the_required_order(tmp_path):
    """Job and Deployment start together, before the server is up; the application starts after the migrations."""
    job, deployment = fragments("kubernetes", "yaml")
    until_it_answers, migrate = (one["command"] for one in containers(job["spec"]["template"]["spec"]))
    until_migrated, _ = (one.get("command") for one in containers(deployment["spec"]["template"]["spec"]))
    shop = {f"r{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2)}
    with own_shop() as database:
        root = chains.write(tmp_path / "project", database.url, shop).root
        project = ProjectCopy(root, tmp_path / "state", database)
        database.server.stop("fast")
        _, elsewhere = (one["services"] for one in fragments("compose", "yaml"))
        commands = (until_it_answers, until_migrated, elsewhere["migrations"]["command"])
        pods = [project.started(*command[1:]) for command in commands]
        time.sleep(3)
        assert [pod.poll() for pod in pods] == [None, None, None]
        database.server.start()
        out, err = pods[0].communicate(timeout=60)
        assert pods[0].returncode == 0, err
        time.sleep(3)
        assert [pod.poll() for pod in pods[1:]] == [None, None], "the application would start before its migrations"
        assert project.rescue(*migrate[1:]).status == 0
        for pod in pods[1:]:
            out, err = pod.communicate(timeout=60)
            assert (pod.returncode, "is at r2" in out) == (0, True), err


@pytest.mark.slow
def test_a_pull_request_is_checked_without_a_database(tmp_path):
    """Runs the workflow's own steps, in a clone like that of actions/checkout."""
    _, workflow = fragments("github-actions", "yaml")
    (job,) = workflow["jobs"].values()
    steps = [step["run"] for step in job["steps"] if " rehearse " in step.get("run", "")]
    origin = Repo(tmp_path / "origin", "alembic/versions")
    chains.write(origin.root, "", {"r1": "op.create_table('t', sa.Column('id', sa.Integer))"})
    origin.git("init", "-q", "-b", "main")
    origin.commit()
    subprocess.run(["git", "clone", "-q", origin.root, tmp_path / "clone"], check=True)
    clone = Repo(tmp_path / "clone", "alembic/versions")
    project = ProjectCopy(clone.root, tmp_path / "state")

    def checked(body):
        clone.write("r2", "r1", text=source("r2", "r1", body))
        return [project.run(["bash", "-ec", step], GITHUB_BASE_REF="main").status for step in steps]

    assert checked("op.add_column('t', sa.Column('name', sa.Text))") == [0, 0]
    assert checked("op.add_column('u', sa.Column('name', sa.Text))") == [3, 3]


def test_on_a_host_without_python_the_recipe_works_forth_and_back(project, database):
    """As it is written, except for the tunnel and the terminal."""
    incident = project("incident", database)
    assert incident.alembic("upgrade", "774225e563ca").status == 0
    database.stand_at("b354d12d1e7d")
    host = Host(incident.root, database)
    lines = [line for language, content in blocks(RECIPES[WITHOUT_PYTHON]) for line in shell_lines(language, content)]
    done = []
    for line in lines:
        program, *arguments = shlex.split(line)
        if program == "alembic-rescue" and "script" in arguments:
            done.append(incident.rescue(*arguments[arguments.index("script") :]))
        elif program == "bash":
            done.append(host.bash(*arguments[1:], *(["--yes"] if "--dry-run" not in arguments else [])))
        elif program == "psql":
            done.append(host.file("stamp.sql"))
        else:
            assert program in {"python", "ssh", "scp", "read", "export", "alembic-rescue"}, line
            continue
        assert done[-1].status == 0, done[-1].everything
        if "--undo" in arguments:
            assert database.versions() == ["b354d12d1e7d"]
    assert len(done) == 6
    assert database.versions() == ["774225e563ca"]
