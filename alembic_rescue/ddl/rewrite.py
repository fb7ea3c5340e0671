"""Statements with other names: what was written before a rename, as it would be written after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import postgast
from postgast import pg_query_pb2 as pb
from postgast.errors import PgQueryError

from alembic_rescue.ddl.nodes import Node, kind_of, unwrap
from alembic_rescue.model_evidence import Key, Kind

_COLUMN_LISTS = ("keys", "fk_attrs")


def renamed(sql: str, renames: Sequence[tuple[Key, Key]]) -> str:
    """The statement after these renames, in this order; the very text where there are none, or it cannot be read."""
    if not renames:
        return sql
    try:
        tree = postgast.parse(sql)
        for old, new in renames:
            rename_in(tree, old, new)
        return postgast.deparse(tree)
    except (PgQueryError, ValueError):
        return sql


def rename_in(tree: Node, old: Key, new: Key) -> None:
    """Put the new name in place of the old one, throughout the tree."""
    for node in _walk(tree):
        kind = kind_of(node)
        if old.kind is Kind.TABLE:
            if kind == "RangeVar" and node.relname == old.name:
                node.relname = new.name
                if new.schema != old.schema:
                    node.schemaname = new.schema or ""
            elif kind == "CommentStmt":
                _rename_string(unwrap(node.object).items[:-1] or unwrap(node.object).items, old, new)
        elif old.kind is Kind.COLUMN:
            _rename_column(node, kind, old, new)


def fragment(definition: Node, renames: Sequence[tuple[Key, Key]] = ()) -> str:
    """What ALTER TABLE takes to add this column or constraint, after these renames."""
    statement = postgast.parse("ALTER TABLE t ADD COLUMN c int")
    command = statement.stmts[0].stmt.alter_table_stmt.cmds[0].alter_table_cmd
    target = getattr(command, "def")
    if kind_of(definition) == "ColumnDef":
        target.column_def.CopyFrom(definition)
    else:
        command.subtype = pb.AT_AddConstraint
        target.constraint.CopyFrom(definition)
    for old, new in renames:
        rename_in(target, old, new)
    return postgast.deparse(statement).removeprefix("ALTER TABLE t ")


def _rename_column(node: Node, kind: str, old: Key, new: Key) -> None:
    if kind == "ColumnRef":
        _rename_string(node.fields[-1:], old, new)
    elif kind == "ColumnDef" and node.colname == old.name:
        node.colname = new.name
    elif kind in {"IndexElem", "AlterTableCmd"} and node.name == old.name:
        node.name = new.name
    elif kind == "Constraint":
        for name in _COLUMN_LISTS:
            _rename_string(getattr(node, name), old, new)
        if node.pktable.relname == old.parent:
            _rename_string(node.pk_attrs, old, new)
    elif kind == "CommentStmt":
        _rename_string(unwrap(node.object).items[-1:], old, new)


def _rename_string(nodes: Sequence[Node], old: Key, new: Key) -> None:
    for node in map(unwrap, nodes):
        if kind_of(node) == "String" and node.sval == old.name:
            node.sval = new.name


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for described, value in node.ListFields():
        if described.type == described.TYPE_MESSAGE:
            for child in (value,) if hasattr(value, "DESCRIPTOR") else value:
                yield from _walk(unwrap(child))
