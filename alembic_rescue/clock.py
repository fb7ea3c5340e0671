"""The time, as passed to everything that waits; tests pass a fake clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SECONDS = 7 * 24 * 3600.0
"""The longest wait.  More is a slip, and no clock takes ``inf``."""


@dataclass(frozen=True)
class Clock:
    """Tells the time and sleeps, both in seconds."""

    now: Callable[[], float] = time.monotonic
    """Never goes back; its zero has no meaning."""
    sleep: Callable[[float], None] = time.sleep
    epoch: Callable[[], float] = time.time
    """Since 1970, in UTC, for comparison with other programs' times."""


CLOCK = Clock()
