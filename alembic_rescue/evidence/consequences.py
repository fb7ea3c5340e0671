"""Failures that only follow from an earlier one.  Pure."""

from __future__ import annotations

import re

_CONSEQUENCE = re.compile(r"current transaction is aborted|invalid transaction is rolled back")
"""The server's answer to every statement after one has failed."""


def follows_another(error: str) -> bool:
    """Return whether a failure is only the answer that every statement gets once another one has failed."""
    return _CONSEQUENCE.search(error) is not None
