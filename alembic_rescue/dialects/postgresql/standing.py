"""The current state of a database's objects, in a query that any psql can run again: PostgreSQL 12 to 18.

The query names objects as the evidence does, and is the same when the file is written and when it is run.  Unlike the
evidence it has a list of kinds: people read it, and a kind that is not listed is reported as not checked.  Both runs
query the same database, so the catalogs of the rarer kinds are compared as they are, including oids.
"""

# ruff: noqa: S608 - the SQL is made of constants, and of literals that `session` quotes

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.handover import Standing
from alembic_rescue.dialects.postgresql.session import texts, transaction

NOT_ASKED = "its storage (tablespace, compression), its statistics targets and its security labels"
"""What is checked for no object."""
_RELATION = "(CASE WHEN r.relkind = 'S' THEN 's' ELSE 'r' END)::\"char\""
_TYPE, _FUNCTION, _WRAPPER, _SERVER, _LANGUAGE, _SCHEMA = "'T'", "'f'", "'F'", "'S'", "'l'", "'n'"
_TABLE = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
_OWNED = "d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
_NUMBERS = (
    "format('%s from %s by %s between %s and %s, cache %s%s', s.seqtypid::regtype, s.seqstart, s.seqincrement,"
    " s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ', cycle' END)"
)


def _privileges(acl: str, kind: str, owner: str) -> str:
    """Return SQL for the granted privileges, sorted; NULL if they are the defaults."""
    default = f"acldefault({kind}, {owner})"
    granted, usual = (
        f"(SELECT coalesce(string_agg(p::text, ' ' ORDER BY p::text), 'none') FROM unnest({items}) p)"
        for items in (f"coalesce({acl}, {default})", default)
    )
    return f"nullif({granted}, {usual})"


@dataclass(frozen=True)
class Catalog:
    """One catalog's share of the query."""

    title: str
    kinds: frozenset[str]
    """In the evidence's names."""
    query: str
    """With the columns kind, name, parent and facts."""


