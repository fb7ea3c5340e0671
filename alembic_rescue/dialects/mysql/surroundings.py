"""What a chain takes for granted in a MySQL or MariaDB database: its character set and collation."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.cursor import fetch
from alembic_rescue.dialects.scratch import Surroundings

_ASKED = """
    SELECT CURRENT_USER(), default_character_set_name, default_collation_name, @@GLOBAL.time_zone
    FROM information_schema.schemata WHERE schema_name = DATABASE()
"""


def of(connection: Connection) -> Surroundings:
    """Read what to provide for the chain."""
    role, encoding, collation, zone = fetch(connection, _ASKED)[0]
    return Surroundings(str(role), superuser=False, encoding=str(encoding), collate=str(collation), timezone=str(zone))
