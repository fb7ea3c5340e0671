"""Where to begin, and what exists: the bare command, and ``--help``."""

from __future__ import annotations

import inspect
import json
import re
import subprocess

import pytest

from alembic_rescue.cli.call import VERBS
from alembic_rescue.cli.commands import app
from alembic_rescue.cli.start import LOADING
from tests.conftest import BIN, clean_environment

COMMANDS = (
    *("diagnose", "rehearse", "plan", "receipts", "stamp", "complete", "repair", "undo", "script"),
    *("upgrade", "redeploy", "wait", "demo"),
)


def run(*arguments, **environment):
    return subprocess.run(
        [str(BIN / "alembic-rescue"), *arguments],
        env=clean_environment(BIN, COLUMNS="80", **environment),
        capture_output=True,
        text=True,
        check=False,
    )


def panels(text):
    """The name of each panel, and its lines."""
    found = re.findall(r"^╭─ (.+?) ─+╮$(.*?)^╰", text, re.MULTILINE | re.DOTALL)
    return {name: [line.strip("│ ") for line in lines.strip().splitlines()] for name, lines in found}


@pytest.mark.parametrize("options", [(), ("--no-color",), ("-n", "billing")])
def test_the_bare_command_says_in_ten_lines_where_to_begin(options):
    ran = run(*options)
    lines = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout, len(lines)) == (2, "", 10)
    assert "-n" in options or max(map(len, lines)) <= 80
    assert "error" not in ran.stderr
    named = ("diagnose ", "diagnose --log deploy.log ", "rehearse ", "demo ", "--help")
    given = "".join(f" {one}" for one in options if options[0] == "-n")
    told = [line.strip().replace(given, "") for line in lines if line.startswith("    ")]
    assert len(told) == len(named)
    assert all(f"{line} ".startswith(f"alembic-rescue {one}") for line, one in zip(told, named, strict=True))


def test_with_json_the_bare_command_is_one_document():
    for ran in (run("--format", "json"), run(ALEMBIC_RESCUE_FORMAT="json")):
        told = json.loads(ran.stdout)
        assert (ran.returncode, ran.stderr) == (2, "")
        assert (told["error"]["code"], told["error"]["message"]) == ("usage", "no command was given")


def test_options_and_commands_are_in_panels_with_typers_own_last():
    found = panels(run("--help").stdout)
    options = {name: re.findall(r"^(-[-\w]+)", "\n".join(lines), re.MULTILINE) for name, lines in found.items()}
    assert list(found)[:4] == ["Project", "Database", "Output", "Other"]
    assert options["Project"] == ["--config", "--config-from", "--app", "--python", "--name", "-x"]
    assert options["Database"] == ["--url", "--scratch", "--revision-timeout", "--baseline"]
    assert options["Output"] == ["--receipts", "--format", "--no-color", "--debug"]
    assert {"--version", "--help"} <= set(options["Other"])
    told = {name: [line.split()[0] for line in lines] for name, lines in found.items() if not options[name]}
    assert list(told) == ["Look (writes nothing)", "Recover", "Deploy", "Try it"]
    assert [name for names in told.values() for name in names] == list(COMMANDS), "each is told in one line"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_usage_shows_what_to_type_and_a_flag_takes_no_value(command):
    told = run(command, "--help").stdout
    (usage,) = re.findall(r"Usage: (.+?) *$", told, re.MULTILINE)
    argument = {"plan": " REVISION", "complete": " REVISION", "script": " REVISION", "undo": " [RECEIPT]"}
    argument |= dict.fromkeys(("rehearse", "stamp", "upgrade", "wait"), " [REVISION]")
    assert usage == f"alembic-rescue {command} [OPTIONS]{argument.get(command, '')}"
    assert "bool" not in told
    if command not in {"receipts", "demo"}:
        options = [line.split()[0] for line in panels(told)["Database"] if line.startswith("--")]
        assert options == (["--only", "--lock-timeout"] if command != "upgrade" else ["--lock-url", "--lock-timeout"])


@pytest.mark.parametrize(
    ("format_", "begins"),
    [("json", "{"), ("markdown", "**error\\[usage\\]**"), ("html", "<!doctype html>"), ("pictures", "")],
)
def test_a_command_line_that_cannot_be_parsed_is_answered_in_its_format(format_, begins):
    ran = run("--format", format_, "diagnose", "--fast")
    assert ran.returncode == 2
    assert ran.stdout.startswith(begins) if begins else ran.stdout == ""


def test_an_empty_url_is_refused():
    ran = run("--url", "", "diagnose")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "error[usage]: --url is empty" in ran.stderr
    assert "passwords are never printed: set it first" in " ".join(ran.stderr.split())


def test_a_hidden_password_is_not_taken_for_one():
    ran = run("--url", "postgresql://shop:***@127.0.0.1:1/shop", "diagnose")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "error[usage]: the URL has *** in place of its password" in ran.stderr
    assert "set ALEMBIC_RESCUE_URL" in ran.stderr


def test_the_worker_of_each_command_that_loads_the_project_is_started_ahead():
    assert set(VERBS) == LOADING == set(COMMANDS) - {"demo"}


def test_the_help_of_each_command_wraps_at_the_terminals_width():
    texts = [inspect.cleandoc(command.callback.__doc__) for command in app.registered_commands]
    assert len(texts) == len(COMMANDS)
    assert not [text for text in texts if any("\n" in part.strip() for part in text.split("\n\n"))], "kept by rich"
