"""SQLite's errors: not every version of Python passes on their codes."""

from __future__ import annotations

from alembic_rescue import errors
from alembic_rescue.dialects import base


class Failures(base.Failures):
    """Errors by their text."""

    words = (
        (r"unable to open database file", errors.DatabaseMissing),
        (r"file is (encrypted or is )?not a database", errors.CannotConnect),
        (r"readonly database", errors.ReadOnlyServer),
        (r"database is locked", errors.LockTimeout),
    )
