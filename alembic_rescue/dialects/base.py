"""What the evidence asks of a dialect.  Everything goes through the driver's cursor, unseen by SQLAlchemy's events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sqlalchemy.engine import Connection

from alembic_rescue.evidence.observation import Catalog, CatalogObject, Change, Reading, StatementKind

Renames = tuple[tuple[CatalogObject, CatalogObject], ...]


class Watch(Protocol):
    """Follows the catalog of a scratch database from revision to revision."""

    def step(self, connection: Connection) -> tuple[tuple[Change, ...], Renames]:
        """What has changed since the last call (or since the watch began), and what was renamed.

        The transaction of what changed it must be committed, and none be open on `connection`; none is afterwards.
        """


class CatalogReader(Protocol):
    """Reads catalogs in the server's own words."""

    def everything(self, connection: Connection) -> Catalog:
        """Every object that is not the server's own, nor an extension's member."""

    def named(self, connection: Connection, objects: Collection[CatalogObject]) -> Reading:
        """Those objects of a live database, and what belongs to them (all constraints of a table, for instance).

        `connection` is the reader's own: read-only, in autocommit.  Waits for no lock that others hold or await: what
        cannot be read for that reason is told as unread, with who holds it.
        """

    def watch(self, connection: Connection) -> Watch:
        """Begin to follow a scratch database."""

    def settle(
        self, connection: Connection, texts: Sequence[tuple[CatalogObject, str, str, str]]
    ) -> dict[tuple[CatalogObject, str], bool | None]:
        """Whether two texts of the same fact, spelled otherwise, mean the same.

        Args:
            connection: to the scratch database, at the position in question; nothing of it stays.
            texts: object, fact, the scratch database's text, the live one's.

        Returns:
            By object and fact: True and False as the server reads them back; None where one cannot be loaded.
        """


class StatementReader(Protocol):
    """Tells what a statement does by its own text."""

    def __call__(self, sql: str) -> StatementKind:
        """The strongest kind of the statements in `sql`, which may be a script: DATA before CATALOG before SESSION."""
