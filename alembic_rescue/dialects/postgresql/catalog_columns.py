"""The columns of the server's catalogs, the catalogs that they reference, and how to read each as text."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alembic_rescue.dialects.cursor import Cursor

_REFERENCES_BEFORE_14 = {
    "pg_am": "pg_amop.amopmethod pg_opclass.opcmethod pg_opfamily.opfmethod",
    "pg_authid": "pg_class.relowner pg_collation.collowner pg_conversion.conowner pg_database.datdba"
    " pg_default_acl.defaclrole pg_event_trigger.evtowner pg_extension.extowner pg_foreign_data_wrapper.fdwowner"
    " pg_foreign_server.srvowner pg_language.lanowner pg_largeobject_metadata.lomowner pg_namespace.nspowner"
    " pg_opclass.opcowner pg_operator.oprowner pg_opfamily.opfowner pg_proc.proowner pg_publication.pubowner"
    " pg_statistic_ext.stxowner pg_subscription.subowner pg_tablespace.spcowner pg_ts_config.cfgowner"
    " pg_ts_dict.dictowner pg_type.typowner",
    "pg_collation": "pg_range.rngcollation",
    "pg_foreign_data_wrapper": "pg_foreign_server.srvfdw",
    "pg_foreign_server": "pg_foreign_table.ftserver",
    "pg_language": "pg_transform.trflang",
    "pg_namespace": "pg_extension.extnamespace",
    "pg_opclass": "pg_range.rngsubopc",
    "pg_operator": "pg_aggregate.aggsortop pg_amop.amopopr pg_operator.oprcom pg_operator.oprnegate",
    "pg_opfamily": "pg_amop.amopfamily pg_amop.amopsortfamily pg_amproc.amprocfamily pg_opclass.opcfamily",
    "pg_proc": "pg_cast.castfunc pg_event_trigger.evtfoid pg_foreign_data_wrapper.fdwhandler"
    " pg_foreign_data_wrapper.fdwvalidator pg_language.laninline pg_language.lanplcallfoid pg_language.lanvalidator",
    "pg_publication": "pg_publication_rel.prpubid",
    "pg_tablespace": "pg_database.dattablespace",
    "pg_ts_parser": "pg_ts_config.cfgparser",
    "pg_ts_template": "pg_ts_dict.dicttemplate",
    "pg_type": "pg_aggregate.aggmtranstype pg_aggregate.aggtranstype pg_amop.amoplefttype pg_amop.amoprighttype"
    " pg_amproc.amproclefttype pg_amproc.amprocrighttype pg_cast.castsource pg_cast.casttarget pg_class.reloftype"
    " pg_opclass.opcintype pg_opclass.opckeytype pg_operator.oprleft pg_operator.oprresult pg_operator.oprright"
    " pg_range.rngsubtype pg_sequence.seqtypid pg_transform.trftype pg_type.typelem",
}
"""For servers before 14, the result of ``pg_get_catalog_foreign_keys()`` for columns that follow the general rule."""

_COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), {target}, {relation},
       has_column_privilege(c.oid, a.attnum, 'SELECT')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid {join}
 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
   AND c.oid < 16384
 ORDER BY c.relname, a.attnum
"""
_FROM_14 = {
    "target": "k.pktable::text",
    "relation": "CASE WHEN cardinality(k.fkcols) = 2 THEN k.fkcols[1] END",
    "join": "LEFT JOIN pg_get_catalog_foreign_keys() k"
    " ON k.fktable = c.oid AND k.fkcols[cardinality(k.fkcols)] = a.attname",
}
_BEFORE_14 = {"target": "NULL", "relation": "NULL", "join": ""}
_FOREIGN_KEYS_PUBLISHED = 140000

_LISTS = frozenset({"oid[]", "oidvector", "smallint[]", "int2vector"})
_NO_FACTS = frozenset({"xid", "pg_lsn", "anyarray", "aclitem[]", "bytea"})
"""Types of columns that are not facts.  Privileges have their own rule; the others change on their own."""


@dataclass(frozen=True)
class Column:
    """A column of a catalog."""

    name: str
    type: str
    target: str | None
    """The catalog that it references, if any."""
    relation: str | None
    """For a column with attribute numbers: the column with their relation."""
    readable: bool
    """Whether this role may read it: before 14, only a superuser may read even the oid of a subscription."""


Columns = Mapping[str, tuple[Column, ...]]
"""The columns of each catalog and system view, by its name."""


def read_columns(cursor: Cursor) -> Columns:
    """Read which columns the server's catalogs have, and what they reference."""
    published = int(cursor.value("SELECT current_setting('server_version_num')")) >= _FOREIGN_KEYS_PUBLISHED
    known = {column: target for target, columns in _REFERENCES_BEFORE_14.items() for column in columns.split()}
    found: dict[str, list[Column]] = {}
    query = _COLUMNS.format(**_FROM_14 if published else _BEFORE_14)
    for catalog, name, kind, target, relation, readable in cursor.rows(query):
        refers = target or known.get(f"{catalog}.{name}") or ("pg_proc" if kind == "regproc" else None)
        found.setdefault(catalog, []).append(Column(name, kind, refers, relation, readable))
    return {catalog: tuple(columns) for catalog, columns in found.items()}


def as_text(column: Column, alias: str, tree_relation: str) -> str | None:
    """Return SQL for a column's value as text that is the same in every database, or NULL for no value.

    Args:
        column: a column of the catalog.
        alias: the catalog's alias in the query.
        tree_relation: SQL for the relation whose columns an expression (``pg_node_tree``) refers to.

    Returns:
        None for a column without such a text: an oid that references an unknown catalog, a transaction id.
    """
    value = f"{alias}.{column.name}"
    if column.type in _NO_FACTS:
        return None
    if column.target == "pg_attribute":
        assert column.relation is not None
        return (
            f"(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n)"
            f" FROM unnest({value}) WITH ORDINALITY u(o, n)"
            f" JOIN pg_attribute a ON a.attrelid = {alias}.{column.relation} AND a.attnum = u.o)"
        )
    if column.type in _LISTS:
        return column.target and (
            f"(SELECT string_agg({_name(column.target, 'u.o')}, ', ' ORDER BY u.n)"
            f" FROM unnest({value}) WITH ORDINALITY u(o, n))"
        )
    if column.target is not None:
        return f"CASE WHEN {value}::oid <> 0 THEN {_name(column.target, value)} END"
    return _plain(column.type, value, tree_relation)


def _name(catalog: str, oid: str) -> str:
    if catalog == "pg_type":
        return f"format_type({oid}, NULL)"
    if catalog == "pg_authid":
        return f"{oid}::regrole::text"
    return f"(SELECT i.identity FROM pg_identify_object('{catalog}'::regclass, {oid}::oid, 0) i)"


def _plain(kind: str, value: str, tree_relation: str) -> str | None:
    if kind in {"oid", "regproc"}:
        return None
    if kind == "pg_node_tree":
        return f"pg_get_expr({value}, {tree_relation})"
    if kind == "boolean":
        return f"CASE WHEN {value} THEN 'true' END"
    if kind in {"text[]", '"char"[]', "name[]"}:
        joined = "SELECT string_agg(o::text, ', ' ORDER BY o::text)"
        return f"CASE WHEN {value} IS NOT NULL THEN ({joined} FROM unnest({value}) o) END"
    return f"nullif({value}::text, '')"
