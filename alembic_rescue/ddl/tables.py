"""Tables: their columns and constraints, as CREATE TABLE and ALTER TABLE make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pb

from alembic_rescue.ddl.nodes import (
    SERIAL,
    Node,
    columns,
    enum_name,
    kind_of,
    leaves,
    schema_and_name,
    strings,
    type_text,
    unwrap,
)
from alembic_rescue.model_evidence import Alter, Create, Drop, Effect, Key, Kind, Opaque, Rename

_CONSTRAINTS = {
    pb.CONSTR_PRIMARY: "primary-key",
    pb.CONSTR_UNIQUE: "unique",
    pb.CONSTR_CHECK: "check",
    pb.CONSTR_FOREIGN: "foreign-key",
    pb.CONSTR_EXCLUSION: "exclude",
}
_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default", "": "no action"}
_SAME_INDEX = ("columns", "including", "deferrable", "deferred", "nulls_not_distinct")
_SUFFIXES = {"primary-key": "pkey", "unique": "key", "check": "check", "foreign-key": "fkey", "exclude": "excl"}
_IDENTIFIER = 63
_HARMLESS = {
    "AT_SetStatistics",
    "AT_SetStorage",
    "AT_SetCompression",
    "AT_ClusterOn",
    "AT_DropCluster",
    "AT_SetRelOptions",
    "AT_ResetRelOptions",
    "AT_ReplicaIdentity",
}
"""How a table is stored, not what is there: nothing that a later migration could miss."""
_ROW_SECURITY = {
    "AT_EnableRowSecurity": ("row_security", True),
    "AT_DisableRowSecurity": ("row_security", False),
    "AT_ForceRowSecurity": ("force_row_security", True),
    "AT_NoForceRowSecurity": ("force_row_security", False),
}

Resolve = Callable[["str | None"], "str | None"]
"""Takes the schema as written, None where none is, and gives the one for the key."""


def create_table(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE TABLE``: the table, its columns, its constraints."""
    yield from _indexed_once(list(_created(relation(node.relation, resolve), node)))


def _created(table: Key, node: Node) -> Iterator[Effect]:
    conditional = node.if_not_exists
    partial = bool(node.inh_relations) or any(kind_of(unwrap(e)) == "TableLikeClause" for e in node.table_elts)
    yield Create(table, {"partial": True} if partial else {}, conditional)
    elements = [unwrap(element) for element in node.table_elts]
    primary = {
        c for e in elements if kind_of(e) == "Constraint" and e.contype == pb.CONSTR_PRIMARY for c in strings(e.keys)
    }
    for element in elements:
        if kind_of(element) == "ColumnDef":
            yield from _column(table, element, conditional=conditional, required=element.colname in primary)
        elif kind_of(element) == "Constraint":
            yield from _constraint(table, element, conditional=conditional)


def _indexed_once(effects: list[Effect]) -> list[Effect]:
    """The effects without the UNIQUE constraints that PostgreSQL leaves out.

    Of those of one CREATE TABLE that ask for the same index it makes one, the primary key before any other, and gives
    it the first name that was written for it.
    """
    unique = [e for e in effects if isinstance(e, Create) and e.facts.get("constraint") in {"primary-key", "unique"}]
    alike: dict[tuple[Any, ...], list[Create]] = {}
    for one in sorted(unique, key=lambda e: e.facts["constraint"] != "primary-key"):
        alike.setdefault(tuple(one.facts.get(name) for name in _SAME_INDEX), []).append(one)
    left_out = {id(one) for _, *others in alike.values() for one in others}
    made = {
        id(same[0]): replace(same[0], key=next((e.key for e in same if not e.facts.get("unnamed")), same[0].key))
        for same in alike.values()
    }
    return [made.get(id(effect), effect) for effect in effects if id(effect) not in left_out]


