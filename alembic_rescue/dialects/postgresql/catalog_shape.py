"""How a catalog of PostgreSQL is described: which rows are objects, what they are called, which columns are facts.

A column that is named nowhere in a description is a fact by the general rule of `catalog_columns`; so is one that a
later PostgreSQL adds, and so are the rows of a catalog that has no description.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

FIRST_OF_USERS = 16384
"""The first oid that is not the server's own (``FirstNormalObjectId``)."""

WHOLE = "*"
"""In place of an oid: all rows of a catalog that is read whole."""

TABLE = """
  JOIN pg_class r ON r.oid = {0} AND r.relpersistence <> 't' JOIN pg_namespace rn ON rn.oid = r.relnamespace"""
"""For what belongs to a table: the table and its schema.  What is temporary is left out."""
TABLE_NAME = "quote_ident(rn.nspname) || '.' || quote_ident(r.relname)"


OPTIONS = "CASE WHEN {0} IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest({0}) o) END"
"""An array of options as one text."""
OPTION_BY_OPTION = "(SELECT json_object_agg(split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) FROM unnest({}) o)"
"""An array of options as an object of JSON."""


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

    def is_of(self, catalogs: Collection[str]) -> bool:
        """Whether its rows may be facts of objects of these catalogs."""
        one = re.fullmatch(r"'(\w+)'::regclass", self.catalog_of_owner)
        return one is None or one[1] in catalogs


@dataclass(frozen=True)
class Hint:
    """Rows that are no objects or parts themselves, but whose change is one of an object."""

    catalog: str
    key: str
    owner_catalog: str
    owner: str
    joins: str = ""
    where: str = "true"
