"""stdout is the answer and stderr the rest; a terminal gets colours, a pipe gets whole lines, a narrow one no cuts."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.conftest import BIN, ProjectCopy, clean_environment
from tests.terminal import at_a_terminal
from tests.watching import VERSION_TABLE

COLOURED = re.compile(r"\x1b\[[0-9;]*m")
COMMANDS = ("diagnose", "plan", "stamp", "undo", "wait", "redeploy", "receipts", "demo")


@pytest.fixture
def at_first(database):
    """A database whose version table is at the first revision."""
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    return database


@pytest.fixture
def linear(project, at_first) -> ProjectCopy:
    return project("linear", at_first)


@pytest.fixture
def talkative(project, at_first) -> ProjectCopy:
    """Its env.py writes to stdout with print, a shell, a process, and through the descriptor itself."""
    env = project("env_with_statements", at_first)
    env.environment["ENV_PY_SAYS"] = "what a day"
    return env


def beside_progress(stderr: str) -> str:
    """Remove the progress that is printed after two seconds."""
    return re.sub(r"^Running the migrations .*\n", "", stderr, flags=re.MULTILINE)


# --- stdout is the answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("diagnose",), ("stamp", "aaaa0003", "--yes"), ("stamp", "nowhere", "--yes")],
    ids=["diagnose", "stamp", "refused"],
)
def test_whatever_env_py_writes_json_stays_one_document(talkative, command):
    ran = talkative.rescue("--format", "json", *command)
    document, end = json.JSONDecoder().raw_decode(ran.stdout)
    assert ran.stdout[end:] == "\n"
    assert document["command"] == command[0]
    assert "what a day" not in ran.stdout


def test_whatever_env_py_writes_the_text_on_stdout_is_the_answer_alone(talkative):
    for options in ((), ("--debug",)):
        ran = talkative.rescue(*options, "diagnose")
        assert ran.stdout.startswith("Database ")
        assert "what a day" not in ran.stdout
        for how in ("by a shell", "to the descriptor", "by a process"):
            assert (f"{how}: what a day" in ran.stderr) == bool(options)


def test_debug_shows_on_stderr_what_env_py_printed(talkative):
    ran = talkative.rescue("--debug", "--format", "json", "diagnose")
    assert ran.json["outcome"] == "ready"
    assert "env.py| printed: what a day" in ran.stderr


def test_the_progress_indicator_is_not_taken_for_env_pys_output(project, at_first):
    env = project("env_with_statements", at_first)
    with at_a_terminal(env, "diagnose", ENV_PY_RUNS="SELECT pg_sleep(0.5);nonsense") as terminal:
        assert terminal.end() in {2, 4}
        assert "Inspecting the database" in terminal.text
        assert "Inspecting the database" not in terminal.text[terminal.text.index("error[") :]


def test_an_answer_on_stdout_comes_with_a_silent_stderr(linear):
    for command in (["diagnose"], ["plan", "aaaa0003"], ["receipts"]):
        ran = linear.rescue(*command)
        assert (ran.status, beside_progress(ran.stderr)) == (0, "")
        assert ran.stdout


def test_the_question_and_what_is_shown_with_it_go_to_stderr(linear):
    with at_a_terminal(linear, "--format", "json", "stamp", "aaaa0003", piped=True) as terminal:
        terminal.wait_for("[y/N]")
        assert "aaaa0001 -> aaaa0003" in terminal.text
        terminal.type("y\r")
        assert terminal.end() == 0
        document, end = json.JSONDecoder().raw_decode(terminal.stdout)
        assert document["outcome"] == "stamped"
        assert terminal.stdout[end:] == "\n"


def test_a_reader_that_stops_reading_causes_no_traceback(linear):
    for command in ("diagnose", "receipts", "--help", "--format json diagnose"):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {BIN}/alembic-rescue {command} | head -c 1"],
            cwd=linear.root,
            env=clean_environment(linear.home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert beside_progress(done.stderr) == ""
        assert len(done.stdout) == 1


def test_a_reader_that_is_gone_before_the_first_word_causes_no_traceback(linear):
    done = subprocess.run(
        ["bash", "-c", f"{BIN}/alembic-rescue diagnose | true; echo ${{PIPESTATUS[0]}}"],
        cwd=linear.root,
        env=clean_environment(linear.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert beside_progress(done.stderr) == ""
    assert done.stdout.strip() in {"0", "141"}


# --- colours and width -------------------------------------------------------------------------------------------


def test_a_terminal_gets_colours_and_a_pipe_none(linear):
    with at_a_terminal(linear, "diagnose") as terminal:
        assert terminal.end() == 0
        assert COLOURED.search(terminal.raw)
    assert not COLOURED.search(linear.rescue("diagnose").everything)
    assert not COLOURED.search(linear.rescue("plan", "nowhere").everything)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("--no-color",), {}),
        ((), {"NO_COLOR": "1"}),
        ((), {"NO_COLOR": "as you like"}),
        ((), {"ALEMBIC_RESCUE_NO_COLOR": "yes"}),
    ],
    ids=["option", "NO_COLOR=1", "NO_COLOR of any value", "variable"],
)
def test_colours_can_be_refused(linear, options, environment):
    with at_a_terminal(linear, *options, "plan", "nowhere", **environment) as terminal:
        assert terminal.end() == 3
        assert "error[unknown-revision]" in terminal.text
        assert not COLOURED.search(terminal.raw)


def test_an_empty_no_color_has_no_effect(linear):
    with at_a_terminal(linear, "diagnose", NO_COLOR="") as terminal:
        assert terminal.end() == 0
        assert COLOURED.search(terminal.raw)


def test_no_color_applies_to_a_command_line_that_cannot_be_read(linear):
    with at_a_terminal(linear, "--no-such-option", NO_COLOR="1") as terminal:
        assert terminal.end() == 2
        assert "error[usage]" in terminal.text
        assert not COLOURED.search(terminal.raw)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_full_disk_under_stdout_changes_no_exit_status(linear, format_):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        ran = subprocess.run(
            [str(BIN / "alembic-rescue"), "--format", format_, "wait", "aaaa0001"],
            cwd=linear.root,
            env=clean_environment(linear.home),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert "warning[answer-not-written]: the answer could not be written: No space left on device\n" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_pipe_gets_whole_lines(linear):
    lines = linear.rescue("diagnose").stdout.splitlines()
    (recommendation,) = [line for line in lines if line.startswith("Recommendation:")]
    assert len(recommendation) > 100
    assert recommendation.endswith("To see what fails:")
    command, goes_on, last = lines[lines.index(recommendation) + 1 :]
    assert command == "    alembic-rescue rehearse"
    assert goes_on.endswith("then upgrade:")
    assert last == "    alembic upgrade head"


def test_a_narrow_terminal_loses_no_word(linear):
    linear.rescue("stamp", "aaaa0002", "--yes", "--reason", "a deployment that was stuck")
    for command in (["diagnose"], ["plan", "aaaa0003"], ["receipts"]):
        whole = linear.rescue(*command)
        with at_a_terminal(linear, *command, columns=40) as terminal:
            assert terminal.end() == 0
            lines = terminal.text.splitlines()
        assert max(len(line) for line in lines if not line.startswith("Folder")) <= 40
        narrow = "".join("".join(lines).split())
        assert "…" not in narrow
        for word in whole.stdout.split():
            assert word in narrow or word == "File" or word.endswith(".py"), "for the files there is no room"


def test_columns_applies_without_a_terminal(linear):
    assert max(len(line) for line in linear.rescue("diagnose", COLUMNS="50").stdout.splitlines()) <= 50


# --- help --------------------------------------------------------------------------------------------------------


def test_the_version_is_the_packages():
    from importlib.metadata import version

    ran = _run(["--version"])
    assert (ran.returncode, ran.stdout) == (0, f"alembic-rescue {version('alembic-rescue')}\n")


def _run(arguments, executable=(str(BIN / "alembic-rescue"),), **environment):
    return subprocess.run(
        [*executable, *arguments],
        env=clean_environment(BIN, COLUMNS="300", **environment),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_a_help_in_which_each_option_shows_its_variable(command):
    ran = _run([*([command] if command else []), "--help"])
    assert ran.returncode == 0
    options = re.findall(r"^\W*(?:\*\s+)?(--?[a-z][\w-]*).*$", ran.stdout, re.MULTILINE)
    lines = {line.strip(" │"): line for line in ran.stdout.splitlines() if re.match(r"^[│ ]+--?[a-zA-Z]", line)}
    assert len(lines) >= len(set(options)) >= 1
    for shown, line in lines.items():
        if re.match(r"--(help|version|install-completion|show-completion)|-h", shown):
            continue
        variable = re.search(r"\[env var: (ALEMBIC_|FLASK_APP\])", line)
        answers_for_a_person = re.match(r"--(yes|accept|accept-missing|not-run|despite)\b", shown)
        assert bool(variable) != bool(answers_for_a_person), shown


def test_all_commands_are_in_the_help():
    assert all(re.search(rf"\b{command}\b", _run(["--help"]).stdout) for command in COMMANDS)


def test_the_module_runs_like_the_command():
    module = _run(["diagnose", "--help"], executable=(sys.executable, "-m", "alembic_rescue"))
    assert module.returncode == 0
    assert module.stdout == _run(["diagnose", "--help"]).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["stamp", "--help"], ["--version"], ["--show-completion", "bash"]])
def test_help_loads_neither_sqlalchemy_nor_alembic(arguments):
    loaded = (
        "import sys, atexit; sys.argv[0] = 'alembic-rescue';"
        "atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr));"
        "from alembic_rescue.cli.start import main; main()"
    )
    ran = _run(arguments, executable=(sys.executable, "-c", loaded))
    assert ran.returncode == 0
    assert "alembic_rescue" in ran.stderr.split()
    assert not {"sqlalchemy", "alembic", "psycopg2", "rescue"} & set(ran.stderr.split())


def test_completion_is_offered():
    shown = _run(["--show-completion", "bash"])
    assert shown.returncode == 0
    assert "_ALEMBIC_RESCUE_COMPLETE=complete_bash" in shown.stdout
    completed = _run([], _ALEMBIC_RESCUE_COMPLETE="complete_bash", COMP_WORDS="alembic-rescue dia", COMP_CWORD="1")
    assert completed.stdout.split() == ["diagnose"]


def test_no_variable_answers_for_a_person(linear):
    answers = dict.fromkeys(("ALEMBIC_RESCUE_YES", "ALEMBIC_RESCUE_ACCEPT", "ALEMBIC_RESCUE_ACCEPT_MISSING"), "1")
    ran = linear.rescue("stamp", "aaaa0003", **answers)
    assert ran.status == 2
    assert "error[no-terminal]" in ran.stderr
    told = linear.rescue("stamp", "--help", COLUMNS="200").stdout
    assert not [name for name in answers if name in told]
