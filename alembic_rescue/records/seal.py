"""A plan's seal: what must not change between plan and stamp, and that the file is as it was approved.  Pure.

A digest guards against mistakes.  Anyone who can write the file can make another digest, but not one with a key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from alembic_rescue.errors import PlanChanged
from alembic_rescue.model import Report

KEY_VARIABLE = "ALEMBIC_RESCUE_PLAN_KEY"
"""The key of the seals; only an environment variable, because the process list shows command lines."""
_NAMES = {
    "target": "the target",
    "script_heads": "the latest revisions of the scripts",
    "database": "the database",
    "current_heads": "the rows of the version table",
    "heads_after": "the rows that the stamp would leave",
    "scripts": "the script file of",
    "verdicts": "the check of",
    "accepted": "what was accepted",
    "refusals": "what is refused",
}


def parts(report: Report) -> dict[str, Any]:
    """Return what a plan covers, in parts, as JSON values."""
    return {
        "target": list(report.target.revisions) if report.target else None,
        "only": report.only,
        "script_heads": list(report.script_heads),
        "databases": [
            {
                "database": list(part.database.identity.key),
                "current_heads": list(part.database.current_heads),
                "heads_after": list(part.heads_after),
                "scripts": {revision.revision: revision.content for revision in part.revisions},
                "verdicts": {revision.revision: revision.verdict.value for revision in part.revisions},
                "accepted": [revision.revision for revision in part.revisions if revision.accepted],
                "refusals": [refusal.code for refusal in part.refusals],
            }
            for part in report.databases
        ],
    }


def digest(content: Any) -> str:
    """Return ``sha256:...`` of a JSON value, independent of its spacing and key order."""
    return f"sha256:{hashlib.sha256(_canonical(content)).hexdigest()}"


def sealed(document: Mapping[str, Any], report: Report, key: str) -> dict[str, Any]:
    """Return the content of a sealed plan's file.

    Args:
        document: what the approver reads.
        report: what the document was made from.
        key: makes the seal unforgeable; empty for none.
    """
    content = {**document, "sealed": parts(report)}
    return {**content, "seal": _seal(content, key)}


def is_keyed(content: Mapping[str, Any]) -> bool:
    """Return whether it was sealed with a key."""
    return str(content["seal"]).startswith(_KEYED)


def opened(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the sealed parts of a file's content; if it is sealed with a key, `key` must not be empty.

    Raises:
        ValueError: it is not as it was sealed, or not with this key; the message says which.
    """
    within = {name: value for name, value in content.items() if name != "seal"}
    seal = str(content["seal"])
    if key and not seal.startswith(_KEYED):
        raise ValueError(f"it is sealed without the key in {KEY_VARIABLE}")
    if not hmac.compare_digest(seal.encode(), _seal(within, key).encode()):
        raise ValueError("it was changed after it was sealed" + (", or sealed with another key" if key else ""))
    found: dict[str, Any] = within["sealed"]
    return found


_KEYED = "hmac-sha256:"


def _seal(content: Any, key: str) -> str:
    if not key:
        return digest(content)
    return _KEYED + hmac.new(key.encode("utf-8", "surrogateescape"), _canonical(content), hashlib.sha256).hexdigest()


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def check(name: str, sealed: Mapping[str, Any], report: Report) -> None:
    """Refuse a report that differs from what was sealed.

    Raises:
        PlanChanged: something changed.
    """
    if moved := differences(sealed, parts(report)):
        raise PlanChanged(name, moved)


def is_carried_out(sealed: Mapping[str, Any], report: Report) -> bool:
    """Return whether the sealed databases are where the plan leads, judging only by their rows: it was carried out."""
    now = [(list(part.database.identity.key), list(part.database.current_heads)) for part in report.databases]
    then = [(one.get("database"), one.get("heads_after")) for one in sealed.get("databases") or []]
    return now == then


def differences(sealed: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what changed, in words; empty if nothing did."""
    moved = [told for key in ("target", "script_heads") for told in _told(key, sealed.get(key), now[key])]
    before, after = sealed.get("databases") or [], now["databases"]
    if len(before) != len(after):
        return [*moved, f"{len(before)} databases then, {len(after)} now"]
    for one, other in zip(before, after, strict=True):
        moved += [told for key in other for told in _told(key, one.get(key), other[key])]
    return moved


def _told(key: str, before: Any, after: Any) -> list[str]:
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [f"{_NAMES[key]} changed from {_shown(before)} to {_shown(after)}"]
    told = []
    if key == "scripts" and set(before) != set(after):
        told = [f"the revisions that the stamp skips changed from {_shown(list(before))} to {_shown(list(after))}"]
    for revision in before:
        if before[revision] != after.get(revision, before[revision]):
            values = f" from {before[revision]} to {after[revision]}" if key == "verdicts" else ""
            told.append(f"{_NAMES[key]} {revision} changed{values}")
    return told


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(v) for v in value if v is not None) or "none"
    return str(value)
