"""PostgreSQL's catalog, one query for each kind of object, told in the facts that the DDL reader knows.

Where the server can give an object's own DDL (``pg_get_constraintdef`` and the like), that DDL is read by the same
reader as the migrations: both sides then go through one set of rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from alembic_rescue.ddl.nodes import expression, type_from
from alembic_rescue.ddl.reader import Reader
from alembic_rescue.model_evidence import Create, Facts, Key, Kind

_PATH = "SELECT unnest(pg_catalog.current_schemas(false))::text AS name"
_SCHEMAS = """
    SELECT nspname::text AS name, obj_description(oid, 'pg_namespace') AS comment FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
_RELATIONS = """
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
           c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security, r.rolname::text AS owner,
           obj_description(c.oid, 'pg_class') AS comment,
           CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
           s.seqstart AS start, s.seqincrement AS increment
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
         LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
    WHERE n.nspname = ANY (:schemas) AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
"""
_COLUMNS = """
    SELECT n.nspname::text AS schema, c.relname::text AS table, a.attname::text AS name, a.attnotnull AS required,
           format_type(a.atttypid, a.atttypmod) AS type, a.attidentity::text AS identity,
           a.attgenerated::text AS generated, pg_get_expr(d.adbin, d.adrelid) AS default,
           col_description(c.oid, a.attnum) AS comment
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE n.nspname = ANY (:schemas) AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
"""
_CONSTRAINTS = """
    SELECT n.nspname::text AS schema, c.relname::text AS table, o.conname::text AS name, o.convalidated AS validated,
           pg_get_constraintdef(o.oid) AS definition, obj_description(o.oid, 'pg_constraint') AS comment
    FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (:schemas) AND o.contype IN ('p', 'u', 'c', 'f', 'x')
"""
_INDEXES = """
    SELECT n.nspname::text AS schema, c.relname::text AS name, pg_get_indexdef(i.indexrelid) AS definition,
           i.indisvalid AND i.indisready AS valid, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (:schemas)
"""
_TYPES = """
    SELECT n.nspname::text AS schema, t.typname::text AS name, t.typtype::text AS kind, t.typnotnull AS required,
           CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base,
           obj_description(t.oid, 'pg_type') AS comment,
           ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum e
                 WHERE e.enumtypid = t.oid ORDER BY enumsortorder) AS labels,
           ARRAY(SELECT pg_get_constraintdef(o.oid) FROM pg_catalog.pg_constraint o
                 WHERE o.contypid = t.oid AND o.contype = 'c') AS checks,
           ARRAY(SELECT a.attname::text || ' ' || format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS attributes
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE n.nspname = ANY (:schemas) AND (t.typtype IN ('e', 'd') OR t.typtype = 'c' AND c.relkind = 'c')
"""
_FUNCTIONS = """
    SELECT n.nspname::text AS schema, p.proname::text AS name, p.prosrc AS body, l.lanname::text AS language,
           ARRAY(SELECT format_type(x, NULL)
                 FROM unnest(p.proargtypes) WITH ORDINALITY AS u(x, i) ORDER BY i) AS inputs,
           pg_get_function_result(p.oid) AS returns, obj_description(p.oid, 'pg_proc') AS comment
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE n.nspname = ANY (:schemas) AND NOT EXISTS (
          SELECT 1 FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
"""
_TRIGGERS = """
    SELECT n.nspname::text AS schema, c.relname::text AS table, t.tgname::text AS name,
           pg_get_triggerdef(t.oid) AS definition, t.tgenabled <> 'D' AS enabled,
           obj_description(t.oid, 'pg_trigger') AS comment
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (:schemas) AND NOT t.tgisinternal
"""
_POLICIES = """
    SELECT n.nspname::text AS schema, c.relname::text AS table, p.polname::text AS name, p.polpermissive AS permissive,
           CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete'
                         ELSE 'all' END AS command,
           pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS check,
           obj_description(p.oid, 'pg_policy') AS comment
    FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (:schemas)
"""
_EXTENSIONS = """
    SELECT extname::text AS name, obj_description(oid, 'pg_extension') AS comment FROM pg_catalog.pg_extension
"""
_GRANTS = """
    SELECT n.nspname::text AS schema, c.relname::text AS table, lower(a.privilege_type) AS privilege,
           CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS role
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
    WHERE n.nspname = ANY (:schemas) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_RELATION_KINDS = {
    "r": Kind.TABLE,
    "p": Kind.TABLE,
    "f": Kind.TABLE,
    "v": Kind.VIEW,
    "m": Kind.MATERIALIZED_VIEW,
    "S": Kind.SEQUENCE,
}
QUERIES = 12
"""How many queries one snapshot takes, whatever there is to read."""


def read(connection: Connection, schemas: frozenset[str]) -> tuple[tuple[str, ...], Mapping[Key, Facts]]:
    """The search path, and every object of its schemas and of `schemas`."""
    path = tuple(row["name"] for row in _rows(connection, _PATH))
    named = {"schemas": sorted(schemas | set(path))}
    objects: dict[Key, Facts] = {}
    for row in _rows(connection, _SCHEMAS):
        objects[Key(Kind.SCHEMA, None, None, row["name"])] = {"comment": row["comment"]}
    for row in _rows(connection, _EXTENSIONS):
        objects[Key(Kind.EXTENSION, None, None, row["name"])] = {"comment": row["comment"]}
    for tell, query in (
        (_relation, _RELATIONS),
        (_column, _COLUMNS),
        (_constraint, _CONSTRAINTS),
        (_index, _INDEXES),
        (_type, _TYPES),
        (_function, _FUNCTIONS),
        (_trigger, _TRIGGERS),
        (_policy, _POLICIES),
        (_grant, _GRANTS),
    ):
        for row in _rows(connection, query, **named):
            objects.update(tell(row))
    return path, objects


def _rows(connection: Connection, query: str, **values: object) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), values).mappings()]


def _relation(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    kind = _RELATION_KINDS[row["kind"]]
    facts = {f: row[f] for f in ("comment", "owner", "row_security", "force_row_security")}
    if kind is Kind.SEQUENCE:
        facts.update(start=row["start"], increment=row["increment"])
    elif row["definition"]:
        found = _only(f"CREATE VIEW v AS {row['definition']}", Kind.VIEW)
        facts["tables"] = frozenset(x for x in found.get("definition", ()) if x.startswith("table "))
        facts.update(found)
    yield Key(kind, row["schema"], None, row["name"]), facts


def _column(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    value = expression(row["default"]) if row["default"] is not None else None
    yield (
        Key(Kind.COLUMN, row["schema"], row["table"], row["name"]),
        {
            "type": type_from(row["type"]) or row["type"],
            "nullable": not row["required"],
            "default": None if row["generated"] else value,
            "generated": value if row["generated"] else None,
            "identity": row["identity"],
            "comment": row["comment"],
        },
    )


def _constraint(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    facts = _only(f"ALTER TABLE t ADD CONSTRAINT c {row['definition']}", Kind.CONSTRAINT)
    key = Key(Kind.CONSTRAINT, row["schema"], row["table"], row["name"])
    yield key, {**facts, "validated": row["validated"], "comment": row["comment"]}


def _index(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    facts = _only(row["definition"], Kind.INDEX)
    yield Key(Kind.INDEX, row["schema"], None, row["name"]), {**facts, "valid": row["valid"], "comment": row["comment"]}


def _type(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    comment = {"comment": row["comment"]}
    if row["kind"] == "e":
        yield Key(Kind.ENUM, row["schema"], None, row["name"]), {"labels": tuple(row["labels"]), **comment}
        for label in row["labels"]:
            yield Key(Kind.ENUM_LABEL, row["schema"], row["name"], label), {}
    elif row["kind"] == "d":
        checks = (_only(f"ALTER TABLE t ADD CONSTRAINT c {check}", Kind.CONSTRAINT) for check in row["checks"])
        yield (
            Key(Kind.DOMAIN, row["schema"], None, row["name"]),
            {
                "type": type_from(row["base"]) or row["base"],
                "nullable": not row["required"],
                "checks": frozenset(check.get("expression", frozenset()) for check in checks),
                **comment,
            },
        )
    else:
        attributes = (attribute.partition(" ") for attribute in row["attributes"])
        shown = tuple((name, type_from(of) or of) for name, _, of in attributes)
        yield Key(Kind.TYPE, row["schema"], None, row["name"]), {"attributes": shown, **comment}


def _function(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    inputs = ", ".join(type_from(i, modified=False) or i for i in row["inputs"])
    returns = row["returns"]
    yield (
        Key(Kind.FUNCTION, row["schema"], None, f"{row['name']}({inputs})"),
        {
            "body": " ".join((row["body"] or "").split()),
            "language": row["language"],
            "returns": (type_from(returns) or returns) if returns else None,
            "comment": row["comment"],
        },
    )


def _trigger(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    facts = _only(row["definition"], Kind.TRIGGER)
    key = Key(Kind.TRIGGER, row["schema"], row["table"], row["name"])
    yield key, {**facts, "enabled": row["enabled"], "comment": row["comment"]}


def _policy(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    yield (
        Key(Kind.POLICY, row["schema"], row["table"], row["name"]),
        {
            "command": row["command"],
            "permissive": row["permissive"],
            "using": expression(row["using"]) if row["using"] else None,
            "check": expression(row["check"]) if row["check"] else None,
            "comment": row["comment"],
        },
    )


def _grant(row: dict[str, Any]) -> Iterator[tuple[Key, Facts]]:
    yield Key(Kind.GRANT, row["schema"], row["table"], f"{row['privilege']} to {row['role']}"), {}


def _only(ddl: str, kind: Kind) -> Facts:
    """The facts of the one object of that kind that `ddl` creates; none where the reader cannot tell."""
    created = (e for e in Reader().read(ddl) if isinstance(e, Create) and e.key.kind is kind)
    return next((effect.facts for effect in created), {})
