"""Parts of PostgreSQL's syntax tree as plain values: names, types, and what an expression is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import postgast
from postgast import pg_query_pb2 as pb
from postgast.errors import PgQueryError

Node = Any
"""A message of libpg_query: its classes are made at run time."""

SERIAL = {
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
}
_NAMES = {
    "int4": "integer",
    "int": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "bool": "boolean",
    "varchar": "character varying",
    "bpchar": "character",
    "float4": "real",
    "float8": "double precision",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "decimal": "numeric",
}
"""The server's internal name of a type to the one that ``format_type`` shows."""
_BETWEEN = {
    pb.AEXPR_BETWEEN: ("operator >=", "operator <=", "AND_EXPR"),
    pb.AEXPR_NOT_BETWEEN: ("operator <", "operator >", "OR_EXPR"),
}
"""What the server makes of them."""
_FULL_INTERVAL = 32767
_MIDNIGHT = re.compile(r"^(\d{4}-\d\d-\d\d) 00:00:00(?:[+-]\d\d(?::\d\d)?)?$")
"""What the server makes of a day where it wants a point in time; the offset is the session's."""


def unwrap(node: Node) -> Node:
    """The message inside a ``Node``, or the message itself."""
    return postgast.unwrap_node(node)


def kind_of(node: Node) -> str:
    """The name of the message's class, such as ``ColumnDef``."""
    return str(type(node).DESCRIPTOR.name)


def enum_name(node: Node, name: str) -> str:
    """The name of an enum field's value, such as ``OBJECT_TABLE``."""
    described = type(node).DESCRIPTOR.fields_by_name[name]
    return str(described.enum_type.values_by_number[getattr(node, name)].name)


def strings(nodes: Iterable[Node]) -> list[str]:
    """A list of String nodes as Python strings."""
    return [unwrap(node).sval for node in nodes]


def schema_and_name(parts: list[str]) -> tuple[str | None, str]:
    """The last two parts of a dotted name; without schema where there is one part."""
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def columns(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The column names of a key."""
    return tuple(strings(nodes))


def type_text(node: Node, *, modified: bool = True) -> str:
    """A TypeName as the server's ``format_type`` would show it; a function's arguments keep no modifiers."""
    parts = [part for part in strings(node.names) if part != "pg_catalog"]
    base = _NAMES.get(parts[0], parts[0]) if len(parts) == 1 else ".".join(parts)
    mods = [_constant(unwrap(mod)) for mod in node.typmods] if modified else []
    if base == "interval" and mods:
        mods = [m for m in mods if m != str(_FULL_INTERVAL)]
    if base == "numeric" and len(mods) == 1:
        mods.append("0")
    if mods:
        head, space, tail = base.partition(" w") if base.startswith("time") else (base, "", "")
        base = f"{head}({','.join(mods)}){space}{tail}"
    return base + ("[]" if node.array_bounds else "")


def type_from(text: str, *, modified: bool = True) -> str | None:
    """A type's text, from whatever dialect or catalog, as :func:`type_text` puts it; None where it is no type."""
    try:
        statement = postgast.parse(f"CREATE TABLE t (c {text})").stmts[0].stmt
    except PgQueryError:
        return None
    return type_text(unwrap(unwrap(statement).table_elts[0]).type_name, modified=modified)


def leaves(node: Node) -> frozenset[str]:
    """What an expression is made of: columns, constants, operators, functions; casts and parentheses left out.

    The server keeps expressions in a form of its own (``IN`` becomes ``= ANY``, casts are added): the form differs,
    the leaves stay the same.
    """
    return frozenset(_leaves(unwrap(node)))


def expression(text: str) -> frozenset[str] | None:
    """The leaves of an expression's text; None where the grammar rejects it."""
    try:
        return leaves(postgast.parse(f"SELECT {text}").stmts[0].stmt)
    except PgQueryError:
        return None


def _leaves(node: Node) -> Iterator[str]:  # noqa: C901, PLR0912 - one branch for each kind of leaf
    kind = kind_of(node)
    if kind == "ColumnRef":
        last = unwrap(node.fields[-1])
        yield "column " + (last.sval if kind_of(last) == "String" else "*")
        return
    if kind == "A_Const":
        yield "constant " + _constant(node)
        return
    if kind == "TypeCast":
        yield from _leaves(unwrap(node.arg))
        return
    if kind == "RangeVar":
        yield "table " + node.relname
    elif kind == "FuncCall":
        yield "function " + strings(node.funcname)[-1]
    elif kind == "A_Expr":
        yield from _BETWEEN.get(node.kind) or ("operator " + strings(node.name)[-1],)
    elif kind == "BoolExpr":
        yield enum_name(node, "boolop")
    elif kind == "SQLValueFunction":
        yield enum_name(node, "op")
    elif kind == "ResTarget" and node.name:
        yield "alias " + node.name
    elif kind == "NullTest":
        yield enum_name(node, "nulltesttype")
    elif kind == "BooleanTest":
        yield enum_name(node, "booltesttype")
    for described, value in node.ListFields():
        if described.type != described.TYPE_MESSAGE or described.name in {"funcname", "name"}:
            continue
        for child in value if _repeated(value) else (value,):
            yield from _leaves(unwrap(child))


def _repeated(value: object) -> bool:
    return not hasattr(value, "DESCRIPTOR")


def _constant(node: Node) -> str:
    """A constant as text: ``5`` and ``'5'`` alike, because the server moves between the two."""
    if kind_of(node) != "A_Const":
        return str(node).strip()
    which = node.WhichOneof("val")
    if node.isnull or which is None:
        return "NULL"
    value = getattr(node, which)
    if which == "ival":
        return str(value.ival)
    if which == "boolval":
        return "true" if value.boolval else "false"
    return _MIDNIGHT.sub(r"\1", str(getattr(value, which)))
