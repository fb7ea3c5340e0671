"""What the documents say, checked against the program: a stranger types what they show."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from alembic_rescue import Verdict, errors, load
from alembic_rescue.cli import commands
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.model import Action
from alembic_rescue.project.loading import SETTINGS
from alembic_rescue.records.receipts import listed
from alembic_rescue.records.seal import KEY_VARIABLE
from tests import transcript

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
_TOPICS = ("commands", "proof", "evidence", "recovery", "databases", "configuration", "deploying", "ci", "json", "api")
TOPICS = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in _TOPICS}
MANUAL = "\n".join([README, *TOPICS.values()])
"""README and what it links to; recipes and troubleshooting have their own tests."""
EXAMPLE = ROOT / "alembic.ini.example"
PROGRAM = typer.main.get_command(commands.app)
FOREIGN = re.compile(r"^(?:\$ )?(?:docker|pg_dump|bash) .*\n?", re.MULTILINE)
"""Other programs' command lines."""


def code() -> str:
    """Return all code in the manual: blocks, and text between backticks."""
    text = MANUAL
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return FOREIGN.sub("", "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", prose)]))


def command_lines() -> list[str]:
    """Return each call of the program that is shown."""
    found = re.findall(r"^(?:\$ )?(alembic-rescue .*?)(?: (?:\||>>?) .*)?$", code(), re.MULTILINE)
    return sorted(set(found) - {"alembic-rescue [OPTIONS] COMMAND"})


def parse(line: str) -> str:
    """Parse a command line as the program would, without carrying it out; return the command's name."""
    _, *arguments = [argument.strip("[]") for argument in shlex.split(line)]
    partly = "--help" in arguments
    arguments = [argument for argument in arguments if argument != "--help"]
    if not partly or arguments:
        at = next(i for i, argument in enumerate(arguments) if argument in PROGRAM.commands)
        context = PROGRAM.make_context("alembic-rescue", arguments[: at + 1])
        command = PROGRAM.commands[arguments[at]]
        command.make_context(arguments[at], arguments[at + 1 :], parent=context, resilient_parsing=partly)
        return arguments[at]
    return ""


@pytest.fixture
def a_baseline(tmp_path, monkeypatch):
    """The file that the documents name, in the working directory: the program requires that it exists."""
    (tmp_path / "schema-before.sql").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("a_baseline")
def test_the_manual_shows_every_command():
    assert {parse(line) for line in command_lines()} >= set(PROGRAM.commands)


@pytest.mark.usefixtures("a_baseline")
@pytest.mark.parametrize("line", command_lines())
def test_each_command_line_in_the_manual_parses(line):
    parse(line)


def test_each_option_is_explained_and_no_other():
    commands = [PROGRAM, *PROGRAM.commands.values()]
    ours = {name for command in commands for option in command.params for name in option.opts if name[0] == "-"}
    tables = "\n".join(line for line in TOPICS["commands"].splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(--?[a-z][a-z-]*)", tables)) == ours | {"-h", "--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code())) <= ours | {"--help", "--from"}  # the last is uvx's


def test_each_variable_belongs_to_an_option_or_holds_the_key_of_seals():
    commands = [PROGRAM, *PROGRAM.commands.values()]
    known = {name for command in commands for option in command.params for name in _as_list(option.envvar)}
    known.add(KEY_VARIABLE)
    assert set(re.findall(r"\bALEMBIC_[A-Z_]*[A-Z]\b", MANUAL)) <= known


def _as_list(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def test_each_exit_status_is_explained():
    told = {int(status) for status in re.findall(r"^\| (\d+) \|", TOPICS["commands"], re.MULTILINE)}
    ours = {errors.DONE, errors.INTERNAL, errors.USAGE, errors.REFUSED, errors.DATABASE, errors.NOT_VERIFIED}
    assert told == ours | {errors.INTERRUPTED}


def test_each_code_of_an_error_exists():
    codes = {error.code for error in _all_errors(errors.RescueError) if hasattr(error, "code")}
    codes |= {
        "swallowed-error",
        "will-fail",
        "left-as-it-is",
        "env-never-commits",
        "autocommit-block-fails",
        "env-hides-errors",
        "ends-transaction",
        "would-be-hidden",
        "branch-begins",
        "branch-not-begun",
        "end-not-seen",
        "rows-not-run",
        "revision-replaced",
        "unknown-revision-found",
        "unknown-revision-made-anew",
        "unknown-revision-never-ran",
        "unknown-revision-not-found",
        "log-failure",
        "log-of-another-database",
        "log-of-another-version",
        "log-outdated",
        "log-without-failure",
        "log-says-nothing",
        "provided-first",
    }  # findings
    assert set(re.findall(r"\(`([a-z]+(?:-[a-z]+)+)`\)|(?:error|warning)\[([a-z-]+)\]", MANUAL)) != set()
    for first, second in re.findall(r"\(`([a-z]+(?:-[a-z]+)+)`\)|(?:error|warning)\[([a-z-]+)\]", MANUAL):
        assert (first or second) in codes


def test_each_code_of_the_scratch_side_is_explained():
    (table,) = re.findall(r"^\| code \|.*\n(?:\|.*\n)+", TOPICS["evidence"], re.MULTILINE)
    told = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    codes = {error.code for error in _all_errors(errors.RescueError) if hasattr(error, "code")}
    assert {code for code in codes if re.match("scratch-|worker-|baseline-", code)} <= told <= codes


def _all_errors(kind: type[errors.RescueError]) -> list[type[errors.RescueError]]:
    return [kind, *(error for child in kind.__subclasses__() for error in _all_errors(child))]


def test_each_verdict_and_each_recommendation_is_explained():
    for column, known in (("evidence", Verdict), ("recommendation", Action)):
        (table,) = re.findall(rf"^ *\| {column}[^|]*\|.*\n(?: *\|.*\n)+", MANUAL, re.MULTILINE | re.IGNORECASE)
        assert set(re.findall(r"^ *\| `([a-z-]+)` \|", table, re.MULTILINE)) == {one.value for one in known}


def test_each_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"^(?:\$ )?make ([a-z]+)", code(), re.MULTILINE))
    assert {"demo", "test", "check", "readme"} <= named <= targets


