"""SQLite's scratch databases are files that make themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import URL

from alembic_rescue.dialects import base


class Places(base.Places):
    """Only to be found."""

    drivers = (("sqlite3", "pysqlite"),)

    def url(self, scratch: Mapping[str, Any]) -> URL | None:
        """The file."""
        return URL.create("sqlite", database=str(scratch["file"]))
