"""The catalogs whose rows are facts of objects in other catalogs, or show that such facts have changed."""

from __future__ import annotations

from alembic_rescue.dialects.postgresql.catalog_shape import Hint, Part

_CLASS = "'pg_class'::regclass"

PARTS: tuple[Part, ...] = (
    Part(
        "pg_description",
        "x.classoid || '.' || x.objoid || '.' || x.objsubid",
        "x.classoid",
        "x.objoid",
        "json_build_object('comment', x.description)",
        "x.objsubid",
    ),
    Part(
        "pg_shdescription",
        "x.classoid || '.' || x.objoid",
        "x.classoid",
        "x.objoid",
        "json_build_object('comment', x.description)",
    ),
    Part(
        "pg_seclabel",
        "x.classoid || '.' || x.objoid || '.' || x.objsubid || x.provider",
        "x.classoid",
        "x.objoid",
        "json_build_object('security label of ' || x.provider, x.label)",
        "x.objsubid",
    ),
    Part(
        "pg_shseclabel",
        "x.classoid || '.' || x.objoid || '.' || x.provider",
        "x.classoid",
        "x.objoid",
        "json_build_object('security label of ' || x.provider, x.label)",
    ),
    Part(
        "pg_inherits",
        "x.inhrelid || '.' || x.inhparent",
        _CLASS,
        "x.inhrelid",
        "json_build_object('parents', string_agg(i.identity"
        " || CASE WHEN {inhdetachpending} THEN ' (detached)' ELSE '' END,"
        " ', ' ORDER BY x.inhseqno))",
        joins=f", pg_identify_object({_CLASS}, x.inhparent, 0) i",
        grouped=True,
    ),
    Part(
        "pg_ts_config_map",
        "x.mapcfg || '.' || x.maptokentype || '.' || x.mapseqno",
        "'pg_ts_config'::regclass",
        "x.mapcfg",
        "json_object_agg('mapping of ' || x.maptokentype || ', ' || x.mapseqno, i.identity)",
        joins=", pg_identify_object('pg_ts_dict'::regclass, x.mapdict, 0) i",
        grouped=True,
    ),
    Part(
        "pg_subscription_rel",
        "x.srsubid || '.' || x.srrelid",
        "'pg_subscription'::regclass",
        "x.srsubid",
        "json_object_agg('table ' || i.identity, 'true')",
        joins=f", pg_identify_object({_CLASS}, x.srrelid, 0) i",
        grouped=True,
    ),
    Part(
        "pg_depend",
        "x.objid || '.' || x.refobjid || '.' || x.refobjsubid",
        _CLASS,
        "x.objid",
        "json_build_object('owned by', i.identity)",
        where=f"x.classid = {_CLASS} AND x.refclassid = {_CLASS} AND x.refobjsubid > 0 AND x.deptype IN ('a', 'i')"
        " AND s.relkind = 'S'",
        joins=f" JOIN pg_class s ON s.oid = x.objid, pg_identify_object({_CLASS}, x.refobjid, x.refobjsubid) i",
    ),
    Part(
        "pg_depend",
        "x.classid || '.' || x.objid || '.' || x.refobjid",
        "x.classid",
        "x.objid",
        "json_object_agg('depends on extension ' || e.extname, 'true')",
        where="x.deptype = 'x' AND x.refclassid = 'pg_extension'::regclass",
        joins=" JOIN pg_extension e ON e.oid = x.refobjid",
        grouped=True,
    ),
    Part(
        "pg_constraint",
        "x.oid",
        _CLASS,
        "x.conrelid",
        "json_build_object('not null', 'not valid')",
        "x.conkey[1]",
        where="x.contype = 'n' AND NOT x.convalidated AND x.conrelid <> 0",
    ),
)

HINTS: tuple[Hint, ...] = (
    Hint(
        "pg_depend",
        "x.classid || '.' || x.objid || '.' || x.refobjid",
        "x.classid::regclass::text",
        "x.objid",
        where="x.deptype = 'e'",
    ),
    Hint("pg_index", "x.indexrelid", "'pg_class'", "x.indexrelid"),
    Hint("pg_sequence", "x.seqrelid", "'pg_class'", "x.seqrelid"),
    Hint("pg_partitioned_table", "x.partrelid", "'pg_class'", "x.partrelid"),
    Hint("pg_foreign_table", "x.ftrelid", "'pg_class'", "x.ftrelid"),
    Hint("pg_range", "x.rngtypid", "'pg_type'", "x.rngtypid"),
    Hint("pg_aggregate", "x.aggfnoid::oid", "'pg_proc'", "x.aggfnoid::oid"),
    Hint("pg_class", "x.oid", "'pg_class'", "t.oid", " JOIN pg_class t ON t.reltoastrelid = x.oid", "x.relkind = 't'"),
    Hint("pg_class", "x.oid", "'pg_type'", "x.reltype", "", "x.relkind = 'c'"),
    Hint("pg_rewrite", "x.oid", "'pg_class'", "x.ev_class", "", "x.rulename = '_RETURN'"),
    Hint("pg_trigger", "x.oid", "'pg_constraint'", "x.tgconstraint", "", "x.tgisinternal AND x.tgconstraint <> 0"),
    Hint("pg_constraint", "x.oid", "'pg_class'", "x.conrelid", "", "x.contype = 'n' AND x.conrelid <> 0"),
)
