"""SQLite's scratch databases: files that SQLite creates when it opens them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import URL

from alembic_rescue.dialects import base


class Places(base.Places):
    """Files, which need no preparation."""

    drivers = (("sqlite3", "pysqlite"),)

    def url(self, scratch: Mapping[str, Any]) -> URL | None:
        """Return the URL of the file."""
        return URL.create("sqlite", database=str(scratch["file"]))
