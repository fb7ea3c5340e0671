"""The queries that read the catalogs: one per catalog, regardless of the number of objects."""

# ruff: noqa: S608 - the SQL is made of constants, of literals that `session` quotes, and of names the server wrote

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cached_property

from alembic_rescue.dialects.postgresql.catalog_columns import Column, Columns, as_text
from alembic_rescue.dialects.postgresql.catalog_parts import PARTS
from alembic_rescue.dialects.postgresql.catalog_shape import WHOLE, Part, Source
from alembic_rescue.dialects.postgresql.catalog_sources import SOURCES
from alembic_rescue.dialects.postgresql.session import oids

Selection = Mapping[str, Collection[str]]
"""The objects to read: their oids, by catalog."""

_FACT_NAMES = {
    "attcompression": "compression",
    "attgenerated": "generated",
    "attidentity": "identity",
    "attnotnull": "not null",
    "colliculocale": "locale",
    "colllocale": "locale",
    "convalidated": "valid",
    "daticulocale": "locale",
    "datlocale": "locale",
    "ev_enabled": "enabled",
    "evtenabled": "enabled",
    "extversion": "version",
    "fdwoptions": "options",
    "indisclustered": "clustered",
    "indisvalid": "valid",
    "polcmd": "command",
    "polqual": "using",
    "polwithcheck": "with check",
    "relrowsecurity": "row security",
    "relforcerowsecurity": "row security forced",
    "relpartbound": "partition bound",
    "seqcache": "cache",
    "seqtypid": "type",
    "srvoptions": "options",
    "spcoptions": "options",
    "tgenabled": "enabled",
    "typnotnull": "not null",
}
"""The names of facts that are not named after the catalog's column."""

_PRIVILEGES = """(SELECT json_object_agg(p.grantee || ': ' || p.privilege, coalesce(p.held, 'none')) FROM (
  SELECT p.grantee, p.privilege, string_agg(p.how, ', ' ORDER BY p.how) FILTER (WHERE p.held) AS held,
         string_agg(p.how, ', ' ORDER BY p.how) FILTER (WHERE NOT p.held) AS usual
    FROM (SELECT a.held, CASE a.grantee WHEN 0 THEN 'PUBLIC' WHEN {owner} THEN 'owner'
                 ELSE a.grantee::regrole::text END AS grantee, a.privilege_type AS privilege,
                 'granted' || CASE WHEN a.is_grantable AND a.grantee <> {owner} THEN ' with grant option' ELSE '' END
                 || CASE WHEN a.grantor <> {owner} THEN ' by ' || a.grantor::regrole ELSE '' END AS how
            FROM (SELECT true AS held, e.* FROM aclexplode({acl}) e
                   UNION ALL SELECT false, e.* FROM aclexplode({usual}) e) a) p
   GROUP BY p.grantee, p.privilege) p WHERE p.held IS DISTINCT FROM p.usual)"""
"""Each privilege of each grantee that differs from a new object's.  The owner is called ``owner``."""

_OBJECTS = """
SELECT '{known_as}', ({key})::text, {kind}, {name}, {parent_catalog}, ({parent_oid})::text, {parent},
       ({own}), {words}
  FROM {relation} x {joins}{identity} {facts}
 WHERE {where}
"""
_PARTS = """
SELECT CASE WHEN {column} > 0 THEN 'pg_attribute' ELSE ({catalog})::oid::regclass::text END,
       ({owner})::text || CASE WHEN {column} > 0 THEN '.' || {column} ELSE '' END, {facts}::text
  FROM {source} x {joins}
 WHERE {where} {group}
"""
_IDENTITY = " CROSS JOIN LATERAL pg_identify_object('{known_as}'::regclass, {key}, 0) i"


