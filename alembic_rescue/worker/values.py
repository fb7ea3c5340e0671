"""Convert the tool's values to JSON and back, for the messages between processes and for the cache.

A dataclass becomes ``{"$": its name, field: value ...}``, an enum ``{"$": its name, "is": value}``, an error the
result of its ``to_json()``.  Lists come back as tuples, because all sequences in these values are tuples.  Only the
tool's own classes, from the modules below, can be named: what a worker sends is data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from alembic_rescue.errors import RescueError, from_json

_TYPE = "$"
_HOMES = (
    "alembic_rescue.model",
    "alembic_rescue.evidence.model",
    "alembic_rescue.evidence.completion",
    "alembic_rescue.evidence.observation",
    "alembic_rescue.evidence.rehearsal",
    "alembic_rescue.evidence.handling",
    "alembic_rescue.worker.requests",
    "alembic_rescue.worker.scratch.runs",
    "alembic_rescue.worker.scratch.reached",
    "alembic_rescue.worker.scratch.operations",
    "alembic_rescue.worker.scratch.fallback",
    "alembic_rescue.project.below",
    "alembic_rescue.dialects.scratch",
    "alembic_rescue.dialects.postgresql.copy",
)
"""Modules whose classes may be named, in search order."""


def encoded(value: Any) -> Any:
    """Return `value` as JSON types.

    Raises:
        TypeError: it contains something other than the tool's values.
    """
    if isinstance(value, (tuple, list)):
        return [encoded(one) for one in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: encoded(one) for name, one in value.items()}
    if is_dataclass(value):
        return {_TYPE: type(value).__name__, **{f.name: encoded(getattr(value, f.name)) for f in fields(value)}}
    for kind, name, plain in _NAMED:
        if isinstance(value, kind):
            return {_TYPE: name or type(value).__name__, "is": encoded(plain(value))}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} is none of the values that travel")


_NAMED: tuple[tuple[Any, str, Any], ...] = (
    (Enum, "", lambda value: value.value),
    (Mapping, "dict", lambda value: list(value.items())),
    ((set, frozenset), "frozenset", sorted),
    (Path, "Path", str),
    (datetime, "datetime", datetime.isoformat),
    (RescueError, "error", RescueError.to_json),
)
"""Types that JSON lacks: the class, its name in JSON (if empty, that of the class), and its plain form."""


def decoded(content: Any) -> Any:
    """Return the value that was passed to :func:`encoded`.

    Raises:
        ValueError, TypeError: it names a class that is not the tool's.
    """
    if isinstance(content, list):
        return tuple(decoded(one) for one in content)
    if not isinstance(content, dict):
        return content
    if _TYPE not in content:
        return {name: decoded(one) for name, one in content.items()}
    name = content[_TYPE]
    if "is" not in content:
        given = {key: decoded(one) for key, one in content.items() if key != _TYPE}
        return _class(name)(**given)
    inner = decoded(content["is"])
    if name == "dict":
        return dict(inner)
    if name in _PLAIN:
        return _PLAIN[name](inner)
    return _class(name)(inner)  # an enum member


_PLAIN: dict[str, Any] = {
    "frozenset": frozenset,
    "Path": Path,
    "datetime": datetime.fromisoformat,
    "error": from_json,
}


@cache
def _class(name: str) -> Any:
    for home in _HOMES:
        found = getattr(import_module(home), name, None)
        if isinstance(found, type):
            return found
    raise ValueError(f"{name} is none of the tool's classes")
