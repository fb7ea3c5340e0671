"""Create MySQL's and MariaDB's scratch databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL, Connection

from alembic_rescue.dialects import base
from alembic_rescue.dialects.admin import quoted
from alembic_rescue.dialects.scratch import Making, Prepared


class Places(base.Places):
    """Databases with the character set and collation of the live ones."""

    drivers = (("pymysql", "pymysql"), ("MySQLdb", "mysqldb"))

    def url(self, scratch: Mapping[str, Any]) -> URL | None:
        """Return the URL; a private server has a socket."""
        socket = scratch.get("unix_socket")
        return URL.create(
            "mysql",
            scratch["user"],
            scratch.get("password"),
            host=scratch["host"],
            port=None if socket else int(scratch["port"]),
            database=scratch["database"],
            query={"unix_socket": str(socket)} if socket else {},
        )

    def prepare(self, admin: Connection, making: Making) -> Prepared:
        """Create the databases; there are no roles, because everything runs as the administrator."""
        for place in making.places:
            around = place.surroundings
            alike = f" CHARACTER SET {around.encoding} COLLATE {around.collate}" if around and around.encoding else ""
            admin.execute(text(f"CREATE DATABASE IF NOT EXISTS {quoted(admin, place.database)}{alike}"))
        version = admin.execute(text("SELECT VERSION()")).scalar_one()
        return Prepared(str(version))

    def remove(self, admin: Connection, databases: Sequence[str], roles: Sequence[str]) -> None:
        """Drop the databases."""
        for name in databases:
            admin.execute(text(f"DROP DATABASE IF EXISTS {quoted(admin, name)}"))