class Queries:
    """The queries for one version of the server."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The catalogs of this server, including those that `SOURCES` does not describe."""
        named = {source.catalog for source in SOURCES}
        unknown = (
            Source(catalog, privileges="NULL")
            for catalog, columns in self._columns.items()
            if catalog not in named and not catalog.startswith("pg_stat") and columns[0].name == "oid"
            if columns[0].readable
        )
        return (*(source for source in SOURCES if self._can_be_read(source)), *unknown)

    def _can_be_read(self, source: Source) -> bool:
        columns = self._columns.get(source.catalog, ())
        keys = set(re.findall(r"\bx\.(\w+)", source.key))
        return bool(columns) and (source.view != "" or all(c.readable for c in columns if c.name in keys))

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The catalogs of parts on this server."""
        return tuple(part for part in PARTS if part.catalog in self._columns)

    def objects(self, selection: Selection | None = None) -> str:
        """Return SQL for the selected objects, or for all except the server's own; empty if none is selected."""
        return " UNION ALL ".join(
            self._objects(source, selection, "json_strip_nulls(to_json(f))::text", self._facts(source))
            for source in self.sources
            if selection is None or selection.get(source.read_with)
        )

    def identities(self, selection: Selection) -> str:
        """Return SQL for the names of the selected objects, without facts, so that it waits for no lock."""
        return " UNION ALL ".join(
            self._objects(source, selection, "'{}'", "NULL::text AS nothing")
            for source in self.sources
            if selection.get(source.read_with)
        )

    def _objects(self, source: Source, selection: Selection | None, words: str, facts: str) -> str:
        if selection is None:
            chosen = source.own
        elif source.whole:
            chosen = "true"
        else:
            key = source.selected_by[1] if source.selected_by else source.key
            chosen = f"{key} = ANY ({oids(selection[source.read_with])})"
        quoted_catalog = source.parent_catalog
        if quoted_catalog.isidentifier():
            quoted_catalog = f"'{quoted_catalog}'"
        return _OBJECTS.format(
            known_as=source.known_as,
            key=source.key,
            kind=source.kind,
            name=source.name,
            parent_catalog=quoted_catalog or "NULL::text",
            parent_oid=source.parent_oid,
            parent=source.parent,
            own=source.own,
            relation=source.relation,
            joins=self._joins(source),
            identity=_IDENTITY.format(known_as=source.known_as, key=source.key) if source.kind == "i.type" else "",
            words=words,
            facts=f"CROSS JOIN LATERAL (SELECT {facts}) f",
            where=f"({source.where}) AND ({chosen})",
        )

    def facts_of_parts(self, selection: Selection | None = None) -> str:
        """Return SQL for the facts in other catalogs, of the selected objects or of all."""
        parts = (part for part in self.parts if selection is None or part.is_of(selection))
        return " UNION ALL ".join(self._facts_of(part, selection) for part in parts)

    def _facts_of(self, part: Part, selection: Selection | None) -> str:
        if selection is None:
            chosen = part.own
        else:
            chosen = (
                " OR ".join(
                    f"({part.catalog_of_owner} = '{catalog}'::regclass"
                    + ("" if WHOLE in keys else f" AND {part.owner} = ANY ({oids(keys)})")
                    + ")"
                    for catalog, keys in selection.items()
                    if keys
                )
                or "false"
            )
        return _PARTS.format(
            catalog=part.catalog_of_owner,
            owner=part.owner,
            column=part.column,
            facts=self._existing(part.catalog, part.facts),
            source=part.catalog,
            joins=part.joins,
            where=f"({part.where}) AND ({chosen})",
            group="GROUP BY 1, 2" if part.grouped else "",
        )

    def privileges(self, source: Source) -> str:
        """Return SQL for the privileges of a catalog's objects that are not the defaults."""
        acl = next((c.name for c in self._columns[source.catalog] if c.type == "aclitem[]"), None)
        if acl is None or source.privileges in {"", "NULL"}:
            return "SELECT NULL, NULL, NULL WHERE false"
        joins = source.joins if source.catalog == "pg_attribute" else ""
        return (
            f"SELECT '{source.known_as}', ({source.key})::text, {self._privileges(source, acl)}::text"
            f" FROM {source.catalog} x {joins} WHERE x.{acl} IS NOT NULL"
        )

    def _joins(self, source: Source) -> str:
        merged = "".join(
            f" LEFT JOIN {catalog} {key.partition('.')[0]} ON {key} = {source.key}"
            for catalog, key in source.merged.items()
        )
        return merged + source.joins

    def _facts(self, source: Source) -> str:
        left_out = frozenset(source.left_out.split()) | {"oid"}
        only = {name: condition for names, condition in source.only.items() for name in names.split()}
        facts = {name: self._existing(source.catalog, sql) for name, sql in source.facts.items()}
        origins = [
            (source.relation, "x"),
            *((catalog, key.partition(".")[0]) for catalog, key in source.merged.items()),
        ]
        for catalog, alias in origins:
            for column in self._columns[catalog]:
                if column.name in left_out or not (column.readable or source.view):
                    continue
                if column.type == "aclitem[]" and source.privileges:
                    facts["privileges of "] = self._privileges(source, column.name)
                elif (text := as_text(column, alias, source.tree_relation)) is not None:
                    condition = only.get(column.name)
                    facts[_fact_name(column)] = f"CASE WHEN {condition} THEN {text} END" if condition else text
        return ", ".join(f'{sql} AS "{name}"' for name, sql in facts.items()) or "NULL::text AS nothing"

    def _privileges(self, source: Source, acl: str) -> str:
        owner = "x." + next(
            (c.name for c in self._columns[source.catalog] if c.target == "pg_authid" and c.name != "umuser"), ""
        )
        if source.catalog == "pg_attribute":
            owner = "r.relowner"
        elif owner == "x.":
            owner = "10::oid"  # the role that created the cluster
        column = f"x.{acl}"
        usual = "NULL::aclitem[]" if source.privileges == "NULL" else f"acldefault({source.privileges}, {owner})"
        query = _PRIVILEGES.format(acl=column, owner=owner, usual=usual)
        return f"CASE WHEN {column} IS NOT NULL THEN {query} END"

    def _existing(self, catalog: str, sql: str) -> str:
        """Replace the columns in braces, which not every version has."""
        names = {column.name for column in self._columns[catalog]}
        return re.sub(r"\{(\w+)\}", lambda found: f"x.{found[1]}" if found[1] in names else "NULL", sql)


def _fact_name(column: Column) -> str:
    if column.target == "pg_authid" and column.name.endswith(("owner", "dba")):
        return "owner"
    if column.target == "pg_tablespace":
        return "tablespace"
    return _FACT_NAMES.get(column.name, column.name)
