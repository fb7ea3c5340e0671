"""The catalogs of relations and types, and of what belongs to them."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

from alembic_rescue.dialects.postgresql.catalog_shape import (
    FIRST_OF_USERS,
    OPTION_BY_OPTION,
    OPTIONS,
    TABLE,
    TABLE_NAME,
    Source,
)


def _definition(call: str, words: str) -> str:
    """Return SQL for the definition with an asterisk instead of the object's own name."""
    name = r'("([^"]|"")*"|[^ "]+)+'  # with its schema or without
    return rf"regexp_replace({call}, '^(CREATE {words}){name} ', '\1* ')"


_SEQUENCE_OWNER = """
  LEFT JOIN pg_depend si ON x.relkind = 'S' AND si.classid = 'pg_class'::regclass AND si.objid = x.oid
   AND si.refclassid = 'pg_class'::regclass AND si.deptype = 'i'"""
_INDEX_OF = """
  LEFT JOIN pg_depend ci ON x.relkind IN ('i', 'I') AND ci.classid = 'pg_class'::regclass AND ci.objid = x.oid
   AND ci.refclassid = 'pg_constraint'::regclass AND ci.deptype = 'i'"""
_WITH = (
    "coalesce(' WITH (' || (SELECT string_agg(quote_ident(split_part(o, '=', 1)) || '=' || CASE v WHEN quote_ident(v)"
    " THEN v ELSE quote_literal(v) END, ', ' ORDER BY n) FROM unnest({}) WITH ORDINALITY u(o, n),"
    " substr(o, strpos(o, '=') + 1) v) || ')', '')"
)
"""The options of an index as the server writes them into its definition.  They are separate facts."""
_INDEX = (
    "overlay(pg_get_indexdef(x.oid) placing '*' from CASE WHEN ix.indisunique THEN 21 ELSE 14 END"
    " for length(quote_ident(x.relname)))"
)

