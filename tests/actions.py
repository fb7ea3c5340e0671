"""Read a step's output as GitHub's runner does, by the rules of its source (ActionCommand.cs)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

REGISTERED = frozenset(
    ["add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice", "remove-matcher",
     "save-state", "set-env", "set-output", "stop-commands", "warning"]
)  # fmt: skip
_DATA = {"%0D": "\r", "%0A": "\n", "%25": "%"}
_PROPERTY = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}
_OLD = {"%3B": ";", "%0D": "\r", "%0A": "\n", "%5D": "]", "%25": "%"}


@dataclass(frozen=True)
class Command:
    """A workflow command."""

    name: str
    data: str
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return ":".join(self.properties[name] for name in ("file", "line") if name in self.properties)


def commands(output: str) -> list[Command]:
    """Return the commands that the runner finds in a step's output, on stdout or stderr."""
    return [found for line in re.split(r"\r\n|\r|\n", output) if (found := _read(line) or _old(line))]


def _read(line: str) -> Command | None:
    line = line.lstrip()
    end = line.find("::", 2)
    if not line.startswith("::") or end < 0:
        return None
    name, _, properties = line[2:end].partition(" ")
    given = dict(_pairs(properties.strip().split(","), _PROPERTY))
    return Command(name, _unescaped(line[end + 2 :], _DATA), given) if name in REGISTERED else None


def _old(line: str) -> Command | None:
    found = re.search(r"##\[(?P<name>[^\] ]*) ?(?P<properties>[^\]]*)\](?P<data>.*)", line)
    if found is None or found["name"] not in REGISTERED:
        return None
    return Command(found["name"], _unescaped(found["data"], _OLD), dict(_pairs(found["properties"].split(";"), _OLD)))


def _pairs(properties: list[str], escapes: dict[str, str]) -> Iterator[tuple[str, str]]:
    for one in properties:
        name, _, value = one.partition("=")
        if name and value:
            yield name, _unescaped(value, escapes)


def _unescaped(text: str, escapes: dict[str, str]) -> str:
    for escaped, plain in escapes.items():
        text = text.replace(escaped, plain)
    return text
