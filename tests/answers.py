"""Read what --format json writes, and validate it against the published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

FILE = Path(__file__).parent.parent / "docs" / "schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
STATUSES = {"refused": {3}, "fails": {3}, "error": {1, 2, 3, 4, 5, 130}, "ready": {0, 3}}
"""The exit statuses of an outcome, if not just 0. ``diagnose --check`` exits with 3 on ``ready``, ``upgrade`` on
``error``: something may have been written."""
_VALIDATOR = Draft202012Validator(SCHEMA)


def document(text: str) -> dict[str, Any]:
    """Return the answer as a single JSON document, validated against the schema."""
    content = json.loads(text)
    if wrong := best_match(_VALIDATOR.iter_errors(content)):
        raise AssertionError(f"not as docs/schema.json has it, at {wrong.json_path}: {wrong.message}")
    return content


def of(text: str, status: int) -> dict[str, Any]:
    """Return the answer like `document`, and check that its exit status fits the outcome."""
    content = document(text)
    outcome = content["outcome"]
    assert status in STATUSES.get(outcome, {0}), f"{outcome}, but exit status {status}"
    return content
