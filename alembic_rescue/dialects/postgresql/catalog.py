"""Read PostgreSQL's catalogs in the server's own words."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.postgresql.catalog_columns import read_columns
from alembic_rescue.dialects.postgresql.catalog_live import read_named
from alembic_rescue.dialects.postgresql.catalog_query import Queries
from alembic_rescue.dialects.postgresql.catalog_rows import read
from alembic_rescue.dialects.postgresql.catalog_settle import Texts, settle_texts
from alembic_rescue.dialects.postgresql.catalog_watch import CatalogWatch
from alembic_rescue.dialects.postgresql.session import transaction
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Reading


class PostgresqlCatalog:
    """Reads the catalogs of PostgreSQL 12 to 18; see `alembic_rescue.dialects.base.CatalogReader`."""

    def __init__(self) -> None:
        self._queries: dict[tuple[str, str], Queries] = {}

    def everything(self, connection: Connection) -> Catalog:
        """Read every object that belongs neither to the server itself nor to an extension."""
        with transaction(connection) as cursor:
            rows = read(cursor, self._for(cursor))
        return {row.object: row.facts for row in rows.values() if not row.delivered}

    def named(self, connection: Connection, objects: Collection[CatalogObject]) -> Reading:
        """Read those objects of a live database and what belongs to them; see `CatalogReader.named`."""
        with transaction(connection) as cursor:
            queries = self._for(cursor)
        return read_named(connection, queries, objects)

    def watch(self, connection: Connection) -> CatalogWatch:
        """Begin to follow a scratch database."""
        with transaction(connection) as cursor:
            queries = self._for(cursor)
        return CatalogWatch(connection, queries)

    def settle(self, connection: Connection, texts: Texts) -> dict[tuple[CatalogObject, str], bool | None]:
        """Decide whether two spellings of the same fact mean the same; see `CatalogReader.settle`."""
        return settle_texts(connection, texts)

    def _for(self, cursor: Cursor) -> Queries:
        ((version, role),) = cursor.rows("SELECT current_setting('server_version_num'), current_user::text")
        key = str(version), str(role)
        if key not in self._queries:
            self._queries[key] = Queries(read_columns(cursor))
        return self._queries[key]


READER = PostgresqlCatalog()
