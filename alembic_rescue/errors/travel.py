"""Send errors from one process to another, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from alembic_rescue.errors.base import KIND, RescueError, facts_of, unmade
from alembic_rescue.errors.outcome import InternalError

_HOMES = {"Blocker": "alembic_rescue.model", "Found": "alembic_rescue.project.below"}
"""The dataclasses that errors hold, imported only if one arrives."""


def from_json(content: Mapping[str, Any]) -> RescueError:
    """Rebuild the error that :meth:`RescueError.to_json` turned into `content`, with its original text.

    The text is not made anew from the facts.  An error of a kind that this version of the tool does not know becomes an
    :class:`InternalError` with its text.
    """
    kind = RescueError.kinds.get(content["kind"])
    if kind is None:
        return InternalError(f"{content['kind']}: {content['message']}")
    error = unmade(kind, content["message"])
    facts = content["facts"]
    vars(error).update({name: _revived(facts[name]) for name in facts_of(kind) if name in facts})
    error.message, error.help = content["message"], content["help"]
    error.blockers, error.trace = _revived(content["blockers"]), content["trace"]
    if content["code"] != getattr(kind, "code", None):
        error.code = content["code"]
    return error


def _revived(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_revived(one) for one in value)
    if not isinstance(value, Mapping):
        return value
    inner = {name: _revived(one) for name, one in value.items() if name != KIND}
    return getattr(import_module(_HOMES[value[KIND]]), value[KIND])(**inner) if KIND in value else inner
