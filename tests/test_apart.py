"""``--python``: the tool runs in its own environment, and the project's Python is the worker."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from alembic_rescue import compat, errors, load
from alembic_rescue.dialects import admin
from alembic_rescue.project import below
from alembic_rescue.redact import Secrets
from alembic_rescue.worker import interpreter
from alembic_rescue.worker.process import Worker
from alembic_rescue.worker.requests import Loading
from tests import apart, drivers, matrix
from tests.conftest import clean_environment
from tests.terminal import CTRL_C, at_a_terminal

BACKENDS = tuple(apart.BACKENDS)
VARIABLE = "ALEMBIC_RESCUE_PYTHON"
TELLS = """
import importlib.util, json, sys
import alembic, sqlalchemy
import alembic_rescue
print("TOLD " + json.dumps({
    "path": sys.path,
    "has": [name for name in ("typer", "rich", "click", "platformdirs", "pytest") if importlib.util.find_spec(name)],
    "found": {one.__name__: one.__file__ for one in (alembic, sqlalchemy, alembic_rescue)},
    "python": sys.executable,
}))
"""
"""At the top of an env.py: reports which interpreter runs it."""


# --- which Python -----------------------------------------------------------------------------------------------


def environment(folder: Path, **versions: str) -> Path:
    """Create a virtual environment that seems to have packages of these versions."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name, version in versions.items():
        about = packages / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def program(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


def refused(named: object) -> errors.RescueError:
    with pytest.raises(errors.RescueError) as raised:
        interpreter.chosen(str(named))
    assert raised.value.exit_status == errors.USAGE
    assert raised.value.help
    return raised.value


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "python", "there is no such file"),
        (lambda folder: folder / "nowhere" / "python", "there is no "),
        (lambda folder: folder, "there is no "),  # belongs to no environment
        (lambda folder: program(folder / "cat", "#!/bin/sh\necho no Python\n"), "does not answer as Python does"),
        (lambda folder: program(folder / "ends", "#!/bin/sh\necho out of luck >&2; exit 3\n"), "(out of luck)"),
        (lambda folder: program(folder / "data", "\x7f no program"), "Exec format error"),
        (lambda folder: Path(shutil.copy(__file__, folder / "not-executable")), "Permission denied"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_python_is_refused(tmp_path, make, reason):
    error = refused(make(tmp_path))
    assert error.code == "no-python"
    assert reason in error.message


def test_a_python_that_does_not_answer_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(interpreter, "_SECONDS", 0.2)
    error = refused(program(tmp_path / "sleeps", "#!/bin/sh\nexec sleep 60\n"))
    assert (error.code, "did not answer" in error.message) == ("no-python", True)


@pytest.mark.parametrize("version", ["3.8", "3.9"])
def test_an_old_python_is_refused(version):
    if not (old := matrix.interpreter(version)):
        pytest.skip(f"not applicable: there is no Python {version} here")
    error = refused(old)
    assert error.code == "too-old"
    assert f"has Python {version}." in error.message
    assert "needs Python 3.10 or later" in error.message


@pytest.mark.parametrize(
    ("versions", "code", "says"),
    [
        ({}, "alembic-missing", "Alembic and SQLAlchemy are not installed for"),
        ({"SQLAlchemy": "2.0.1"}, "alembic-missing", "Alembic is not installed for"),
        ({"alembic": "1.8.1", "SQLAlchemy": "2.0.1"}, "too-old", "Alembic 1.8.1; alembic-rescue needs Alembic 1.9 or"),
        ({"alembic": "1.9.0", "SQLAlchemy": "1.3.24"}, "too-old", "SQLAlchemy 1.3.24; alembic-rescue needs SQLAlchemy"),
        ({"alembic": "1.9.0", "SQLAlchemy": "1.4.17"}, "too-old", "needs SQLAlchemy 1.4.18 or later"),
    ],
)
def test_missing_or_outdated_packages_are_refused(tmp_path, versions, code, says):
    error = refused(environment(tmp_path / "venv", **versions))
    assert error.code == code
    assert says in error.message


def test_a_folder_a_link_or_a_relative_path_finds_the_environments_python(tmp_path, monkeypatch):
    folder = environment(tmp_path / "venv", alembic="1.10.0b1", SQLAlchemy="2.0.0rc1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    own = str(folder / "bin" / "python")
    for named in ("venv", "venv/", "./venv", "venv/bin/python", own, "~/venv", "python"):
        found = interpreter.chosen(named)
        assert (found.python, found.version) == (own, ".".join(map(str, sys.version_info[:3]))), named
        assert interpreter.located(named) == own, named


def test_a_wrapper_script_leads_to_the_real_python(tmp_path):
    folder = environment(tmp_path / "venv", alembic="1.9.0", SQLAlchemy="2.0.1")
    shim = program(tmp_path / "shim", f'#!/bin/sh\n{folder}/bin/python "$@"\n')
    assert interpreter.chosen(str(shim)).python == str(folder / "bin" / "python")


def test_the_oldest_versions_match_the_requirements():
    project = compat.tomllib.loads((matrix.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bounds = {one.name: str(one.specifier) for one in map(Requirement, project["dependencies"])}
    assert {name.lower(): f">={version}" for name, version in interpreter.OLDEST.items()} == {
        name: bounds[name] for name in ("alembic", "sqlalchemy")
    }
    assert project["requires-python"] == f">={interpreter.OLDEST_PYTHON}"


def test_the_tools_package_is_used_only_if_the_project_has_none():
    given = [interpreter.Interpreter("python", "3.10.1", b"", reads_toml=reads).packages for reads in (True, False)]
    assert list(given[0]) == ["alembic_rescue"]
    assert list(given[1]) == ["alembic_rescue", "tomli"]


@pytest.mark.parametrize(
    ("files", "named", "found"),
    [
        ({"alembic.ini": "[alembic_rescue]\npython = %(here)s/venv\n"}, (), "{here}/venv"),
        ({"pyproject.toml": '[tool.alembic_rescue]\npython = "%(here)s/venv"\n'}, (), "{here}/venv"),
        ({"alembic.ini": "[alembic]\n", "pyproject.toml": '[tool.alembic_rescue]\npython = "venv"\n'}, (), "venv"),
        ({"other.ini": "[alembic_rescue]\npython = there\n"}, ("other.ini",), "there"),
        ({"alembic.ini": "[alembic_rescue]\npython = there\n", "other.ini": "[alembic]\n"}, ("other.ini",), None),
        ({"alembic.ini": "[alembic_rescue]\npython =\n"}, (), None),
        ({"alembic.ini": "[alembic_rescue\npython = broken\n"}, (), None),
        ({}, ("missing.ini",), None),
        ({"migrations/alembic.ini": "[alembic_rescue]\npython = %(here)s/../venv\n"}, (), "{here}/migrations/../venv"),
        ({"alembic.ini": "[alembic]\n", "migrations/alembic.ini": "[alembic_rescue]\npython = other\n"}, (), None),
    ],
)
def test_the_setting_is_read_before_the_project_is_loaded(tmp_path, monkeypatch, files, named, found):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    assert below.setting("python", named) == (found and found.format(here=tmp_path))


# --- where the project's code runs --------------------------------------------------------------------------------


def told(ran) -> dict[str, object]:
    (line,) = set(re.findall(r"TOLD (\{.*\})", ran.everything))
    return json.loads(line)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_the_projects_packages_are_used_and_none_of_the_tools(project, database, name):
    python = apart.python_of(name)
    linear = apart.apart(project("linear", database, url=_url(database, name)))
    env = linear.root / "alembic" / "env.py"
    env.write_text(TELLS + _env(name, env.read_text()))
    there = told(linear.rescue("--debug", "--python", python, "diagnose"))
    site = str(Path(python).parents[1] / "lib")
    assert there["python"] == python
    assert there["has"] == []
    assert there["found"]["alembic"].startswith(site)
    assert there["found"]["sqlalchemy"].startswith(site)
    assert there["found"]["alembic_rescue"] == str(Path(interpreter.__file__).parents[1] / "__init__.py")

    env.write_text(env.read_text().replace("import alembic_rescue\n", "").replace(", alembic_rescue)", ")"))
    alembics = told(linear.run([str(Path(python).with_name("alembic")), "current"], PYTHONPATH=""))
    assert there["path"] == alembics["path"], "as its own alembic has it"


@pytest.mark.slow
def test_migrations_and_files_that_must_be_run_use_it_too(linear):
    python = apart.python_of("new")
    (linear.root / "alembic" / "versions" / "0006_own.py").write_text(
        f"import sys\nfrom alembic import op\nassert sys.executable == {python!r}, sys.executable\n"
        "revision, down_revision = 'aaaa' + '0006', 'aaaa0005'\n"
        "def upgrade():\n    op.execute(f'CREATE TABLE by_{sys.version_info[1]} (n int)')\n"
    )
    linear.database.stand_at("aaaa0005")
    document = linear.rescue("--format", "json", "diagnose", **{VARIABLE: python}).json
    (revision,) = document["databases"][0]["revisions"]
    minor = interpreter.chosen(python).version.split(".")[1]
    assert revision["objects"][0]["name"] == f"public.by_{minor}"
    assert revision["verdict"] == "not-applied"


@pytest.mark.slow
def test_the_tools_code_runs_even_if_the_project_has_an_alembic_rescue_package(project, database, tmp_path):
    other = tmp_path / "other" / "alembic_rescue"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('another version')")
    linear = apart.apart(project("linear", database))
    ran = linear.run([*apart.TOOL, "--python", apart.python_of("old"), "diagnose"], PYTHONPATH=str(other.parent))
    assert ran.status == 0, ran.everything


@pytest.mark.slow
def test_a_worker_sees_nothing_that_the_tool_put_on_its_path(tmp_path):
    by = interpreter.chosen(apart.python_of("asyncpg"))
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = scripts\n")
    (tmp_path / "scripts" / "versions").mkdir(parents=True)
    worker = Worker("live", Secrets(), by=by)
    try:
        loaded = worker.call("load", loading=Loading(folder=str(tmp_path)))
    finally:
        worker.end()
    assert loaded.drivers == ("sqlite3",), "no driver without an event loop"
    assert set(admin.drivers()) > set(loaded.drivers), "and the tool has one"
    assert loaded.versions["alembic"] != ""


# --- the same answers -----------------------------------------------------------------------------------------------


def _url(database, name: str) -> str:
    return drivers.url_of(database, "postgresql+asyncpg" if name == "asyncpg" else "postgresql+psycopg2")


def _env(name: str, text: str) -> str:
    return apart.ASYNC_ENV if name == "asyncpg" else text


AT = "65e4b4ef883d"
"""The revision whose objects exist, with the rows one behind."""
BEFORE = "b354d12d1e7d"
PREPARED = {
    "behind": "",
    "partial": "ALTER TABLE documents DROP COLUMN status",
    "overlapping": f"INSERT INTO alembic_version VALUES ('{AT}')",
    "lost": "UPDATE alembic_version SET version_num = 'ffff00000000'",
}
ASKED = (
    ("behind", "diagnose"),
    ("behind", "diagnose", "--applied"),
    ("behind", "diagnose", "--locate"),
    ("behind", "rehearse"),
    ("behind", "plan", AT),
    ("behind", "plan", "heads"),
    ("behind", "script", AT, "--for", "bash"),
    ("behind", "stamp", AT, "--yes"),
    ("behind", "wait", BEFORE),
    ("behind", "receipts"),
    ("partial", "diagnose"),
    ("partial", "stamp", AT, "--yes"),
    ("partial", "complete", AT, "--yes"),
    ("overlapping", "diagnose"),
    ("overlapping", "repair", "--yes"),
    ("lost", "diagnose"),
    ("behind", "undo", "--yes"),
    ("behind", "redeploy", "--hook", "http://127.0.0.1:1/", "--yes"),
    ("behind", "plan", "nonsense"),
)
_OWN = (
    r"\d{8}T\d{6}-\w+-[0-9a-f]{6}",  # a receipt's id
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00| UTC|Z)?",
    r'"(fingerprint|seal|alembic_version|query_age|age)": "[^"]*"',
    r"\b[0-9a-f]{64}\b",
    r"postgresql\+(psycopg2|asyncpg)",
)


def answer(there: apart.Apart, scene: tuple[str, ...], **environment: str) -> str:
    """The JSON of a command on its stage, without what changes from run to run."""
    database = there.database
    database.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    shutil.rmtree(there.home, ignore_errors=True)
    upgraded = there.alembic("upgrade", AT)
    assert upgraded.status == 0, upgraded.everything
    database.stand_at(BEFORE)
    if PREPARED[scene[0]]:
        database.run(PREPARED[scene[0]])
    if scene[1] == "undo":
        assert there.rescue("stamp", AT, "--yes", **environment).status == 0
    ran = there.rescue("--format", "json", *scene[1:], **environment)
    text = json.dumps({"status": ran.status, "rows": sorted(database.versions()), **ran.json}, indent=1)
    for pattern in _OWN:
        text = re.sub(pattern, "...", text)
    return text


@pytest.fixture
def incident(project, database):
    return apart.apart(project("incident", database))


@pytest.mark.slow
@pytest.mark.parametrize("scene", ASKED, ids=" ".join)
def test_each_command_gives_the_same_answer(incident, scene):
    together = answer(incident, scene)
    assert answer(incident, scene, **{VARIABLE: apart.python_of("old")}) == together


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lowest", "new"])
def test_other_versions_give_the_same_answer(incident, name):
    for scene in (("behind", "diagnose"), ("behind", "stamp", AT, "--yes")):
        assert answer(incident, scene, **{VARIABLE: apart.python_of(name)}) == answer(incident, scene)


@pytest.mark.slow
@pytest.mark.parametrize("scene", [*ASKED[:1], ASKED[3], ASKED[12]], ids=" ".join)
def test_if_the_project_lacks_a_driver_the_tools_own_creates_the_scratch_databases(incident, scene):
    together = answer(incident, scene)
    (incident.root / "alembic" / "env.py").rename(incident.root / "alembic" / "once.py")
    (incident.root / "alembic" / "env.py").write_text(apart.ASYNC_ENV)
    incident.set_url(drivers.url_of(incident.database, "postgresql+asyncpg"))
    assert answer(incident, scene, **{VARIABLE: apart.python_of("asyncpg")}) == together


@pytest.mark.slow
def test_definitions_are_compared_with_the_tools_driver_if_the_project_has_none(project, database):
    linear = apart.apart(project("linear", database))
    versions = linear.root / "alembic" / "versions"
    (versions / "0006_check.py").write_text(
        "from alembic import op\nrevision, down_revision = 'aaaa0006', 'aaaa0005'\n"
        "def upgrade():\n    op.execute(\"CREATE TABLE t (e varchar CONSTRAINT ck CHECK (e IN ('a', 'b')))\")\n"
    )
    upgraded = linear.alembic("upgrade", "head")
    assert upgraded.status == 0, upgraded.everything
    database.stand_at("aaaa0005")
    otherwise = "(e)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])"
    database.run(f"ALTER TABLE t DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK ({otherwise})")
    (linear.root / "alembic" / "env.py").write_text(apart.ASYNC_ENV)
    linear.set_url(_url(database, "asyncpg"))
    document = linear.rescue("--format", "json", "diagnose", **{VARIABLE: apart.python_of("asyncpg")}).json
    (part,) = document["databases"]
    assert [one["verdict"] for one in part["revisions"]] == ["applied"], part["findings"]


# --- what is printed, and how it is chosen --------------------------------------------------------------------------


@pytest.fixture
def linear(project, database):
    """Everything in aaaa0002 exists, and the rows are one behind."""
    made = apart.apart(project("linear", database))
    assert made.alembic("upgrade", "aaaa0002").status == 0
    database.stand_at("aaaa0001")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("typed", [".venv", "./.venv/bin/python"])
def test_recommended_commands_name_the_python_that_was_typed(incident, typed):
    assert incident.alembic("upgrade", AT).status == 0
    incident.database.stand_at(BEFORE)
    (incident.root / ".venv").symlink_to(Path(apart.python_of("old")).parents[1])
    document = incident.rescue("--format", "json", "--python", typed, "diagnose").json
    command = document["databases"][0]["recommendation"]["command"]
    assert command == f"alembic-rescue --python {typed} stamp {AT}"
    stamped = incident.rescue(*command.split()[1:], "--yes")
    (line,) = re.findall(r"^ +(\S.* upgrade head)$", stamped.stdout, re.MULTILINE)
    assert line == f"{'.venv/bin/python' if typed == '.venv' else typed} -m alembic upgrade head"
    upgraded = incident.run(line.split(), PYTHONPATH="")
    assert upgraded.status == 0, upgraded.everything


@pytest.mark.slow
def test_a_configuration_in_a_subfolder_is_recommended_with_the_same_python(incident, tmp_path):
    python = apart.python_of("old")
    relative = "venv/bin/python"
    (tmp_path / "venv").symlink_to(Path(python).parents[1])
    above = apart.Apart(tmp_path, incident.home)
    ini = incident.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("%(here)s/", ""))
    ran = above.rescue("--format", "json", "--python", relative, "diagnose")
    assert ran.json["error"]["code"] == "no-config"
    command = re.search(r"`((?:cd|alembic-rescue -c) [^`]*)`$", ran.json["error"]["help"])[1]
    gone_on = above.run(["sh", "-c", command.replace("alembic-rescue", shlex.join(apart.TOOL))], PYTHONPATH="")
    assert gone_on.status == 0, (command, gone_on.everything)


@pytest.mark.slow
def test_the_option_wins_over_the_variable_and_the_variable_over_the_setting(linear):
    ini = linear.root / "alembic.ini"
    env = linear.root / "alembic" / "env.py"
    env.write_text(TELLS + env.read_text())
    ini.write_text(f"{ini.read_text()}\n[alembic_rescue]\npython = {apart.python_of('old')}\n")
    by_setting = told(linear.rescue("--debug", "diagnose"))
    by_variable = told(linear.rescue("--debug", "diagnose", **{VARIABLE: apart.python_of("lowest")}))
    typed = told(
        linear.rescue(
            "--debug", "--python", apart.python_of("new"), "diagnose", **{VARIABLE: apart.python_of("lowest")}
        )
    )
    used = [one["python"] for one in (by_setting, by_variable, typed)]
    assert used == [apart.python_of(name) for name in ("old", "lowest", "new")]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["option", "variable", "setting"])
def test_a_refusal_is_reported_like_any_other(linear, way):
    options, variables = (), {}
    if way == "option":
        options = ("--python", "nowhere/python")
    elif way == "variable":
        variables = {VARIABLE: "nowhere/python"}
    else:
        ini = linear.root / "alembic.ini"
        ini.write_text(f"{ini.read_text()}\n[alembic_rescue]\npython = nowhere/python\n")
    ran = linear.rescue("--format", "json", *options, "stamp", "aaaa0002", "--yes", **variables)
    assert ran.status == errors.USAGE
    assert ran.json["error"]["code"] == "no-python"
    assert linear.database.versions() == ["aaaa0001"]


@pytest.mark.slow
def test_a_driver_that_the_project_lacks_is_reported_with_a_remedy(linear):
    ran = linear.rescue("--format", "json", "diagnose", **{VARIABLE: apart.python_of("asyncpg")})
    assert ran.status == errors.USAGE
    assert ran.json["error"]["code"] == "driver-missing"
    assert "psycopg2" in ran.json["error"]["message"]
    assert "--python .venv/bin/python" in ran.json["error"]["help"]


@pytest.mark.slow
def test_a_stamp_leaves_the_environment_alone_and_records_its_alembic_version(linear):
    folder = Path(apart.python_of("old")).parents[1]
    before = {(str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")}
    linear.rescue("stamp", "aaaa0002", "--yes", **{VARIABLE: str(folder)})
    assert {(str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")} == before, "nothing is put there"
    (receipt,) = linear.receipts
    kept = json.loads(receipt.read_text())
    assert kept["alembic_version"] == "1.9.0" != metadata.version("alembic")


@pytest.mark.slow
def test_stamp_asks_at_a_terminal_and_ctrl_c_writes_nothing(linear):
    python = apart.python_of("old")
    with at_a_terminal(linear, "stamp", "aaaa0002", **{VARIABLE: python}) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type(CTRL_C)
        assert terminal.end() == errors.INTERRUPTED
    assert linear.database.versions() == ["aaaa0001"]
    with at_a_terminal(linear, "stamp", "aaaa0002", **{VARIABLE: python}) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("y\n")
        assert terminal.end(60) == 0
    assert linear.database.versions() == ["aaaa0002"]


@pytest.mark.slow
def test_ctrl_c_ends_the_projects_python_and_its_children(linear):
    env = linear.root / "alembic" / "env.py"
    env.write_text("import time\nprint('SLEEPS', flush=True)\ntime.sleep(600)\n")
    with at_a_terminal(linear, "--debug", "diagnose", **{VARIABLE: apart.python_of("old")}) as terminal:
        terminal.wait_for("SLEEPS")
        terminal.type(CTRL_C)
        assert terminal.end() == errors.INTERRUPTED


@pytest.mark.slow
def test_a_deployment_log_is_read_from_stdin(linear):
    failed = "sqlalchemy.exc.InternalError: (psycopg2.errors.InFailedSqlTransaction) current transaction is aborted\n"
    done = subprocess.run(
        [*apart.TOOL, "--format", "json", "--python", apart.python_of("old"), "diagnose", "--log", "-"],
        cwd=linear.root,
        env=clean_environment(linear.home, PYTHONPATH=""),
        input=failed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["log"]


@pytest.mark.slow
def test_bytecode_of_the_projects_python_is_kept_apart(linear):
    versions = linear.root / "alembic" / "versions"
    lost = versions / "bbbb0009_lost.py"
    lost.write_text('"""lost"""\nrevision = "bbbb0009"\ndown_revision = "aaaa0001"\ndef upgrade(): pass\n')
    python = apart.python_of("new")
    subprocess.run([python, "-m", "compileall", "-q", str(lost)], check=True)
    lost.unlink()
    linear.database.stand_at("bbbb0009")
    document = linear.rescue("--format", "json", "diagnose", **{VARIABLE: python}).json
    (found,) = document["databases"][0]["lost"]["found"]
    assert (found["revision"], found["down_revisions"], found["doc"]) == ("bbbb0009", ["aaaa0001"], "lost")


@pytest.mark.slow
@pytest.mark.since("alembic", "1.16", "does not read pyproject.toml")
def test_a_python_without_a_toml_parser_is_given_one(linear):
    toml = linear.root / "pyproject.toml"
    toml.write_text("[tool.alembic_rescue]\nlock_timeout = 0\n")
    ran = linear.rescue("--format", "json", "diagnose", **{VARIABLE: apart.python_of("lowest")})
    assert ran.json["error"]["code"] == "bad-config", "it was read"
    toml.write_text("[tool.alembic_rescue]\nlock_timeout = 3\n")
    assert linear.rescue("diagnose", **{VARIABLE: apart.python_of("lowest")}).status == 0


@pytest.mark.slow
def test_the_python_api_takes_it_as_an_argument(project, database):
    linear = project("linear", database)
    loaded = load(str(linear.root / "alembic.ini"), python=apart.python_of("old"))
    try:
        assert loaded.loaded.versions["alembic"] == "1.9.0"
        assert loaded.python.python == apart.python_of("old")
    finally:
        loaded.end()
