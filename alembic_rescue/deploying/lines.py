"""Choose the log lines to print during a deployment: Alembic's, errors, and their places in the project's migrations.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from alembic_rescue.deploying.shapes import visible

_TOLD = re.compile(
    r"\bRunning (?:upgrade|downgrade|stamp_revision) |\balembic[.\w]*\b|\bTraceback \(most recent"
    r"|\b(?:\w+\.)*\w*(?:Error|Exception|Violation|FailedSqlTransaction|Duplicate\w+|Undefined\w+)\b"
    r"|\b(?:ERROR|FATAL|CRITICAL)\b|\[SQL: |^DETAIL: "
)
"""Alembic's own lines, and errors."""
_FRAME = re.compile(r'\s*File "(?P<path>[^"]+)", line \d+')

_PACKAGES = ("site-packages", "dist-packages", "/lib/python", "<frozen ")
_NOWHERE = PurePosixPath()


def of_message(message: str) -> list[str]:
    """The lines of one entry, as a terminal may show them."""
    return [visible(line).rstrip() for line in message.splitlines()]


class Chooser:
    """Decides for each line whether to print it.

    Args:
        own: the local folders and files of the migrations; their paths differ on the platform.
    """

    def __init__(self, own: Collection[Path] = ()) -> None:
        self._folders = {"versions", *(path.name for path in own if path.suffix != ".py")}
        self._in_frame: dict[str, tuple[PurePosixPath, int]] = {}
        """For each machine: the file of its last frame, and that frame's indentation."""

    def is_told(self, line: str, source: str = "") -> bool:
        """Whether the next line of this machine is about the migrations, or an error.

        In a traceback, that is the migration's frame; Alembic's and the driver's frames tell nothing.
        """
        at = len(line) - len(line.lstrip())
        if frame := _FRAME.match(line):
            path = PurePosixPath(frame["path"])
            self._in_frame[source] = (path, at)
            return self._is_own(path)
        path, within = self._in_frame.get(source, (_NOWHERE, at))
        if within < at:  # the source's own line
            return self._is_own(path) and not set(line.strip()) <= set("^~")
        self._in_frame.pop(source, None)
        return bool(_TOLD.search(line))

    def is_of_packages(self, source: str) -> bool:
        """Whether the last line of this machine is from a frame of an installed package, not of the project."""
        path = str(self._in_frame.get(source, (_NOWHERE, 0))[0])
        return any(folder in path for folder in _PACKAGES)

    def _is_own(self, path: PurePosixPath) -> bool:
        return path.parent.name in self._folders and not any(folder in str(path) for folder in _PACKAGES)
