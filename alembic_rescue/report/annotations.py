"""Annotations of GitHub Actions: the workflow commands that create them, and text that contains none.  Pure.

The rules are the runner's: a command is a line on stdout or stderr that starts with ``::``, or that has ``##[``
anywhere.  See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

MOST_SHOWN = 10
"""GitHub shows ten per step, and drops the others silently."""
_COMMAND = re.compile(r"(^|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029])(\s*):(?=:)|#(?=#\[)")
"""Matches where the runner would read a command."""
_NOTHING = "\u200b"
"""A zero-width space."""


class Level(str, Enum):
    """GitHub's levels of annotations, most important first."""

    ERROR = "error"
    NOTICE = "notice"
    WARNING = "warning"


@dataclass(frozen=True)
class Annotation:
    """A message that GitHub shows next to a line of source, or on the page of the run."""

    level: Level
    title: str
    message: str
    path: str = ""
    """Relative to the repository's root; empty if it is about no file in the repository."""
    line: int | None = None
    about: str = ""
    """The revision whose verdict this is."""
    place: str = ""
    """File and line as the report names them.  Several kinds of annotations with the same one tell of one failure."""

    @property
    def command(self) -> str:
        """The workflow command that makes the runner show it."""
        properties = {"file": self.path, "line": str(self.line or "") if self.path else "", "title": self.title}
        given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
        return f"::{self.level.value} {given}::{_data(self.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def harmless(text: str) -> str:
    """Return the text without workflow commands, with a zero-width space wherever the runner would read one."""
    return _COMMAND.sub(lambda found: f"{found[0]}{_NOTHING}", text)


def commands(annotations: Iterable[Annotation]) -> list[str]:
    """Return the commands of the most important annotations, and a line that counts the others."""
    found = list(_of_one_kind(sorted(_merged(annotations), key=_rank)))
    more = len(found) - MOST_SHOWN
    rest = [f"{more} more {'is' if more == 1 else 'are'} in the report."] if more > 0 else []
    return [*(one.command for one in found[:MOST_SHOWN]), *rest]


def _rank(annotation: Annotation) -> int:
    return list(Level).index(annotation.level)


def _of_one_kind(found: Iterable[Annotation]) -> Iterator[Annotation]:
    """Yield the annotations of each place's first kind."""
    kinds: dict[str, str] = {}
    for one in found:
        if not one.place or kinds.setdefault(one.place, one.title) == one.title:
            yield one


def _merged(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return each annotation once.  A refusal that begins with a revision replaces its verdict, and gets its place."""
    found = list(annotations)
    verdicts = {one.about: one for one in found if one.about}
    merged: dict[tuple[str, str], Annotation] = {}
    said = set()
    for one in found:
        verdict = verdicts.get(one.message.partition(" ")[0])
        if verdict and one.level is Level.ERROR and not (one.about or one.path):
            said.add(verdict.about)
            one = replace(one, path=verdict.path, line=verdict.line)  # noqa: PLW2901 - the same one, with its place
        before = merged.get((one.title, one.message))
        if before is None or (_rank(one), not one.path) < (_rank(before), not before.path):
            merged[one.title, one.message] = one
    return [one for one in merged.values() if one.about not in said]
