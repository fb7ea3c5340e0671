"""The differences that ``alembic check`` finds, in words.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeEngine

_ONLY_IN = {"add": "in the models only", "remove": "in the database only"}
_OF_A_COLUMN = {"default": "server default"}


def told(found: Iterable[Any]) -> Iterator[str]:
    """Yield a line for each difference; Alembic's tuples may be nested in lists."""
    for one in found:
        if isinstance(one, list):
            yield from told(one)
        else:
            yield _told(one)


def _told(one: tuple[Any, ...]) -> str:
    verb, _, kind = str(one[0]).partition("_")
    if kind == "column":
        _, schema, table, column = one
        return f"column {_name(schema, table)}.{column.name}: {_ONLY_IN[verb]}"
    if verb == "modify" and len(one) == 7:  # noqa: PLR2004 - Alembic's tuple for a column
        _, schema, table, column, _, there, wanted = one
        what = f"{_OF_A_COLUMN.get(kind, kind)} of column {_name(schema, table)}.{column}"
        return f"{what} is {_value(there)} in the database and {_value(wanted)} in the models"
    subject = one[1] if len(one) > 1 else None
    word = {"fk": "foreign key"}.get(kind, kind.replace("_", " "))
    return f"{word} {_described(subject)}: {_ONLY_IN.get(verb, verb)}"


def _described(subject: Any) -> str:
    """Return a table's name; for a part of a table, its name, the table and the columns."""
    table = getattr(subject, "table", None)
    name = getattr(subject, "name", None)
    if table is None:
        return _name(getattr(subject, "schema", None), str(name or subject))
    columns = ", ".join(str(getattr(one, "name", one)) for one in getattr(subject, "columns", ()))
    on = f"{_name(table.schema, table.name)}" + (f" ({columns})" if columns else "")
    return f"{name} on {on}" if name else f"on {on}"


def _name(schema: str | None, table: str) -> str:
    return f"{schema}.{table}" if schema else table


def _value(value: Any) -> str:
    if isinstance(value, TypeEngine):
        try:
            return str(value)
        except CompileError:  # the type needs a dialect
            return repr(value)
    argument = getattr(value, "arg", None)  # a server default
    if argument is not None:
        return str(getattr(argument, "text", argument))
    return {None: "none", True: "true", False: "false"}.get(value, str(value)) if _is_plain(value) else repr(value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str, int))
