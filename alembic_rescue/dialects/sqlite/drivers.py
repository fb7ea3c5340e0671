"""sqlite3 and aiosqlite."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from alembic_rescue import errors
from alembic_rescue.dialects import base


class Drivers(base.Drivers):
    """Drivers that open files."""

    packages = frozenset(["aiosqlite"])

    def address(self, drivername: str, positional: Sequence[Any], named: Mapping[str, Any]) -> URL:
        """Return the URL of the file, with its name as given."""
        return URL.create(drivername, database=str(positional[0]) if positional else str(named.get("database", "")))

    def absent(self, at: URL) -> errors.RescueError | None:
        """Return an error for a missing file: SQLite would create it, and a read must not."""
        name = at.database or ""
        if not name or name == ":memory:" or name.startswith("file:") or Path(name).exists():
            return None
        return errors.DatabaseMissing(
            str(Path(name).resolve()),
            "the file does not exist",
            "this command does not create it. Check the URL: its path is relative to the working "
            "directory; an absolute path has four slashes, sqlite:////srv/shop.db",
        )

    def cancel(self, raw: Any, seconds: float) -> bool:
        """Interrupt in this process; not for aiosqlite, which waits in a thread until the lock is released."""
        interrupt = getattr(raw, "interrupt", None)
        if interrupt is not None and not inspect.iscoroutinefunction(interrupt):
            interrupt()
        return interrupt is not None
