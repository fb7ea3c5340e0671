"""All catalogs whose rows are objects."""

from __future__ import annotations

from alembic_rescue.dialects.postgresql.catalog_relations import RELATIONS
from alembic_rescue.dialects.postgresql.catalog_shape import FIRST_OF_USERS, OPTION_BY_OPTION, TABLE, TABLE_NAME, Source

SOURCES: tuple[Source, ...] = (
    *RELATIONS,
    Source("pg_language", "lanname", left_out="lanname", privileges="'l'"),
    Source("pg_extension", "extname", left_out="extname extrelocatable extconfig extcondition"),
    Source("pg_cast"),
    Source("pg_operator", "oprname", left_out="oprname oprnamespace"),
    Source("pg_opclass", "opcname", left_out="opcname opcnamespace"),
    Source("pg_opfamily", "opfname", left_out="opfname opfnamespace"),
    Source(
        "pg_amop",
        parent_catalog="pg_opfamily",
        parent_oid="x.amopfamily",
        parent="(SELECT p.identity FROM pg_identify_object('pg_opfamily'::regclass, x.amopfamily, 0) p)",
    ),
    Source(
        "pg_amproc",
        parent_catalog="pg_opfamily",
        parent_oid="x.amprocfamily",
        parent="(SELECT p.identity FROM pg_identify_object('pg_opfamily'::regclass, x.amprocfamily, 0) p)",
    ),
    Source("pg_am", "amname", left_out="amname"),
    Source("pg_collation", "collname", left_out="collname collnamespace collversion"),
    Source("pg_conversion", "conname", left_out="conname connamespace"),
    Source("pg_transform"),
    Source("pg_ts_parser", "prsname", left_out="prsname prsnamespace"),
    Source("pg_ts_template", "tmplname", left_out="tmplname tmplnamespace"),
    Source("pg_ts_dict", "dictname", left_out="dictname dictnamespace"),
    Source("pg_ts_config", "cfgname", left_out="cfgname cfgnamespace"),
    Source("pg_foreign_data_wrapper", "fdwname", left_out="fdwname", privileges="'F'"),
    Source("pg_foreign_server", "srvname", left_out="srvname", privileges="'S'"),
    Source("pg_event_trigger", "evtname", left_out="evtname"),
    Source(
        "pg_publication",
        "pubname",
        facts={  # a feature that older servers lack is a fact only if it differs from their behaviour
            "generated columns": "nullif({pubgencols}::text, 'n')",
            "by root": "nullif({pubviaroot}::boolean, false)::text",
        },
        left_out="pubname pubgencols pubviaroot",
    ),
    Source(
        "pg_publication_rel",
        joins=TABLE.format("x.prrelid"),
        facts={
            "columns": "CASE WHEN {prattrs} IS NOT NULL THEN (SELECT string_agg(quote_ident(a.attname), ', '"
            " ORDER BY a.attname) FROM pg_attribute a WHERE a.attrelid = x.prrelid AND a.attnum = ANY ({prattrs})) END"
        },
        tree_relation="x.prrelid",
        left_out="prpubid prrelid prattrs",
        parent_catalog="pg_class",
        parent_oid="x.prrelid",
        parent=TABLE_NAME,
    ),
    Source("pg_publication_namespace", left_out="pnpubid pnnspid"),
    Source("pg_default_acl", left_out="defaclrole defaclnamespace defaclobjtype", privileges="NULL"),
    Source("pg_largeobject_metadata", where="false", address="pg_largeobject"),  # rows in all but name: data
    Source("pg_tablespace", "spcname", left_out="spcname", privileges="'t'"),
    Source("pg_parameter_acl", "parname", left_out="parname", privileges="NULL"),
    Source(
        "pg_database",
        own="true",
        where="x.datname = current_database()",
        name="'current'",
        whole=True,
        left_out="datname datcollversion datlastsysoid dathasloginevt",
        privileges="'d'",
    ),
    Source(
        "pg_authid",
        view="pg_roles",
        where="NOT starts_with(x.rolname::text, 'pg_')",
        kind="'role'",
        name="quote_ident(x.rolname)",
        whole=True,
        left_out="rolname rolpassword rolconfig",
    ),
    Source(
        "pg_auth_members",
        key="x.roleid || '.' || x.member || '.' || x.grantor",
        kind="'role membership'",
        own=f"(x.roleid >= {FIRST_OF_USERS} OR x.member >= {FIRST_OF_USERS})",
        name="x.member::regrole || ' in ' || x.roleid::regrole || ' by ' || x.grantor::regrole",
        facts={
            "inherits": "nullif({inherit_option}::boolean, m.rolinherit)::text",
            "may set": "nullif({set_option}::boolean, true)::text",
        },
        joins=" JOIN pg_roles m ON m.oid = x.member",
        left_out="roleid member grantor inherit_option set_option",
        whole=True,
    ),
    Source(
        "pg_db_role_setting",
        key="x.setdatabase || '.' || x.setrole",
        own="true",
        kind="'settings'",
        where="x.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))",
        name="CASE x.setrole WHEN 0 THEN 'of all roles' ELSE 'of ' || x.setrole::regrole END"
        " || CASE x.setdatabase WHEN 0 THEN ' everywhere' ELSE ' in current' END",
        facts={"setting ": OPTION_BY_OPTION.format("x.setconfig")},
        left_out="setdatabase setrole setconfig",
        whole=True,
    ),
    Source(
        "pg_subscription",
        own="true",
        where="x.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        whole=True,
        left_out="subname subdbid subskiplsn subconninfo",
    ),
    Source(
        "pg_user_mapping",
        view="pg_user_mappings",
        key="x.umid",
        own="true",
        kind="'user mapping'",
        name="CASE x.umuser WHEN 0 THEN 'public' ELSE x.umuser::regrole::text END"
        " || ' on server ' || quote_ident(x.srvname)",
        parent_catalog="pg_foreign_server",
        parent_oid="x.srvid",
        parent="quote_ident(x.srvname)",
        facts={
            "options": "(SELECT string_agg(CASE WHEN starts_with(o, 'user=') THEN o ELSE split_part(o, '=', 1) END,"
            " ', ' ORDER BY o) FROM unnest(x.umoptions) o)"
        },
        left_out="umid srvid srvname umuser usename umoptions",
        whole=True,
    ),
)
