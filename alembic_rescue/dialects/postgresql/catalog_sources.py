"""What each catalog of PostgreSQL holds: which rows are objects, what they are called, and which columns are facts.

A column that is named nowhere here is a fact by the general rule of `catalog_columns`; so is one that a later
PostgreSQL adds, and so are the rows of a catalog that has no entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST_OF_USERS = 16384
"""The first oid that is not the server's own (``FirstNormalObjectId``)."""

WHOLE = "*"
"""In place of an oid: all rows of a catalog that is read whole."""

TABLE = """
  JOIN pg_class r ON r.oid = {0} AND r.relpersistence <> 't' JOIN pg_namespace rn ON rn.oid = r.relnamespace"""
TABLE_NAME = "quote_ident(rn.nspname) || '.' || quote_ident(r.relname)"


@dataclass(frozen=True)
class Source:
    """A catalog whose rows are objects.  In all SQL here the catalog goes by ``x``."""

    catalog: str
    name_column: str = ""
    """The bare name, by which the live database is searched.  Empty: all rows are looked at, there are not many."""
    address: str = ""
    """The catalog by which ``pg_depend`` and the comments know the object, where it is not `catalog`."""
    view: str = ""
    """The view to read in place of the catalog, which not everybody may read."""
    key: str = "x.oid"
    """What tells the rows apart, next to `address`."""
    own: str = f"x.oid >= {FIRST_OF_USERS}"
    """Which rows are not the server's own."""
    where: str = "true"
    """Which rows are objects at all."""
    joins: str = ""
    kind: str = "i.type"
    name: str = "i.identity"
    parent_catalog: str = ""
    parent_oid: str = "NULL"
    parent: str = "''"
    facts: Mapping[str, str] = field(default_factory=dict)
    """The facts that have SQL of their own.  The value of one whose name ends in a blank or a dot is an object of
    JSON, and each of its keys makes a fact."""
    left_out: str = ""
    """The columns that are no facts, or are among `facts`."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Columns that are facts of some rows only: the columns, and of which."""
    merged: Mapping[str, str] = field(default_factory=dict)
    """Catalogs with at most one row for each of these, whose columns are facts as well: their alias, and their key."""
    tree_relation: str = "0"
    privileges: str = ""
    """The kind of object as ``acldefault`` has it, for catalogs with privileges: SQL."""
    whole: bool = False
    """Read whole whenever it is looked at: few rows, and not everybody may see which of them changed."""
    selected_by: tuple[str, str] | None = None
    """A catalog whose objects its rows are read with, and the column that refers to it."""

    @property
    def known_as(self) -> str:
        """The first half of the address of its objects."""
        return self.address or self.catalog

    @property
    def read_with(self) -> str:
        """The catalog whose objects its rows are read with."""
        return self.selected_by[0] if self.selected_by else self.known_as

    @property
    def relation(self) -> str:
        """What to read from."""
        return self.view or self.catalog


_ALWAYS = "'pg_namespace'::regclass, 'pg_database'::regclass"


@dataclass(frozen=True)
class Part:
    """A catalog whose rows are facts of objects of other catalogs."""

    catalog: str
    key: str
    catalog_of_owner: str
    """SQL for the oid of the catalog that the owner is in."""
    owner: str
    """SQL for the owner's oid."""
    facts: str
    """SQL for an object of JSON."""
    column: str = "0"
    where: str = "true"
    joins: str = ""
    grouped: bool = False
    """Several rows make one owner's facts."""

    @property
    def own(self) -> str:
        """Which rows are of objects that are read whole or are not the server's own."""
        return f"({self.owner} >= {FIRST_OF_USERS} OR {self.catalog_of_owner} IN ({_ALWAYS}))"


@dataclass(frozen=True)
class Hint:
    """Rows that are no objects or parts themselves, but whose change is one of an object."""

    catalog: str
    key: str
    owner_catalog: str
    owner: str
    joins: str = ""
    where: str = "true"


