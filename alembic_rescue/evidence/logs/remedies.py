"""Fixes for failures that only the deployment's log shows: of data, time limits, the machine.  Pure."""

from __future__ import annotations

import re

from alembic_rescue.evidence.causes import fix_of
from alembic_rescue.evidence.rehearsal import FIXES

_SPACE = "free space on the database server, then run it again"
_LOST = "check whether the database restarted, failed over or ended the session, then run it again"
_LOCKED = (
    "find the session that holds the lock (diagnose reports it as blocked). Then run it again at a quiet "
    "time, with a lock_timeout"
)
_REMEDIES: tuple[tuple[str, str], ...] = (
    (r"null value in column|contains null values|cannot be null|NOT NULL constraint failed|NotNullViolation",
     FIXES["not-null"]),
    (r"duplicate key|could not create unique index|Duplicate entry|UNIQUE constraint failed|UniqueViolation",
     FIXES["unique"]),
    (r"violates foreign key|foreign key constraint fails|FOREIGN KEY constraint failed|ForeignKeyViolation",
     FIXES["foreign-key"]),
    (r"violates check constraint|CHECK constraint failed|Check constraint .* is violated|violates exclusion",
     FIXES["check"]),
    (r"value too long|Data too long|out of range|numeric field overflow|Data truncated",
     "make the column wide enough, or shorten its values first"),
    (r"invalid input syntax|Incorrect .* value|division by zero|invalid byte sequence",
     FIXES["type"]),
    (r"statement timeout|maximum statement execution time|Query execution was interrupted",
     "give it more time for this migration (SET LOCAL statement_timeout), or do it in smaller batches"),
    (r"lock timeout|Lock wait timeout|could not obtain lock|database is locked|idle-in-transaction timeout", _LOCKED),
    (r"deadlock|Deadlock", ("run it again while nothing else changes these tables, or lock them first in a "
                           "fixed order")),
    (r"No space left|disk full|table .* is full", _SPACE),
    (r"OOMKilled|oom|[Oo]ut of memory|Memory quota|\b137\b|[Kk]illed",
     "give it more memory or process the rows in batches, then run it again"),
    (r"terminating connection|closed the connection|connection .*closed|Lost connection|gone away|reset by peer|EOF",
     _LOST),
    (r"too many (?:clients|connections)|remaining connection slots|Too many connections",
     "close unneeded connections, then run it again"),
    (r"Connection refused|could not translate host name|timeout expired|timed out|No route to host|Can't connect",
     "check that the deployment can reach the database: address, network, firewall"),
    (r"authentication failed|no password supplied|Access denied|pg_hba\.conf",
     "give the deployment a role and password that the database accepts"),
    (r"read-only transaction|read only transaction|read-only",
     "connect the deployment to the primary, because this server is read-only"),
    (r"\b(?:ModuleNotFound|Import|Name|Attribute|Type|Key|Value|Index|Indentation|Syntax|Assertion|Runtime)Error\b",
     "fix the migration's code"),
)  # fmt: skip
"""Patterns for the error's class and message, and the fix; the first match wins."""


def remedy(kind: str, message: str, statement: str) -> str:
    """Return the fix for an error of class `kind` with `message`, raised by `statement`."""
    for says, fix in _REMEDIES:
        if re.search(says, f"{kind}: {message}"):
            return fix
    return fix_of(message, statement) if statement or "." in kind else "check what the migration does there"
