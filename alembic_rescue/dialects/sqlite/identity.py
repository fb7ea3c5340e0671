"""The identity of a SQLite file."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import Facts, Where
from alembic_rescue.dialects.cursor import fetch


class Identity(base.IdentityReader):
    """The id is the file's device and inode."""

    def facts(self, connection: Connection, table: str, schema: str | None) -> Facts:
        """Read the facts; the version is the library's."""
        file = _file(connection)
        version = fetch(connection, "SELECT sqlite_version()")[0][0]
        return Facts(version=version, database=file or ":memory:", server_id=_id_of(file))

    def where(self, connection: Connection, table: str) -> Where:
        """Read the file and its id; there are no schemas."""
        file = _file(connection)
        return Where(file or ":memory:", _id_of(file))


def _file(connection: Connection) -> str:
    """Return the file's name; empty for a database in memory."""
    return str(fetch(connection, "PRAGMA database_list")[0][2] or "")


def _id_of(file: str) -> str:
    if not file:
        return ":memory:"
    found = Path(file).stat()
    return f"{found.st_dev:x}:{found.st_ino:x}"