_OWN = (
    Catalog(
        "tables, views, indexes and sequences",
        frozenset(["table", "view", "materialized-view", "foreign-table", "index", "sequence"]),
        f"""
    SELECT replace(i.type, ' ', '-') AS kind, i.identity AS name,
           (SELECT {_TABLE} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = coalesce(x.indrelid, o.refobjid)) AS parent,
           jsonb_build_object(
             'definition', CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid)
                                WHEN r.relkind IN ('i', 'I') THEN pg_get_indexdef(r.oid)
                                WHEN r.relkind = 'p' THEN 'partitioned by ' || pg_get_partkeydef(r.oid) END,
             'bounds', pg_get_expr(r.relpartbound, r.oid),
             'inherits', (SELECT string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno)
                            FROM pg_inherits h WHERE h.inhrelid = r.oid),
             'type', nullif(r.reloftype, 0)::regtype,
             'numbers', (SELECT {_NUMBERS} FROM pg_sequence s WHERE s.seqrelid = r.oid),
             'owned by', (SELECT format('%s.%s', o.refobjid::regclass, a.attname) FROM pg_attribute a
                           WHERE a.attrelid = o.refobjid AND a.attnum = o.refobjsubid),
             'server', (SELECT v.srvname FROM pg_foreign_table f JOIN pg_foreign_server v ON v.oid = f.ftserver
                         WHERE f.ftrelid = r.oid),
             'foreign options', (SELECT f.ftoptions FROM pg_foreign_table f WHERE f.ftrelid = r.oid),
             'not valid', CASE WHEN NOT x.indisvalid THEN true END,
             'clustered', nullif(x.indisclustered, false),
             'replica identity', CASE WHEN r.relkind IN ('r', 'p') THEN nullif(r.relreplident, 'd')::text
                                     ELSE nullif(x.indisreplident, false)::text END,
             'unlogged', CASE WHEN r.relpersistence = 'u' THEN true END,
             'row security', nullif(r.relrowsecurity, false),
             'forced row security', nullif(r.relforcerowsecurity, false),
             'access method', (SELECT m.amname FROM pg_am m WHERE m.oid = r.relam AND r.relkind IN ('r', 'm')),
             'options', r.reloptions,
             'options of TOAST', (SELECT t.reloptions FROM pg_class t WHERE t.oid = r.reltoastrelid),
             'owner', CASE WHEN r.relkind NOT IN ('i', 'I') THEN r.relowner::regrole END,
             'privileges', CASE WHEN r.relkind NOT IN ('i', 'I') THEN
               {_privileges("r.relacl", _RELATION, "r.relowner")} END,
             'comment', obj_description(r.oid, 'pg_class')) AS facts
      FROM pg_class r CROSS JOIN LATERAL pg_identify_object('pg_class'::regclass, r.oid, 0) i
           LEFT JOIN pg_index x ON x.indexrelid = r.oid
           LEFT JOIN pg_depend d ON r.relkind = 'S' AND d.objid = r.oid AND {_OWNED}
           LEFT JOIN LATERAL (SELECT d.refobjid, d.refobjsubid) o ON true
     WHERE r.oid >= 16384 AND r.relkind NOT IN ('t', 'c') AND r.relpersistence <> 't'""",
    ),
    Catalog(
        "columns",
        frozenset(["column", "attribute"]),
        f"""
    SELECT CASE c.relkind WHEN 'c' THEN 'attribute' ELSE 'column' END,
           {_TABLE} || '.' || quote_ident(a.attname),
           {_TABLE},
           jsonb_build_object(
             'type', format_type(a.atttypid, a.atttypmod),
             'collation', CASE WHEN a.attcollation <> t.typcollation THEN (SELECT o.identity
                  FROM pg_identify_object('pg_collation'::regclass, a.attcollation, 0) o) END,
             'not null', nullif(a.attnotnull, false),
             'identity', CASE WHEN a.attidentity <> '' THEN (SELECT concat(a.attidentity, ' ', {_NUMBERS})
                  FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid
                 WHERE {_OWNED} AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i') END,
             CASE a.attgenerated WHEN '' THEN 'default' ELSE concat('generated ', a.attgenerated) END,
               pg_get_expr(d.adbin, d.adrelid),
             'options', a.attoptions,
             'foreign options', a.attfdwoptions,
             'privileges', (SELECT string_agg(p::text, ' ' ORDER BY p::text) FROM unnest(a.attacl) p),
             'comment', col_description(c.oid, a.attnum))
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't'
       AND a.attnum > 0 AND NOT a.attisdropped""",
    ),
    Catalog(
        "constraints",
        frozenset(["constraint"]),
        f"""
    SELECT 'constraint', i.identity,
           coalesce((SELECT {_TABLE} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = k.conrelid), nullif(k.contypid, 0)::regtype::text),
           jsonb_build_object(
             'definition', pg_get_constraintdef(k.oid),
             'triggers', (SELECT string_agg(DISTINCT g.tgenabled::text, ' ') FROM pg_trigger g
                           WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O'),
             'comment', obj_description(k.oid, 'pg_constraint'))
      FROM pg_constraint k CROSS JOIN LATERAL pg_identify_object('pg_constraint'::regclass, k.oid, 0) i
     WHERE k.oid >= 16384 AND k.contype NOT IN ('n', 't')""",
    ),
    Catalog(
        "types",
        frozenset(["type", "enum"]),
        f"""
    SELECT CASE t.typtype WHEN 'e' THEN 'enum' ELSE i.type END, i.identity, NULL,
           jsonb_build_object(
             'labels', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                          FROM pg_enum e WHERE e.enumtypid = t.oid),
             'base', CASE WHEN t.typbasetype <> 0 THEN format_type(t.typbasetype, t.typtypmod) END,
             'collation', CASE WHEN t.typtype = 'd' THEN t.typcollation END,
             'range', (SELECT to_jsonb(g) FROM pg_range g WHERE g.rngtypid = t.oid),
             'functions', CASE WHEN t.typtype = 'b' THEN concat(t.typinput, ' ', t.typoutput) END,
             'not null', nullif(t.typnotnull, false),
             'default', t.typdefault,
             'owner', t.typowner::regrole,
             'privileges', {_privileges("t.typacl", _TYPE, "t.typowner")},
             'comment', obj_description(t.oid, 'pg_type'))
      FROM pg_type t CROSS JOIN LATERAL pg_identify_object('pg_type'::regclass, t.oid, 0) i
     WHERE t.oid >= 16384 AND (t.typrelid = 0 OR t.typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c'))""",
    ),
    Catalog(
        "labels of enums",
        frozenset(["enum-label"]),
        """
    SELECT 'enum-label', quote_ident(n.nspname) || '.' || quote_ident(t.typname) || '.' || quote_ident(e.enumlabel),
           NULL, '{}'::jsonb
      FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace""",
    ),
    Catalog(
        "functions",
        frozenset(["function", "procedure", "aggregate"]),
        f"""
    SELECT i.type, i.identity, NULL,
           jsonb_build_object(
             'definition', CASE WHEN f.prokind <> 'a' THEN pg_get_functiondef(f.oid)
                                ELSE concat_ws(' ', pg_get_function_result(f.oid), f.proparallel, (SELECT to_jsonb(a)
                                               FROM pg_aggregate a WHERE a.aggfnoid = f.oid)) END,
             'owner', f.proowner::regrole,
             'privileges', {_privileges("f.proacl", _FUNCTION, "f.proowner")},
             'comment', obj_description(f.oid, 'pg_proc'))
      FROM pg_proc f CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, f.oid, 0) i
     WHERE f.oid >= 16384""",
    ),
    Catalog(
        "triggers",
        frozenset(["trigger"]),
        f"""
    SELECT 'trigger', i.identity, {_TABLE},
           jsonb_build_object(
             'definition', pg_get_triggerdef(g.oid),
             'enabled', nullif(g.tgenabled, 'O'),
             'comment', obj_description(g.oid, 'pg_trigger'))
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           CROSS JOIN LATERAL pg_identify_object('pg_trigger'::regclass, g.oid, 0) i
     WHERE NOT g.tgisinternal""",
    ),
    Catalog(
        "policies",
        frozenset(["policy"]),
        f"""
    SELECT 'policy', i.identity, {_TABLE},
           jsonb_build_object(
             'command', p.polcmd,
             'permissive', p.polpermissive,
             'roles', p.polroles::regrole[],
             'using', pg_get_expr(p.polqual, p.polrelid),
             'check', pg_get_expr(p.polwithcheck, p.polrelid),
             'comment', obj_description(p.oid, 'pg_policy'))
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           CROSS JOIN LATERAL pg_identify_object('pg_policy'::regclass, p.oid, 0) i""",
    ),
)
_MORE: Mapping[str, str] = MappingProxyType(
    {
        "access-method": "pg_am",
        "cast": "pg_cast",
        "collation": "pg_collation",
        "conversion": "pg_conversion",
        "default-acl": "pg_default_acl",
        "event-trigger": "pg_event_trigger",
        "extension": "pg_extension",
        "foreign-data-wrapper": "pg_foreign_data_wrapper",
        "language": "pg_language",
        "operator": "pg_operator",
        "operator-class": "pg_opclass",
        "operator-family": "pg_opfamily",
        "publication": "pg_publication",
        "publication-relation": "pg_publication_rel",
        "rule": "pg_rewrite",
        "schema": "pg_namespace",
        "server": "pg_foreign_server",
        "statistics-object": "pg_statistic_ext",
        "text-search-configuration": "pg_ts_config",
        "text-search-dictionary": "pg_ts_dict",
        "text-search-parser": "pg_ts_parser",
        "text-search-template": "pg_ts_template",
        "transform": "pg_transform",
    }
)
"""Kinds with their own catalog, of which all columns are checked."""
_BUT = MappingProxyType(
    {
        "pg_foreign_data_wrapper": "fdwacl",
        "pg_foreign_server": "srvacl",
        "pg_language": "lanacl",
        "pg_namespace": "nspacl",
        "pg_collation": "collversion",
        "pg_rewrite": "ev_action, ev_qual",
        "pg_statistic_ext": "stxstattarget, stxkeys, stxexprs",
    }
)
"""Columns of these catalogs that are not checked."""
_BESIDES = MappingProxyType(
    {
        "pg_foreign_data_wrapper": f"'privileges', {_privileges('x.fdwacl', _WRAPPER, 'x.fdwowner')}",
        "pg_foreign_server": f"'privileges', {_privileges('x.srvacl', _SERVER, 'x.srvowner')}",
        "pg_language": f"'privileges', {_privileges('x.lanacl', _LANGUAGE, 'x.lanowner')}",
        "pg_namespace": f"'privileges', {_privileges('x.nspacl', _SCHEMA, 'x.nspowner')}",
        "pg_rewrite": "'definition', pg_get_ruledef(x.oid)",
        "pg_statistic_ext": "'definition', pg_get_statisticsobjdef(x.oid)",
        "pg_ts_config": """'mappings', (SELECT string_agg(concat_ws(' ', m.maptokentype, m.mapseqno,
               m.mapdict::regdictionary), ', ' ORDER BY m.maptokentype, m.mapseqno)
                  FROM pg_ts_config_map m WHERE m.mapcfg = x.oid)""",
    }
)
"""Additional facts of these catalogs."""
_QUERY = """
    SELECT replace(i.type, ' ', '-'), i.identity, NULL,
           to_jsonb(x) - '{{oid, {but}}}'::text[]
             || jsonb_build_object({besides}'comment', obj_description(x.oid, '{catalog}'))
      FROM {catalog} x CROSS JOIN LATERAL pg_identify_object('{catalog}'::regclass, x.oid, 0) i"""
