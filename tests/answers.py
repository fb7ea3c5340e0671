"""What --format json writes, held against the published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

FILE = Path(__file__).parent.parent / "docs" / "schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
STATUSES = {"refused": {3}, "fails": {3}, "error": {1, 2, 4, 5, 130}, "ready": {0, 3}}
"""The exit statuses of an outcome, where they are not 0 alone; 3 with ``ready`` is of ``diagnose --check``."""
_VALIDATOR = Draft202012Validator(SCHEMA)


def document(text: str) -> dict[str, Any]:
    """The answer as the one document that it must be, as the schema has it."""
    content = json.loads(text)
    if wrong := best_match(_VALIDATOR.iter_errors(content)):
        raise AssertionError(f"not as docs/schema.json has it, at {wrong.json_path}: {wrong.message}")
    return content


def of(text: str, status: int) -> dict[str, Any]:
    """The same; its exit status is one of its outcome's."""
    content = document(text)
    outcome = content["outcome"]
    assert status in STATUSES.get(outcome, {0}), f"{outcome}, but exit status {status}"
    return content
