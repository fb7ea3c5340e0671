"""The log on stderr while migrations run: a line when each begins, and what happens during it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from alembic_rescue.cli.waiting import Lines

if TYPE_CHECKING:
    from alembic_rescue.upgrading import Said

_STILL_SECONDS = 10.0
"""Time between two lines about the same running statement."""


class UpgradeLog:
    """Writes what an upgrade reports."""

    def __init__(self, tell: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._now = tell, now
        self._waiting = Lines(now)
        self._begun: tuple[str, int] | None = None
        self._next = 0.0
        self.warned: set[str] = set()
        """The codes of the warnings that were written."""

    def take(self, said: Said) -> None:
        """Write a report; a waiting or progress line only if it is due."""
        from alembic_rescue.model import Note  # noqa: PLC0415 - as the commands do
        from alembic_rescue.report import upgraded  # noqa: PLC0415
        from alembic_rescue.upgrading import Waiting  # noqa: PLC0415
        from alembic_rescue.worker.requests import Progress, Swallowed  # noqa: PLC0415

        if isinstance(said, Waiting):
            for line in self._waiting.of([upgraded.waiting(said)]):
                self._tell(f"{line}\n")
        elif isinstance(said, Progress):
            self._progress(said)
        else:
            if isinstance(said, (Note, Swallowed)):
                self.warned.add(said.code if isinstance(said, Note) else "swallowed-error")
            for line in upgraded.told(said):
                self._tell(f"{line}\n")

    def _progress(self, said: object) -> None:
        from alembic_rescue.report import upgraded  # noqa: PLC0415
        from alembic_rescue.worker.requests import RUNNING, Progress  # noqa: PLC0415

        assert isinstance(said, Progress), "as it was asked"
        step = (said.revision, said.number)
        if said.doing == RUNNING and said.revision and step != self._begun:
            self._begun, self._next = step, self._now() + _STILL_SECONDS
            self._tell(f"{upgraded.begins(said)}\n")
        elif said.of and self._now() >= self._next:
            self._next = self._now() + _STILL_SECONDS
            self._tell(f"{upgraded.goes_on(said)}\n")
