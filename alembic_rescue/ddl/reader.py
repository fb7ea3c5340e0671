"""Statements to effects: which part of the grammar is read where, and what is left unread."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import postgast
from postgast.errors import PgQueryError

from alembic_rescue.ddl import blocks, objects, tables
from alembic_rescue.ddl.nodes import Node, leaves, strings, unwrap
from alembic_rescue.ddl.words import one_line
from alembic_rescue.model_evidence import Effect, Opaque

_READERS: dict[str, Callable[[Node, tables.Resolve], Iterator[Effect]]] = {
    "create_stmt": tables.create_table,
    "alter_table_stmt": tables.alter_table,
    "index_stmt": objects.create_index,
    "create_enum_stmt": objects.create_enum,
    "alter_enum_stmt": objects.alter_enum,
    "create_domain_stmt": objects.create_domain,
    "alter_domain_stmt": objects.alter_domain,
    "composite_type_stmt": objects.create_composite,
    "create_seq_stmt": objects.create_sequence,
    "alter_seq_stmt": objects.alter_sequence,
    "view_stmt": objects.create_view,
    "create_table_as_stmt": objects.create_as,
    "create_function_stmt": objects.create_function,
    "create_trig_stmt": objects.create_trigger,
    "create_policy_stmt": objects.create_policy,
    "alter_policy_stmt": objects.alter_policy,
    "create_extension_stmt": objects.create_extension,
    "create_schema_stmt": objects.create_schema,
    "comment_stmt": objects.comment,
    "drop_stmt": objects.drop,
    "rename_stmt": objects.rename,
    "alter_object_schema_stmt": objects.set_schema,
    "grant_stmt": objects.grant,
}
_WITHOUT_TRACE = frozenset(
    [
        "variable_set_stmt",
        "variable_show_stmt",
        "transaction_stmt",
        "lock_stmt",
        "vacuum_stmt",
        "refresh_mat_view_stmt",
        "explain_stmt",
        "reindex_stmt",
        "cluster_stmt",
        "check_point_stmt",
        "discard_stmt",
        "notify_stmt",
        "listen_stmt",
        "unlisten_stmt",
        "constraints_set_stmt",
        "create_stats_stmt",
    ]
)
"""Statements that leave nothing behind that a later migration could miss."""
_DATA = frozenset(["insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "copy_stmt", "truncate_stmt"])

_QUERY = re.compile(r"[\s(]*(SELECT|PRAGMA|WITH|EXPLAIN|SHOW|VALUES|DESC|DESCRIBE)\b", re.IGNORECASE)
_WITH = re.compile(r"[\s(]*WITH\b", re.IGNORECASE)
_CHANGES = re.compile(r"\)\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


class Reader:
    """Reads the statements of one session, one after the other: it heeds ``SET search_path``."""

    def __init__(self, home: str | None = None) -> None:
        """Args: home: the schema in which the session creates; named or not, it is the same one."""
        self._home = home
        self._default: str | None = None

    def read(self, sql: str) -> tuple[Effect, ...]:
        """What the statements in `sql` do, in order.  Never raises: what cannot be read is an :class:`Opaque`."""
        try:
            parsed = postgast.parse(sql)
        except (PgQueryError, ValueError) as error:
            return (Opaque(f"the grammar rejects it ({one_line(str(error))}): {one_line(sql)}"),)
        effects: list[Effect] = []
        for raw in parsed.stmts:
            effects += self._statement(raw.stmt, _text_of(sql, raw))
        return tuple(effects)

    @staticmethod
    def split(sql: str) -> list[str]:
        """The single statements; the text as it is where the grammar rejects it."""
        return split(sql)

    def _resolve(self, schema: str | None) -> str | None:
        if schema is None:
            return self._default
        return None if schema == self._home else schema

    def _statement(self, node: Any, text: str) -> Iterator[Effect]:
        kind = node.WhichOneof("node")
        inner = unwrap(node)
        if kind == "variable_set_stmt" and inner.name == "search_path" and inner.args:
            first = unwrap(unwrap(inner.args[0])).sval.sval
            self._default = self._resolve(first)
        elif kind in _READERS:
            yield from _READERS[kind](inner, self._resolve)
        elif kind == "do_stmt":
            yield from self._block(text)
        elif kind == "alter_owner_stmt":
            yield Opaque(f"who owns it is not checked: {one_line(text)}")
        elif kind in _DATA:
            table = _target(kind, inner)
            yield Opaque(f"changes data: {one_line(text)}", tables.relation(table, self._resolve) if table else None)
        elif kind == "select_stmt":
            if inner.HasField("into_clause"):
                yield Opaque(f"makes a table from a query: {one_line(text)}")
        elif kind not in _WITHOUT_TRACE:
            yield Opaque(f"what it leaves behind is not checked: {one_line(text)}")

    def _block(self, text: str) -> Iterator[Effect]:
        """The statements of a ``DO`` block."""
        try:
            body = postgast.parse_plpgsql(text)
        except (PgQueryError, ValueError) as error:
            yield Opaque(f"this DO block cannot be read ({one_line(str(error))}): {one_line(text)}")
            return
        for found in blocks.statements(body):
            if isinstance(found, Opaque):
                yield found
                continue
            effects = self.read(found.sql)
            yield from (blocks.conditional(effect) for effect in effects) if found.conditional else effects


def is_query(sql: str, *, postgres: bool) -> bool:
    """It only reads, or sets where names are looked up: it may reach the server (which is read-only all the same)."""
    if not postgres:
        return bool(_QUERY.match(sql)) and not (_WITH.match(sql) and _CHANGES.search(sql))
    try:
        statements = postgast.parse(sql).stmts
    except (PgQueryError, ValueError):
        return False
    return bool(statements) and all(_only_reads(raw.stmt) for raw in statements)


def calls_functions(sql: str) -> bool:
    """A query that calls functions, whose effect is the point where nobody reads the answer."""
    return any(leaf.startswith("function ") for raw in postgast.parse(sql).stmts for leaf in leaves(raw.stmt))


def sets_search_path(sql: str) -> bool:
    """It decides where unqualified names are looked up from then on."""
    return bool(re.match(r"\s*SET\s+(?:LOCAL\s+|SESSION\s+)?search_path\b", sql, re.IGNORECASE))


def split(sql: str) -> list[str]:
    """The single statements; the text as it is where the grammar rejects it."""
    try:
        return [_text_of(sql, raw) for raw in postgast.parse(sql).stmts]
    except (PgQueryError, ValueError):
        return [sql]


def _only_reads(node: Any) -> bool:
    kind = node.WhichOneof("node")
    inner = unwrap(node)
    if kind == "variable_set_stmt":
        return bool(inner.name == "search_path")
    if kind == "variable_show_stmt":
        return True
    if kind != "select_stmt" or inner.HasField("into_clause"):
        return False
    changing = (unwrap(unwrap(cte).ctequery) for cte in inner.with_clause.ctes)
    return not any(type(query).DESCRIPTOR.name != "SelectStmt" for query in changing)


def _target(kind: str, node: Any) -> Any:
    if kind == "truncate_stmt":
        return unwrap(node.relations[0])
    return node.relation if node.HasField("relation") else None


def _text_of(sql: str, raw: Any) -> str:
    encoded = sql.encode()
    start = raw.stmt_location
    end = start + raw.stmt_len if raw.stmt_len else len(encoded)
    return encoded[start:end].decode().strip()


__all__ = ["Reader", "calls_functions", "is_query", "one_line", "split", "strings"]
