"""Statements as the server would get them, their parameters put in: to be read, never to be run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

_PLACEHOLDER = re.compile(r"%\((?P<name>\w+)\)s|(?P<next>%s|\?)|\$(?P<number>\d+)")


def with_parameters(cursor: Any, sql: str, parameters: Any) -> str:
    """`sql` with its parameters as literals: by the driver where it can, else by what the placeholders look like.

    Of the rows of an ``executemany``, the first.
    """
    if isinstance(parameters, (list, tuple)) and parameters and isinstance(parameters[0], (dict, tuple, list)):
        parameters = parameters[0]
    mogrify = getattr(cursor, "mogrify", None)
    if mogrify is not None and (parameters or "%%" in sql):
        with suppress(Exception):  # a type that the driver cannot adapt: it would fail when run, too
            rendered = mogrify(sql, parameters or {})
            return rendered.decode() if isinstance(rendered, bytes) else str(rendered)
    if not parameters:
        return sql.replace("%%", "%")
    following = iter(parameters.values() if isinstance(parameters, Mapping) else parameters)
    return _PLACEHOLDER.sub(lambda found: _literal(_value(found, parameters, following)), sql).replace("%%", "%")


def _value(found: re.Match[str], parameters: Any, following: Iterator[Any]) -> Any:
    if found["name"]:
        return parameters.get(found["name"]) if isinstance(parameters, Mapping) else None
    if found["number"]:
        position = int(found["number"]) - 1
        return parameters[position] if not isinstance(parameters, Mapping) and position < len(parameters) else None
    return next(following, None)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"
