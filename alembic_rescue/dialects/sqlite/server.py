"""There is no server: what SQLite's library has in its place."""

from __future__ import annotations

from sqlalchemy.engine import Dialect

from alembic_rescue.dialects import base


class Server(base.Server):
    """Pragmas of the connection, and nobody to be seen."""

    nobody_shown = "SQLite does not show who holds it. Close other programs that have the file open, and try again"

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """There is no timeout for a statement."""
        held = (f"PRAGMA busy_timeout = {round(lock * 1000)}",)
        return (*held, "PRAGMA query_only = ON") if read_only else held
