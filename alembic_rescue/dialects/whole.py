"""Follow a scratch database whose catalog is small enough to read completely at each step."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import differences
from alembic_rescue.dialects.base import CatalogReader, Renames
from alembic_rescue.evidence.observation import CatalogObject, Change


class Watch:
    """Keeps the last reading; see `alembic_rescue.dialects.base.Watch`."""

    def __init__(self, reader: CatalogReader, connection: Connection) -> None:
        self._reader, self._catalog = reader, reader.everything(connection)

    def step(
        self,
        connection: Connection,
        sent: Collection[str] | None = None,  # noqa: ARG002 - all that is read is this database's own
    ) -> tuple[tuple[Change, ...], Renames]:
        """Return what has changed since the last call, and what was renamed."""
        before, self._catalog = self._catalog, self._reader.everything(connection)
        return differences.changes(before, self._catalog), differences.renames(before, self._catalog)

    def there(self, connection: Connection, objects: Collection[CatalogObject]) -> Collection[CatalogObject]:
        """Return those objects and everything in their tables."""
        return self._reader.named(connection, objects).catalog
