"""There is no server: what SQLite's library has in its place."""

from __future__ import annotations

from sqlalchemy.engine import Dialect

from alembic_rescue.dialects import base


class Server(base.Server):
    """Pragmas of the connection, and nobody to be seen."""

    nobody_shown = "SQLite tells nobody who holds it: end what else has the file open, and try again"

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """There is no timeout for a statement."""
        held = (f"PRAGMA busy_timeout = {round(lock * 1000)}",)
        return (*held, "PRAGMA query_only = ON") if read_only else held
