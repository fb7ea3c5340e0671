"""Whether a value read from a file has the types that its class declares.  Pure."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def fits(value: Any, kind: Any) -> bool:
    """Return whether `value` is of the type `kind`, through dataclasses, unions and tuples of one type."""
    if get_origin(kind) in {Union, UnionType}:
        return any(fits(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(fits(one, get_args(kind)[0]) for one in value)
    if not isinstance(value, kind):
        return False
    hints = get_type_hints(kind) if is_dataclass(kind) else {}
    return all(fits(getattr(value, one.name), hints[one.name]) for one in fields(kind)) if hints else True
