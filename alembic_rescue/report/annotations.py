"""Annotations of GitHub Actions: the workflow commands that make them, and text that makes none.  Pure.

The rules are those of the runner: a command is a line that starts with ``::``, or has ``##[`` anywhere, on stdout or
stderr.  See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

MOST_SHOWN = 10
"""GitHub shows ten of a step, and says nothing of the others."""
_COMMAND = re.compile(r"(^|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029])(\s*):(?=:)|#(?=#\[)")
"""Where the runner would read a command."""
_NOTHING = "\u200b"
"""A space of no width."""


class Level(str, Enum):
    """What GitHub calls an annotation, the most important first."""

    ERROR = "error"
    NOTICE = "notice"
    WARNING = "warning"


@dataclass(frozen=True)
class Annotation:
    """What GitHub shows beside a line of the source, or on the page of the run."""

    level: Level
    title: str
    message: str
    path: str = ""
    """Relative to the repository's root. Empty: it is about no file there."""
    line: int | None = None
    about: str = ""
    """The revision whose verdict it is."""

    @property
    def command(self) -> str:
        """The line that makes the runner show it."""
        properties = {"file": self.path, "line": str(self.line or "") if self.path else "", "title": self.title}
        given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        return f"::{self.level.value} {given}::{_data(self.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def harmless(text: str) -> str:
    """The text without workflow commands: a space of no width stands where the runner would read one."""
    return _COMMAND.sub(lambda found: f"{found[0]}{_NOTHING}", text)


def commands(annotations: Iterable[Annotation]) -> list[str]:
    """The lines of the most important ones, and one that counts the others."""
    found = sorted(_merged(annotations), key=lambda one: list(Level).index(one.level))
    more = len(found) - MOST_SHOWN
    rest = [f"{more} more {'is' if more == 1 else 'are'} in the report."] if more > 0 else []
    return [*(one.command for one in found[:MOST_SHOWN]), *rest]


def _merged(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Each once. A refusal that begins with a revision replaces that revision's verdict, and gets its file."""
    found = list(annotations)
    verdicts = {one.about: one for one in found if one.about}
    merged: dict[tuple[str, str], Annotation] = {}
    said = set()
    for one in found:
        verdict = verdicts.get(one.message.partition(" ")[0])
        if verdict and one.level is Level.ERROR and not (one.about or one.path):
            said.add(verdict.about)
            one = replace(one, path=verdict.path, line=verdict.line)  # noqa: PLW2901 - the same, with its place
        before = merged.get((one.title, one.message))
        if before is None or list(Level).index(one.level) < list(Level).index(before.level):
            merged[one.title, one.message] = one
    return [one for one in merged.values() if one.about not in said]
