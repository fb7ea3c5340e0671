"""The code in a Markdown document, and the calls of the program in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from tests.test_readme import parse

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPERATOR = re.compile(r"[();<>|&]+")


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and content of each fenced block."""
    return _BLOCK.findall(text)


def words(line: str) -> list[str]:
    """Split a line as a shell does; its operators are separate words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def operators(line: str) -> list[str]:
    """Return what only a shell understands: operators, variables, backticks."""
    return [word for word in words(line) if _OPERATOR.fullmatch(word) or "$" in word or "`" in word]


def called(line: str) -> list[str]:
    """Return each call of the program in a shell line, even if another program runs it."""
    commands: list[list[str]] = [[]]
    for word in words(line):
        if _OPERATOR.fullmatch(word):
            commands.append([])
        else:
            commands[-1].append(word)
    name = "alembic-rescue"
    found = [command[command.index(name) :] for command in commands if name in command and "install" not in command]
    return [shlex.join(command) for command in found]


def shell_lines(language: str, content: str) -> list[str]:
    """Return the lines of a block that a shell runs: those after a prompt, or those of a script."""
    lines = [line.strip() for line in content.splitlines()]
    if language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("#")]


def shown(text: str) -> list[str]:
    """Return each call of the program after a prompt, in a script, or between backticks in the prose."""
    lines = [line for language, content in blocks(text) if language in {"console", "bash"}
             for line in shell_lines(language, content)]  # fmt: skip
    prose = re.findall(r"`(alembic-rescue [^`\n]+)`", _BLOCK.sub("", text))
    return [call for line in [*lines, *prose] for call in called(line)]


def all_parsed(calls: Iterable[str]) -> None:
    """Check that the program accepts each call as it is written."""
    for call in calls:
        parse(call)
