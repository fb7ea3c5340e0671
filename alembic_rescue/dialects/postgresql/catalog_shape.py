"""The description of a PostgreSQL catalog: which rows are objects, their names, and which columns are facts.

A column that a description does not mention is a fact by the general rule of `catalog_columns`; so are the columns that
a later PostgreSQL adds, and the rows of a catalog without a description.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

FIRST_OF_USERS = 16384
"""The first oid of user objects (``FirstNormalObjectId``)."""

WHOLE = "*"
"""Used instead of an oid for all rows of a catalog that is read completely."""

TABLE = """
  JOIN pg_class r ON r.oid = {0} AND r.relpersistence <> 't' JOIN pg_namespace rn ON rn.oid = r.relnamespace"""
"""The table and its schema, for objects that belong to a table.  Temporary tables are left out."""
TABLE_NAME = "quote_ident(rn.nspname) || '.' || quote_ident(r.relname)"


OPTIONS = "CASE WHEN {0} IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest({0}) o) END"
"""An array of options as one text."""
OPTION_BY_OPTION = "(SELECT json_object_agg(split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) FROM unnest({}) o)"
"""An array of options as a JSON object."""


@dataclass(frozen=True)
class Source:
    """A catalog whose rows are objects.  In all SQL here, its alias is ``x``."""

    catalog: str
    name_column: str = ""
    """The column with the bare name, for searches in the live database.  Empty: search all rows; there are few."""
    address: str = ""
    """The catalog that ``pg_depend`` and comments use for the object, if it is not `catalog`."""
    view: str = ""
    """The view to read instead of a catalog that not every role may read."""
    key: str = "x.oid"
    """The key of a row, together with `address`."""
    own: str = f"x.oid >= {FIRST_OF_USERS}"
    """The condition for rows that are not built-in."""
    where: str = "true"
    """The condition for rows that are objects."""
    joins: str = ""
    kind: str = "i.type"
    name: str = "i.identity"
    parent_catalog: str = ""
    parent_oid: str = "NULL"
    parent: str = "''"
    facts: Mapping[str, str] = field(default_factory=dict)
    """The facts with their own SQL.  If the name ends in a space or a dot, the value is a JSON object, and each of its
    keys makes a fact."""
    left_out: str = ""
    """The columns that are not facts, or are covered by `facts`."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Columns that are facts of some rows only: the columns, and the condition for these rows."""
    merged: Mapping[str, str] = field(default_factory=dict)
    """Catalogs with at most one row per row of this one, whose columns are facts too: their alias and key."""
    tree_relation: str = "0"
    privileges: str = ""
    """SQL for the kind of object as ``acldefault`` takes it, for catalogs with privileges."""
    whole: bool = False
    """Always read completely: it has few rows, and not every role may see which of them changed."""
    selected_by: tuple[str, str] | None = None
    """The catalog whose objects its rows are read with, and the column that references it."""

    @property
    def known_as(self) -> str:
        """The catalog in the address of its objects."""
        return self.address or self.catalog

    @property
    def read_with(self) -> str:
        """The catalog whose objects its rows are read with."""
        return self.selected_by[0] if self.selected_by else self.known_as

    @property
    def relation(self) -> str:
        """The view or catalog to read from."""
        return self.view or self.catalog


_ALWAYS = "'pg_namespace'::regclass, 'pg_database'::regclass"


@dataclass(frozen=True)
class Part:
    """A catalog whose rows are facts of objects of other catalogs."""

    catalog: str
    key: str
    catalog_of_owner: str
    """SQL for the oid of the owner's catalog."""
    owner: str
    """SQL for the owner's oid."""
    facts: str
    """SQL for a JSON object."""
    column: str = "0"
    where: str = "true"
    joins: str = ""
    grouped: bool = False
    """The facts of one owner come from several rows."""

    @property
    def own(self) -> str:
        """The condition for rows of objects that are always read or are not built-in."""
        return f"({self.owner} >= {FIRST_OF_USERS} OR {self.catalog_of_owner} IN ({_ALWAYS}))"

    def is_of(self, catalogs: Collection[str]) -> bool:
        """Whether its rows may be facts of objects of these catalogs."""
        one = re.fullmatch(r"'(\w+)'::regclass", self.catalog_of_owner)
        return one is None or one[1] in catalogs


@dataclass(frozen=True)
class Hint:
    """Rows that are neither objects nor parts, but whose change is a change of an object."""

    catalog: str
    key: str
    owner_catalog: str
    owner: str
    joins: str = ""
    where: str = "true"
