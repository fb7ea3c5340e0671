"""Which failures only follow from another.  Pure."""

from __future__ import annotations

import re

_CONSEQUENCE = re.compile(r"current transaction is aborted|invalid transaction is rolled back")
"""What every statement is answered once one has failed."""


def follows_another(error: str) -> bool:
    """Whether a failure is only what every statement is answered once another has failed."""
    return _CONSEQUENCE.search(error) is not None
