"""Session settings of SQLite's library: there is no server."""

from __future__ import annotations

from sqlalchemy.engine import Dialect

from alembic_rescue.dialects import base


class Server(base.Server):
    """Pragmas of the connection; other sessions are not visible."""

    nobody_shown = "SQLite does not show who holds it. Close other programs that have the file open, and try again"

    def upgrade_settings(self, lock: float) -> tuple[str, ...]:
        """Return the statement that sets how long to wait for the file's lock."""
        return (f"PRAGMA busy_timeout = {round(lock * 1000)}",)

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """Return the settings; SQLite has no statement timeout."""
        held = (f"PRAGMA busy_timeout = {round(lock * 1000)}",)
        return (*held, "PRAGMA query_only = ON") if read_only else held