_NO_CATALOG = (
    "    SELECT NULL::text AS kind, NULL::text AS name, NULL::text AS parent, NULL::jsonb AS facts WHERE false"
)


def _of_catalog(kind: str, catalog: str) -> Catalog:
    besides = f"{_BESIDES[catalog]}, " if catalog in _BESIDES else ""
    query = _QUERY.format(catalog=catalog, but=_BUT.get(catalog, "tableoid"), besides=besides)
    return Catalog(kind.replace("-", " "), frozenset([kind]), query)


CATALOGS = (*_OWN, *(_of_catalog(kind, catalog) for kind, catalog in _MORE.items()))
KINDS = frozenset(kind for catalog in CATALOGS for kind in catalog.kinds)
"""The kinds that can be checked."""


def query_of(kinds: Collection[str]) -> str:
    """Return SQL for all objects of these kinds, each with its parent and facts; the caller filters by name."""
    shares = [f"    -- {catalog.title}{catalog.query}" for catalog in CATALOGS if not catalog.kinds.isdisjoint(kinds)]
    return "\n    UNION ALL\n".join([_NO_CATALOG, *shares])


def read(connection: Connection, names: Collection[str]) -> tuple[Standing, ...]:
    """Read the objects with these names and what belongs to them: see `alembic_rescue.dialects.handover.Scripts`."""
    chosen = texts(names)
    with transaction(connection, lock_timeout="1s") as cursor:
        rows = cursor.rows(
            "SELECT o.kind, o.name, (SELECT jsonb_object_agg(key, value)::text FROM jsonb_each_text(o.facts)"
            f" WHERE value IS NOT NULL) FROM (\n{query_of(KINDS)}\n) o"
            f" WHERE o.name = ANY ({chosen}) OR o.parent = ANY ({chosen}) ORDER BY 1, 2"
        )
    return tuple(Standing(str(kind), str(name), json.loads(str(facts or "{}"))) for kind, name, facts in rows)
