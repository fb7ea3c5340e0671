"""Everything that is not a table: indexes, types, sequences, views, functions, triggers, policies, comments, grants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from postgast import pg_query_pb2 as pb

from alembic_rescue.ddl.nodes import Node, enum_name, kind_of, leaves, schema_and_name, strings, type_text, unwrap
from alembic_rescue.ddl.tables import Resolve, relation, renamed, table_of
from alembic_rescue.model_evidence import Alter, Create, Drop, Effect, Key, Kind, Opaque, Rename

_KINDS = {
    "OBJECT_TABLE": Kind.TABLE,
    "OBJECT_FOREIGN_TABLE": Kind.TABLE,
    "OBJECT_INDEX": Kind.INDEX,
    "OBJECT_SEQUENCE": Kind.SEQUENCE,
    "OBJECT_VIEW": Kind.VIEW,
    "OBJECT_MATVIEW": Kind.MATERIALIZED_VIEW,
    "OBJECT_TYPE": Kind.ENUM,
    "OBJECT_DOMAIN": Kind.DOMAIN,
    "OBJECT_FUNCTION": Kind.FUNCTION,
    "OBJECT_PROCEDURE": Kind.FUNCTION,
    "OBJECT_ROUTINE": Kind.FUNCTION,
    "OBJECT_AGGREGATE": Kind.FUNCTION,
    "OBJECT_TRIGGER": Kind.TRIGGER,
    "OBJECT_POLICY": Kind.POLICY,
    "OBJECT_SCHEMA": Kind.SCHEMA,
    "OBJECT_EXTENSION": Kind.EXTENSION,
    "OBJECT_COLUMN": Kind.COLUMN,
    "OBJECT_TABCONSTRAINT": Kind.CONSTRAINT,
}
_OF_TABLE = frozenset([Kind.TRIGGER, Kind.POLICY, Kind.COLUMN, Kind.CONSTRAINT])
_TABLE_PRIVILEGES = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
_EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))
_TIMINGS = {0: "after", 2: "before", 64: "instead of"}


def create_index(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE INDEX``; its schema is the table's."""
    table = relation(node.relation, resolve)
    members = [unwrap(param) for param in node.index_params]
    elements = tuple(_index_element(member) for member in members)
    included = [unwrap(param).name for param in node.index_including_params]
    name = node.idxname or "_".join([table.name, *map(_name_in_index, members), *included, "idx"])[:63]
    facts: dict[str, Any] = {
        "table": table.name,
        "columns": elements,
        "unique": node.unique,
        "method": node.access_method or "btree",
        "where": leaves(node.where_clause) if node.HasField("where_clause") else None,
        "include": tuple(included),
        "valid": True,
    }
    if node.nulls_not_distinct:
        facts["nulls_not_distinct"] = True
    if not node.idxname:
        facts["unnamed"] = True
    yield Create(Key(Kind.INDEX, table.schema, None, name), facts, node.if_not_exists)


def _name_in_index(element: Node) -> str:
    """What an element is called in the name that PostgreSQL gives to an index without one."""
    if element.name:
        return str(element.name)
    computed = unwrap(element.expr)
    if kind_of(computed) == "FuncCall":
        return strings(computed.funcname)[-1]
    return {"CoalesceExpr": "coalesce", "CaseExpr": "case"}.get(kind_of(computed), "expr")


def _index_element(element: Node) -> str:
    text = element.name or " ".join(sorted(leaves(element.expr)))
    return text + (" desc" if enum_name(element, "ordering") == "SORTBY_DESC" else "")