DOCUMENTS = [
    "README.md",
    "SKILL.md",
    "CHANGELOG.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_link_leads_somewhere(name):
    document = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text("utf-8")):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            linked = document.parent / file if file else document
            assert linked.exists(), target
            assert not heading or heading in headings(linked), target


def headings(document: Path) -> set[str]:
    """As links name them."""
    found = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in found}


@pytest.mark.slow
def test_the_transcript_is_what_the_demo_prints():
    assert transcript.filled(README, transcript.played()) == README, "stale: make readme"


def test_the_python_example_runs(project, database, monkeypatch, capsys):
    incident = project("incident", database)
    incident.alembic("upgrade", "774225e563ca")
    incident.alembic("stamp", "b354d12d1e7d")
    monkeypatch.chdir(incident.root)
    (example,) = re.findall(r"^```python\n(.*?)^```$", TOPICS["api"], re.MULTILINE | re.DOTALL)
    exec(example, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{database.name} at 127.0.0.1:{database.server.port} ('b354d12d1e7d',) ('65e4b4ef883d',")
    assert second.startswith("stamped receipts/")
    assert database.versions() == ["774225e563ca"]
    assert [receipt.reason for receipt in listed(incident.root / "receipts")] == ["stuck"]


def test_the_example_configuration_works(project, database):
    linear = project("linear", database)
    shutil.copy(EXAMPLE, linear.root / "alembic.ini")
    linear.set_url(database.url)
    linear.alembic("upgrade", "aaaa0001")
    planned = linear.rescue("plan", "aaaa0003")
    assert planned.status == 0, planned.everything
    assert "Ready" in planned.stdout

    loaded = load(str(linear.root / "alembic.ini")).loaded
    assert set(loaded.settings) == set(SETTINGS)
    usual = Timeouts()
    assert (loaded.lock_seconds, loaded.statement_seconds) == (usual.lock, usual.statement)
    assert loaded.connect_seconds == usual.connect
    assert loaded.settings["receipts"] == "~/.local/state/alembic-rescue"


def test_the_example_configuration_takes_its_receipts_setting(project, database):
    linear = project("linear", database)
    example = EXAMPLE.read_text("utf-8").replace("~/.local/state/alembic-rescue", "%(here)s/kept")
    (linear.root / "alembic.ini").write_text(example)
    linear.set_url(database.url)
    linear.alembic("upgrade", "aaaa0001")
    stamped = linear.rescue("stamp", "aaaa0003", "--yes")
    assert stamped.status == 0, stamped.everything
    assert len(list((linear.root / "kept").glob("*.json"))) == 1
    assert linear.receipts == []


def test_the_example_configuration_explains_each_setting():
    _, section = EXAMPLE.read_text("utf-8").split("\n[alembic_rescue]\n")
    for setting in SETTINGS:
        assert re.search(rf"(?:^# .*\n)+{setting} =", section, re.MULTILINE), setting
    assert "[tool.alembic_rescue]" in EXAMPLE.read_text("utf-8")


def test_the_form_for_pyproject_works(project, monkeypatch):
    linear = project("linear")
    commented = re.findall(r"^#     (\[tool\..*|\w+ = \d+)$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert commented == ["[tool.alembic_rescue]", "lock_timeout = 5"]
    (linear.root / "pyproject.toml").write_text("\n".join(commented).replace("5", "7"))
    monkeypatch.chdir(linear.root)
    assert load().loaded.lock_seconds == 7


def test_no_document_holds_a_secret():
    for name in (*DOCUMENTS, "alembic.ini.example"):
        text = (ROOT / name).read_text("utf-8")
        assert not re.search(r"://\w+:[^@\s*]+@", text), name