def _definition(call: str, words: str) -> str:
    """The definition with an asterisk in place of the object's own name, which is not a part of what it is."""
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
"""As the server writes the options of an index into its definition.  They are facts by themselves."""
_INDEX = (
    "overlay(pg_get_indexdef(x.oid) placing '*' from CASE WHEN ix.indisunique THEN 21 ELSE 14 END"
    " for length(quote_ident(x.relname)))"
)
_OPTIONS = "CASE WHEN {0} IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest({0}) o) END"
_OBJECT = "(SELECT json_object_agg(split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) FROM unnest({}) o)"

SOURCES: tuple[Source, ...] = (
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
            "options": f"CASE WHEN x.relkind <> 'v' THEN {_OPTIONS.format('x.reloptions')} END",
            "options of TOAST": "CASE WHEN x.reltoastrelid <> 0 THEN (SELECT "
            + _OPTIONS.format("t.reloptions")
            + " FROM pg_class t WHERE t.oid = x.reltoastrelid) END",
            "view options": f"CASE WHEN x.relkind = 'v' THEN {_OPTIONS.format('x.reloptions')} END",
            "partition key": "CASE WHEN x.relkind = 'p' THEN pg_get_partkeydef(x.oid) END",
            "persistence": "nullif(x.relpersistence::text, 'p')",
            "replica identity": "CASE WHEN x.relkind IN ('r', 'p') THEN nullif(x.relreplident::text, 'd')"
            " WHEN ix.indisreplident THEN 'i' END",
            "statistics target": "CASE WHEN ix.indexprs IS NOT NULL THEN (SELECT string_agg(a.attnum || '=' ||"
            " a.attstattarget, ', ' ORDER BY a.attnum) FROM pg_attribute a"
            " WHERE a.attrelid = x.oid AND a.attstattarget >= 0) END",
        },
        left_out="relname relnamespace reltype relfilenode relpages reltuples relallvisible relallfrozen reltoastrelid"
        " relhasindex relisshared relnatts relchecks relhasrules relhastriggers relhassubclass relispopulated relrewrite"
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
            "options.": f"CASE WHEN x.attoptions IS NOT NULL THEN {_OBJECT.format('x.attoptions')} END",
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
        left_out="conname connamespace contype condeferrable condeferred conenforced conrelid contypid conindid conparentid"
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
            "typlen typbyval typcategory typispreferred typdelim typsubscript typelem typinput typoutput typreceive typsend"
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
        left_out="tgrelid tgparentid tgname tgfoid tgtype tgisinternal tgconstrrelid tgconstrindid tgconstraint tgdeferrable"
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
    Source("pg_publication", "pubname", left_out="pubname"),
    Source(
        "pg_publication_rel",
        joins=TABLE.format("x.prrelid"),
        tree_relation="x.prrelid",
        left_out="prpubid prrelid",
        parent_catalog="pg_class",
        parent_oid="x.prrelid",
        parent=TABLE_NAME,
    ),
    Source("pg_publication_namespace", left_out="pnpubid pnnspid"),
    Source("pg_default_acl", left_out="defaclrole defaclnamespace defaclobjtype", privileges="NULL"),
    Source("pg_largeobject_metadata", address="pg_largeobject", privileges="'L'"),
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
        left_out="roleid member grantor",
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
        facts={"setting ": _OBJECT.format("x.setconfig")},
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
        name="CASE x.umuser WHEN 0 THEN 'public' ELSE x.umuser::regrole::text END || ' on server ' || quote_ident(x.srvname)",
        parent_catalog="pg_foreign_server",
        parent_oid="x.srvid",
        parent="quote_ident(x.srvname)",
        facts={
            "options": "(SELECT string_agg(CASE WHEN starts_with(o, 'user=') THEN o ELSE split_part(o, '=', 1) END, ', '"
            " ORDER BY o) FROM unnest(x.umoptions) o)"
        },
        left_out="umid srvid srvname umuser usename umoptions",
        whole=True,
    ),
)

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
        "json_build_object('parents', string_agg(i.identity || CASE WHEN {inhdetachpending} THEN ' (detached)' ELSE '' END,"
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