def alter_table(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER TABLE``, each of its commands."""
    table = relation(node.relation, resolve)
    if enum_name(node, "objtype") != "OBJECT_TABLE":
        if enum_name(node, "objtype") == "OBJECT_TYPE":
            yield Opaque("changes the attributes of a composite type")
        return
    for wrapped in node.cmds:
        yield from _command(table, unwrap(wrapped))


def _command(table: Key, command: Node) -> Iterator[Effect]:  # noqa: C901, PLR0912 - one branch for each command
    name = enum_name(command, "subtype")
    column = Key(Kind.COLUMN, table.schema, table.name, command.name)
    constraint = Key(Kind.CONSTRAINT, table.schema, table.name, command.name)
    definition = unwrap(getattr(command, "def"))
    if name == "AT_AddColumn":
        yield from _column(table, definition, conditional=command.missing_ok, required=False)
    elif name == "AT_DropColumn":
        yield Drop(column, command.missing_ok)
    elif name == "AT_AlterColumnType":
        yield Alter(column, {"type": type_text(definition.type_name)})
    elif name == "AT_SetNotNull":
        yield Alter(column, {"nullable": False})
    elif name == "AT_DropNotNull":
        yield Alter(column, {"nullable": True})
    elif name == "AT_ColumnDefault":
        set_to = leaves(definition) if command.HasField("def") else None
        yield Alter(column, {"default": set_to})
    elif name == "AT_AddIdentity":
        yield Alter(column, {"identity": definition.generated_when, "nullable": False})
    elif name == "AT_SetIdentity":
        yield from (
            Alter(column, {"identity": _identity_word(e.arg)})
            for e in map(unwrap, _list(definition))
            if e.defname == "generated"
        )
    elif name == "AT_DropIdentity":
        yield Alter(column, {"identity": ""})
    elif name == "AT_DropExpression":
        yield Alter(column, {"generated": None})
    elif name == "AT_AddConstraint":
        yield from _constraint(table, definition, conditional=False)
    elif name == "AT_DropConstraint":
        yield Drop(constraint, command.missing_ok)
    elif name == "AT_ValidateConstraint":
        yield Alter(constraint, {"validated": True})
    elif name in _ROW_SECURITY:
        fact, value = _ROW_SECURITY[name]
        yield Alter(table, {fact: value})
    elif name == "AT_ChangeOwner":
        yield Alter(table, {"owner": command.newowner.rolename})
    elif name in {"AT_SetLogged", "AT_SetUnLogged"} or name in _HARMLESS:
        return
    else:
        yield Opaque(f"ALTER TABLE with {name.removeprefix('AT_')} is not checked")


def relation(node: Node, resolve: Resolve, kind: Kind = Kind.TABLE) -> Key:
    """The key of what a RangeVar names."""
    return Key(kind, resolve(node.schemaname or None), None, node.relname)


def _column(table: Key, node: Node, *, conditional: bool, required: bool) -> Iterator[Effect]:
    key = Key(Kind.COLUMN, table.schema, table.name, node.colname)
    facts: dict[str, Any] = {}
    if node.HasField("type_name"):  # a column of a typed table or a partition has none
        shown = type_text(node.type_name)
        facts = {"type": shown, "nullable": not required, "default": None, "identity": "", "generated": None}
        if shown in SERIAL:
            facts.update(type=SERIAL[shown], nullable=False, default=frozenset({"function nextval"}))
    constraints = [unwrap(constraint) for constraint in node.constraints]
    for constraint in constraints:
        facts.update(_column_facts(constraint))
    yield Create(key, facts, conditional)
    for constraint in constraints:
        if constraint.contype in _CONSTRAINTS:
            yield from _constraint(table, constraint, conditional=conditional, of_column=node.colname)


def _column_facts(constraint: Node) -> dict[str, Any]:
    """What a column's constraint says of the column itself."""
    kind = constraint.contype
    if kind in {pb.CONSTR_NOTNULL, pb.CONSTR_PRIMARY}:
        return {"nullable": False}
    if kind == pb.CONSTR_NULL:
        return {"nullable": True}
    if kind == pb.CONSTR_DEFAULT:
        found = leaves(constraint.raw_expr)
        return {"default": None if found == {"constant NULL"} else found}
    if kind == pb.CONSTR_IDENTITY:
        return {"identity": constraint.generated_when, "nullable": False}
    if kind == pb.CONSTR_GENERATED:
        return {"generated": leaves(constraint.raw_expr)}
    return {}


def _constraint(table: Key, node: Node, *, conditional: bool, of_column: str | None = None) -> Iterator[Effect]:
    if node.contype == pb.CONSTR_NOTNULL and node.keys:  # a table constraint from PostgreSQL 18 on
        yield Alter(Key(Kind.COLUMN, table.schema, table.name, strings(node.keys)[0]), {"nullable": False})
        return
    if node.contype not in _CONSTRAINTS:
        return
    facts = _constraint_facts(node, of_column)
    kind = facts["constraint"]
    name = node.conname or generated_name(table.name, facts["columns"], kind)
    key = Key(Kind.CONSTRAINT, table.schema, table.name, name)
    if node.indexname:  # USING INDEX: the index becomes the constraint's, under its name
        del facts["columns"]
        if node.indexname != name:
            index = Key(Kind.INDEX, table.schema, None, node.indexname)
            yield Rename(index, Key(Kind.INDEX, table.schema, None, name))
    yield Create(key, facts, conditional)
    if kind == "primary-key" and of_column is None and not conditional:
        for column in facts.get("columns", ()):
            yield Alter(Key(Kind.COLUMN, table.schema, table.name, column), {"nullable": False})


def _constraint_facts(node: Node, of_column: str | None) -> dict[str, Any]:
    kind = _CONSTRAINTS[node.contype]
    facts: dict[str, Any] = {"constraint": kind, "validated": not node.skip_validation}
    if not node.conname:
        facts["unnamed"] = True
    keys = columns(node.fk_attrs) if kind == "foreign-key" else columns(node.keys)
    facts["columns"] = keys or ((of_column,) if of_column and kind != "exclude" else ())
    if node.deferrable or kind == "foreign-key":
        facts.update(deferrable=node.deferrable, deferred=node.initdeferred)
    if kind == "check":
        found = facts["expression"] = leaves(node.raw_expr)
        facts["columns"] = tuple(sorted(x.removeprefix("column ") for x in found if x.startswith("column ")))
    elif kind == "foreign-key":
        facts["references"] = (node.pktable.schemaname or None, node.pktable.relname)
        if node.pk_attrs:
            facts["referenced_columns"] = columns(node.pk_attrs)
        facts.update(on_update=_ACTIONS[node.fk_upd_action], on_delete=_ACTIONS[node.fk_del_action])
    if node.including:
        facts["including"] = tuple(strings(node.including))
    if node.nulls_not_distinct:
        facts["nulls_not_distinct"] = True
    return facts


def generated_name(table: str, of: tuple[str, ...], kind: str) -> str:
    """The name that PostgreSQL gives to a constraint without one, where no other has it yet."""
    suffix = _SUFFIXES[kind]
    named = () if kind == "primary-key" or (kind == "check" and len(of) != 1) else of
    room = _IDENTIFIER - len(suffix) - 1
    words, middle = table, "_".join(named)
    while middle and len(words) + len(middle) + 1 > room:
        words, middle = (words[:-1], middle) if len(words) > len(middle) else (words, middle[:-1])
    return "_".join(part for part in (words[:room], middle, suffix) if part)


def _list(node: Node) -> list[Node]:
    return list(node.items) if hasattr(node, "items") else []


def _identity_word(node: Node) -> str:
    value = unwrap(node)
    return chr(value.ival) if hasattr(value, "ival") else str(getattr(value, "sval", ""))


def table_of(parts: list[str], resolve: Resolve, kind: Kind) -> Key:
    """The key of what belongs to a table, from its dotted name: schema, table, name."""
    schema, table = schema_and_name(parts[:-1])
    return Key(kind, resolve(schema), table, parts[-1])


def renamed(key: Key, name: str) -> Rename:
    """The same object under another name."""
    return Rename(key, Key(key.kind, key.schema, key.parent, name))
