"""The time, as what waits is given it: a test gives another one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SECONDS = 7 * 24 * 3600.0
"""Of what is waited for: more is a slip, and no clock takes ``inf``."""


@dataclass(frozen=True)
class Clock:
    """What tells the time and lets it pass, both in seconds."""

    now: Callable[[], float] = time.monotonic
    """Never goes back; its zero means nothing."""
    sleep: Callable[[float], None] = time.sleep
    epoch: Callable[[], float] = time.time
    """Since 1970, in UTC, as others tell it."""


CLOCK = Clock()