def create_enum(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE TYPE ... AS ENUM``."""
    yield Create(_named(Kind.ENUM, strings(node.type_name), resolve), {"labels": tuple(strings(node.vals))})


def alter_enum(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER TYPE ... ADD VALUE`` and ``RENAME VALUE``."""
    enum = _named(Kind.ENUM, strings(node.type_name), resolve)
    label = Key(Kind.ENUM_LABEL, enum.schema, enum.name, node.new_val)
    if node.old_val:
        yield renamed(Key(Kind.ENUM_LABEL, enum.schema, enum.name, node.old_val), node.new_val)
    else:
        place = (
            {"before" if not node.new_val_is_after else "after": node.new_val_neighbor} if node.new_val_neighbor else {}
        )
        yield Create(label, place, node.skip_if_new_val_exists)


def create_domain(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE DOMAIN``."""
    facts: dict[str, Any] = {"type": type_text(node.type_name), "nullable": True, "checks": frozenset()}
    for constraint in map(unwrap, node.constraints):
        if constraint.contype == pb.CONSTR_NOTNULL:
            facts["nullable"] = False
        elif constraint.contype == pb.CONSTR_CHECK:
            facts["checks"] |= {leaves(constraint.raw_expr)}
    yield Create(_named(Kind.DOMAIN, strings(node.domainname), resolve), facts)


def alter_domain(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER DOMAIN``: whether it takes NULL; its other changes are not checked."""
    domain = _named(Kind.DOMAIN, strings(node.type_name), resolve)
    if node.subtype in {"O", "N"}:
        yield Alter(domain, {"nullable": node.subtype == "N"})
    elif node.subtype == "C":
        yield Alter(domain, {"more_checks": leaves(unwrap(getattr(node, "def")).raw_expr)})
    else:
        yield Opaque("this change of a domain is not checked")


def create_composite(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE TYPE ... AS (...)``."""
    elements = tuple((e.colname, type_text(e.type_name)) for e in map(unwrap, node.coldeflist))
    yield Create(relation(node.typevar, resolve, Kind.TYPE), {"attributes": elements})


def create_sequence(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE SEQUENCE``."""
    yield Create(relation(node.sequence, resolve, Kind.SEQUENCE), _sequence_facts(node), node.if_not_exists)


def alter_sequence(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER SEQUENCE``: what it counts by; where it stands is data."""
    facts = _sequence_facts(node)
    words = {unwrap(option).defname for option in node.options}
    if facts:
        yield Alter(relation(node.sequence, resolve, Kind.SEQUENCE), facts)
    if words & {"restart", "start"} and not facts:
        yield Opaque("sets where a sequence stands")


def _sequence_facts(node: Node) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for option in map(unwrap, node.options):
        value = unwrap(option.arg)
        if option.defname in {"increment", "start"} and node.DESCRIPTOR.name == "CreateSeqStmt":
            facts[option.defname] = getattr(value, "ival", None)
        elif option.defname == "increment":
            facts["increment"] = getattr(value, "ival", None)
    return facts


def create_view(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE VIEW``."""
    yield Create(relation(node.view, resolve, Kind.VIEW), _query_facts(node.query))


def create_as(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE MATERIALIZED VIEW`` and ``CREATE TABLE ... AS``."""
    if enum_name(node, "objtype") == "OBJECT_MATVIEW":
        view = relation(node.into.rel, resolve, Kind.MATERIALIZED_VIEW)
        yield Create(view, _query_facts(node.query), node.if_not_exists)
    else:
        table = relation(node.into.rel, resolve)
        yield Create(table, {"partial": True}, node.if_not_exists)
        yield Opaque("fills the table from a query", table)


def _query_facts(query: Node) -> dict[str, Any]:
    """What a view's query is made of: tables, columns, constants, functions; not which names its parts go by."""
    found = leaves(query)
    if "column *" in found:  # the server keeps the columns that the star stood for then
        return {"tables": frozenset(leaf for leaf in found if leaf.startswith("table "))}
    return {"definition": found}


def create_function(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE FUNCTION`` and ``CREATE PROCEDURE``."""
    schema, name = schema_and_name(strings(node.funcname))
    inputs = [
        type_text(p.arg_type, modified=False)
        for p in map(unwrap, node.parameters)
        if enum_name(p, "mode") not in {"FUNC_PARAM_OUT", "FUNC_PARAM_TABLE"}
    ]
    facts: dict[str, Any] = {}
    if node.HasField("return_type"):
        facts["returns"] = type_text(node.return_type)
    for option in map(unwrap, node.options):
        if option.defname == "as":
            body = strings(unwrap(option.arg).items)
            facts["body"] = " ".join(body[0].split())
        elif option.defname == "language":
            facts["language"] = unwrap(option.arg).sval.lower()
    yield Create(Key(Kind.FUNCTION, resolve(schema), None, f"{name}({', '.join(inputs)})"), facts)


def create_trigger(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE TRIGGER``."""
    table = relation(node.relation, resolve)
    facts = {
        "function": strings(node.funcname)[-1],
        "timing": _TIMINGS.get(node.timing, str(node.timing)),
        "events": tuple(word for bit, word in _EVENTS if node.events & bit),
        "for_each_row": node.row,
        "when": leaves(node.when_clause) if node.HasField("when_clause") else None,
    }
    yield Create(Key(Kind.TRIGGER, table.schema, table.name, node.trigname), facts)


def create_policy(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``CREATE POLICY``."""
    table = relation(node.table, resolve)
    yield Create(Key(Kind.POLICY, table.schema, table.name, node.policy_name), _policy_facts(node, complete=True))


def alter_policy(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER POLICY``."""
    table = relation(node.table, resolve)
    yield Alter(Key(Kind.POLICY, table.schema, table.name, node.policy_name), _policy_facts(node, complete=False))


def _policy_facts(node: Node, *, complete: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"command": node.cmd_name, "permissive": node.permissive} if complete else {}
    for fact, name in (("using", "qual"), ("check", "with_check")):
        if node.HasField(name):
            facts[fact] = leaves(getattr(node, name))
        elif complete:
            facts[fact] = None
    return facts


def create_extension(node: Node, _: Resolve) -> Iterator[Effect]:
    """``CREATE EXTENSION``."""
    yield Create(Key(Kind.EXTENSION, None, None, node.extname), {}, node.if_not_exists)


def create_schema(node: Node, _: Resolve) -> Iterator[Effect]:
    """``CREATE SCHEMA``."""
    yield Create(Key(Kind.SCHEMA, None, None, node.schemaname or node.authrole.rolename), {}, node.if_not_exists)


def comment(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``COMMENT ON``; without text it takes the comment away."""
    key = _object(enum_name(node, "objtype"), unwrap(node.object), resolve)
    if key is None:
        yield Opaque(f"comments on {enum_name(node, 'objtype').removeprefix('OBJECT_').lower()} are not checked")
    else:
        yield Alter(key, {"comment": node.comment or None})


def drop(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``DROP`` of anything."""
    word = enum_name(node, "remove_type")
    for wrapped in node.objects:
        key = _object(word, unwrap(wrapped), resolve)
        if key is None:
            yield Opaque(f"dropping {word.removeprefix('OBJECT_').lower()} is not checked")
        else:
            yield Drop(key, node.missing_ok)


def rename(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER ... RENAME``."""
    word = enum_name(node, "rename_type")
    kind = _KINDS.get(word)
    if kind in {Kind.COLUMN, Kind.CONSTRAINT} or kind in {Kind.TRIGGER, Kind.POLICY}:
        table = relation(node.relation, resolve)
        yield renamed(Key(kind, table.schema, table.name, node.subname), node.newname)
    elif kind is Kind.SCHEMA:
        yield renamed(Key(kind, None, None, node.subname), node.newname)
    elif kind is Kind.FUNCTION:
        key = _object(word, unwrap(node.object), resolve)
        assert key is not None, "functions have keys"
        yield renamed(key, node.newname + key.name[key.name.index("(") :] if "(" in key.name else node.newname)
    elif kind is not None and node.HasField("relation"):
        yield renamed(relation(node.relation, resolve, kind), node.newname)
    elif kind is not None:
        yield renamed(_named(kind, _parts(unwrap(node.object)), resolve), node.newname)
    else:
        yield Opaque(f"renaming {word.removeprefix('OBJECT_').lower()} is not checked")


def set_schema(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``ALTER ... SET SCHEMA``."""
    word = enum_name(node, "object_type")
    kind = _KINDS.get(word)
    if kind is None or kind is Kind.EXTENSION:
        yield Opaque("moving this to another schema is not checked")
        return
    key = (
        relation(node.relation, resolve, kind)
        if node.HasField("relation")
        else _object(word, unwrap(node.object), resolve)
    )
    assert key is not None, "every kind has keys"
    yield Rename(key, Key(kind, resolve(node.newschema), None, key.name))


def grant(node: Node, resolve: Resolve) -> Iterator[Effect]:
    """``GRANT`` and ``REVOKE`` on tables; on anything else they are not checked."""
    tables = [unwrap(o) for o in node.objects]
    if enum_name(node, "objtype") != "OBJECT_TABLE" or enum_name(node, "targtype") != "ACL_TARGET_OBJECT":
        yield Opaque("grants on anything but single tables are not checked")
        return
    privileges = [unwrap(p) for p in node.privileges]
    words = [p.priv_name for p in privileges] or _TABLE_PRIVILEGES
    if any(p.cols for p in privileges):
        yield Opaque("grants on columns are not checked")
        return
    for table in (relation(t, resolve) for t in tables):
        for grantee in map(unwrap, node.grantees):
            role = grantee.rolename if enum_name(grantee, "roletype") == "ROLESPEC_CSTRING" else "public"
            for word in words:
                key = Key(Kind.GRANT, table.schema, table.name, f"{word} to {role}")
                yield Create(key, {}) if node.is_grant else Drop(key)


def _object(word: str, node: Node, resolve: Resolve) -> Key | None:
    kind = _KINDS.get(word)
    if kind is None:
        return None
    parts = _parts(node)
    if kind in {Kind.SCHEMA, Kind.EXTENSION}:
        return Key(kind, None, None, parts[-1])
    if kind in _OF_TABLE:
        return table_of(parts, resolve, kind)
    if kind is Kind.FUNCTION:
        schema, name = schema_and_name(parts)
        if not node.args_unspecified:
            name += f"({', '.join(type_text(unwrap(a), modified=False) for a in node.objargs)})"
        return Key(kind, resolve(schema), None, name)
    return _named(kind, parts, resolve)


def _parts(node: Node) -> list[str]:
    kind = kind_of(node)
    if kind == "String":
        return [node.sval]
    if kind == "TypeName":
        return [part for part in strings(node.names) if part != "pg_catalog"]
    if kind == "ObjectWithArgs":
        return strings(node.objname)
    return strings(node.items)


def _named(kind: Kind, parts: list[str], resolve: Resolve) -> Key:
    schema, name = schema_and_name(parts)
    return Key(kind, resolve(schema), None, name)