RELATIONS: tuple[Source, ...] = (
    Source(
        "pg_namespace",
        "nspname",
        own=f"(x.oid >= {FIRST_OF_USERS} OR x.oid = 2200)",  # public
        where="NOT starts_with(x.nspname::text, 'pg_temp_') AND NOT starts_with(x.nspname::text, 'pg_toast')",
        left_out="nspname",
        privileges="'n'",
    ),
    Source(
        "pg_class",
        "relname",
        where="x.relkind NOT IN ('t', 'c') AND x.relpersistence <> 't' AND x.relnamespace <> 'pg_toast'::regnamespace",
        joins=_SEQUENCE_OWNER + _INDEX_OF + " LEFT JOIN pg_class r ON r.oid = coalesce(ix.indrelid, si.refobjid)"
        " LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace LEFT JOIN pg_constraint k ON k.oid = ci.refobjid"
        " LEFT JOIN pg_am am ON am.oid = x.relam"
        " LEFT JOIN pg_class t ON t.oid = x.reltoastrelid AND t.reloptions IS NOT NULL",
        parent_catalog="pg_class",
        parent_oid="r.oid",
        parent=f"coalesce({TABLE_NAME}, '')",
        facts={
            "definition": "CASE WHEN x.relkind IN ('v', 'm') THEN pg_get_viewdef(x.oid)"
            f" WHEN x.relkind IN ('i', 'I') THEN CASE WHEN x.reloptions IS NULL THEN {_INDEX}"
            f" ELSE replace({_INDEX}, {_WITH.format('x.reloptions')}, '') END END",
            "constraint": "k.contype::text",
            "access method": "CASE WHEN x.relkind NOT IN ('i', 'I') THEN nullif(am.amname, 'heap') END",
            "tablespace": "CASE WHEN x.reltablespace <> 0 THEN"
            " (SELECT spcname FROM pg_tablespace WHERE oid = x.reltablespace) END",
            "options": f"CASE WHEN x.relkind <> 'v' THEN {OPTIONS.format('x.reloptions')} END",
            "options of TOAST": "CASE WHEN x.reltoastrelid <> 0 THEN (SELECT "
            + OPTIONS.format("t.reloptions")
            + " FROM pg_class t WHERE t.oid = x.reltoastrelid) END",
            "view options": f"CASE WHEN x.relkind = 'v' THEN {OPTIONS.format('x.reloptions')} END",
            "partition key": "CASE WHEN x.relkind = 'p' THEN pg_get_partkeydef(x.oid) END",
            "persistence": "nullif(x.relpersistence::text, 'p')",
            "replica identity": "CASE WHEN x.relkind IN ('r', 'p') THEN nullif(x.relreplident::text, 'd')"
            " WHEN ix.indisreplident THEN 'i' END",
            "statistics target": "CASE WHEN ix.indexprs IS NOT NULL THEN (SELECT string_agg(a.attnum || '=' ||"
            " a.attstattarget, ', ' ORDER BY a.attnum) FROM pg_attribute a"
            " WHERE a.attrelid = x.oid AND a.attstattarget >= 0) END",
        },
        left_out="relname relnamespace reltype relfilenode relpages reltuples relallvisible relallfrozen reltoastrelid"
        " relhasindex relisshared relnatts relchecks relhasrules relhastriggers relhassubclass relispopulated"
        " relrewrite"
        " relkind relam reltablespace reloptions relpersistence relreplident"
        " indexrelid indrelid indnatts indnkeyatts indkey indcollation indclass indoption indexprs indpred indcheckxmin"
        " indisunique indnullsnotdistinct indisprimary indisreplident indislive"
        " seqrelid partrelid partstrat partnatts partdefid partattrs partclass partcollation partexprs ftrelid",
        only={"relowner": "x.relkind NOT IN ('i', 'I')"},
        merged={
            "pg_index": "ix.indexrelid",
            "pg_sequence": "sq.seqrelid",
            "pg_partitioned_table": "pt.partrelid",
            "pg_foreign_table": "ft.ftrelid",
        },
        tree_relation="x.oid",
        privileges="CASE WHEN x.relkind = 'S' THEN 's' ELSE 'r' END::\"char\"",
    ),
    Source(
        "pg_attribute",
        key="x.attrelid || '.' || x.attnum",
        own=f"x.attrelid >= {FIRST_OF_USERS}",
        where="x.attnum > 0 AND NOT x.attisdropped AND r.relkind NOT IN ('i', 'I', 't', 'S')",
        joins=TABLE.format("x.attrelid") + " JOIN pg_type ty ON ty.oid = x.atttypid",
        kind="CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'"
        " WHEN 'c' THEN 'composite type' ELSE 'table' END || ' column'",
        name=f"{TABLE_NAME} || '.' || quote_ident(x.attname)",
        parent_catalog="pg_class",
        parent_oid="x.attrelid",
        parent=TABLE_NAME,
        facts={
            "type": "format_type(x.atttypid, x.atttypmod)",
            "collation": "CASE WHEN x.attcollation NOT IN (0, ty.typcollation) THEN (SELECT c.identity"
            " FROM pg_identify_object('pg_collation'::regclass, x.attcollation, 0) c) END",
            "storage": "CASE WHEN x.attstorage <> ty.typstorage THEN x.attstorage::text END",
            "statistics target": "CASE WHEN x.attstattarget >= 0 THEN x.attstattarget::text END",
            "options.": f"CASE WHEN x.attoptions IS NOT NULL THEN {OPTION_BY_OPTION.format('x.attoptions')} END",
            "inherited": "nullif(x.attinhcount, 0)::text",
            "defined here": "CASE WHEN x.attinhcount > 0 AND x.attislocal THEN 'true' END",
        },
        left_out="attrelid attname atttypid attlen attnum atttypmod attndims attbyval attalign attstorage atthasdef"
        " atthasmissing attisdropped attislocal attinhcount attcollation attstattarget attoptions attcacheoff"
        " attmissingval",
        privileges="'c'",
        selected_by=("pg_class", "x.attrelid"),
    ),
    Source(
        "pg_attrdef",
        own=f"x.adrelid >= {FIRST_OF_USERS}",
        joins=TABLE.format("x.adrelid"),
        parent_catalog="pg_class",
        parent_oid="x.adrelid",
        parent=TABLE_NAME,
        facts={"default": "pg_get_expr(x.adbin, x.adrelid)"},
        left_out="adrelid adnum adbin adsrc",
    ),
    Source(
        "pg_constraint",
        "conname",
        where="x.contype NOT IN ('n', 't') AND r.relpersistence IS DISTINCT FROM 't'",
        joins=" LEFT JOIN pg_class r ON r.oid = x.conrelid LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace"
        " LEFT JOIN pg_type d ON d.oid = x.contypid LEFT JOIN pg_namespace dn ON dn.oid = d.typnamespace",
        parent_catalog="CASE WHEN x.conrelid <> 0 THEN 'pg_class' ELSE 'pg_type' END",
        parent_oid="coalesce(nullif(x.conrelid, 0), x.contypid)",
        parent=f"CASE WHEN x.conrelid <> 0 THEN {TABLE_NAME}"
        " ELSE quote_ident(dn.nspname) || '.' || quote_ident(d.typname) END",
        facts={
            "definition": "regexp_replace(CASE x.contype WHEN 'x' THEN replace(pg_get_constraintdef(x.oid), "
            + _WITH.format("(SELECT reloptions FROM pg_class WHERE oid = x.conindid)")
            + ", '') ELSE pg_get_constraintdef(x.oid) END, ' NOT VALID$', '')",
            "enabled": "CASE WHEN x.contype = 'f' THEN (SELECT nullif(string_agg(DISTINCT t.tgenabled::text, ''), 'O')"
            " FROM pg_trigger t WHERE t.tgconstraint = x.oid AND t.tgisinternal) END",
            "attached": "CASE WHEN x.conparentid <> 0 THEN 'true' END",
            "inherited": "nullif(x.coninhcount, 0)::text",
            "defined here": "CASE WHEN x.coninhcount > 0 AND x.conislocal THEN 'true' END",
        },
        left_out="conname connamespace contype condeferrable condeferred conenforced conrelid contypid conindid"
        " conparentid"
        " confrelid confupdtype confdeltype confmatchtype conislocal coninhcount connoinherit conperiod conkey confkey"
        " conpfeqop conppeqop conffeqop confdelsetcols conexclop conbin consrc",
    ),
    Source(
        "pg_type",
        "typname",
        where="(x.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = x.typrelid AND c.relkind = 'c'))"
        " AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = x.oid)"
        " AND NOT starts_with((SELECT nspname::text FROM pg_namespace WHERE oid = x.typnamespace), 'pg_temp_')",
        facts={
            "type": "CASE WHEN x.typbasetype <> 0 THEN format_type(x.typbasetype, x.typtypmod) END",
            "default": "coalesce(pg_get_expr(x.typdefaultbin, 0), x.typdefault)",
            "collation": "CASE WHEN x.typcollation <> 0 THEN (SELECT c.identity"
            " FROM pg_identify_object('pg_collation'::regclass, x.typcollation, 0) c) END",
            "labels": "CASE WHEN x.typtype = 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', '"
            " ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = x.oid) END",
        },
        left_out="typname typnamespace typrelid typarray typbasetype typtypmod typndims typdefaultbin typdefault"
        " typcollation typisdefined rngtypid rngmultitypid",
        only={
            "typlen typbyval typcategory typispreferred typdelim typsubscript typelem typinput typoutput typreceive"
            " typsend"
            " typmodin typmodout typanalyze typalign typstorage": "x.typtype = 'b'",
        },
        merged={"pg_range": "rg.rngtypid"},
        privileges="'T'",
    ),
    Source(
        "pg_enum",
        own=f"x.enumtypid >= {FIRST_OF_USERS}",
        joins=" JOIN pg_type d ON d.oid = x.enumtypid JOIN pg_namespace dn ON dn.oid = d.typnamespace",
        kind="'enum label'",
        name="quote_ident(dn.nspname) || '.' || quote_ident(d.typname) || '.' || quote_ident(x.enumlabel)",
        parent_catalog="pg_type",
        parent_oid="x.enumtypid",
        parent="quote_ident(dn.nspname) || '.' || quote_ident(d.typname)",
        left_out="enumtypid enumsortorder enumlabel",
        selected_by=("pg_type", "x.enumtypid"),
    ),
    Source(
        "pg_proc",
        "proname",
        facts={
            "definition": "CASE WHEN x.prokind <> 'a' THEN pg_get_functiondef(x.oid) END",
            "arguments": "CASE WHEN x.prokind = 'a' THEN pg_get_function_arguments(x.oid) END",
            "result": "CASE WHEN x.prokind = 'a' THEN pg_get_function_result(x.oid) END",
        },
        left_out="proname pronamespace prolang procost prorows provariadic prosecdef proleakproof proretset"
        " pronargs pronargdefaults prorettype proargtypes proallargtypes proargmodes proargnames proargdefaults"
        " protrftypes prosrc probin prosqlbody proconfig aggfnoid",
        only={"proisstrict provolatile proparallel prosupport": "x.prokind = 'a'"},
        merged={"pg_aggregate": "ag.aggfnoid"},
        privileges="'f'",
    ),
    Source(
        "pg_trigger",
        "tgname",
        where="NOT x.tgisinternal",
        joins=TABLE.format("x.tgrelid"),
        parent_catalog="pg_class",
        parent_oid="x.tgrelid",
        parent=TABLE_NAME,
        facts={
            "definition": _definition("pg_get_triggerdef(x.oid)", "(?:CONSTRAINT )?TRIGGER "),
            "attached": "CASE WHEN {tgparentid} <> 0 THEN 'true' END",
        },
        left_out="tgrelid tgparentid tgname tgfoid tgtype tgisinternal tgconstrrelid tgconstrindid tgconstraint"
        " tgdeferrable"
        " tginitdeferred tgnargs tgattr tgargs tgqual tgoldtable tgnewtable",
    ),
    Source(
        "pg_rewrite",
        "rulename",
        where="x.rulename <> '_RETURN'",
        joins=TABLE.format("x.ev_class"),
        parent_catalog="pg_class",
        parent_oid="x.ev_class",
        parent=TABLE_NAME,
        facts={"definition": _definition("pg_get_ruledef(x.oid)", "RULE ")},
        left_out="rulename ev_class ev_type is_instead ev_qual ev_action",
    ),
    Source(
        "pg_policy",
        "polname",
        joins=TABLE.format("x.polrelid"),
        parent_catalog="pg_class",
        parent_oid="x.polrelid",
        parent=TABLE_NAME,
        facts={
            "roles": "(SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE o::regrole::text END, ', '"
            " ORDER BY o::regrole::text) FROM unnest(x.polroles) o)",
        },
        left_out="polname polrelid polroles",
        tree_relation="x.polrelid",
    ),
    Source(
        "pg_statistic_ext",
        "stxname",
        joins=TABLE.format("x.stxrelid"),
        parent_catalog="pg_class",
        parent_oid="x.stxrelid",
        parent=TABLE_NAME,
        facts={
            "definition": _definition("pg_get_statisticsobjdef(x.oid)", "STATISTICS "),
            "statistics target": "CASE WHEN {stxstattarget} >= 0 THEN {stxstattarget}::text END",
        },
        left_out="stxrelid stxname stxnamespace stxkeys stxkind stxexprs stxstattarget",
    ),
)
