"""What DDL statements do: PostgreSQL's read by its own grammar (libpg_query, through the package ``postgast``).

The common language of the evidence: a migration is read from the statements that it sends, a database from the
statements that its catalog gives for its objects, and both become the same facts.  Pure: text in, effects out.
"""

from __future__ import annotations

from typing import Protocol

from alembic_rescue.connecting.mysql import DIALECTS as MYSQL
from alembic_rescue.ddl.mysql import MySQLReader
from alembic_rescue.ddl.reader import Reader, is_query, one_line, split
from alembic_rescue.model_evidence import Effect


class Reads(Protocol):
    """Reads the statements of one session, one after the other."""

    def read(self, sql: str) -> tuple[Effect, ...]:
        """What the statements in `sql` do, in order.  Never raises."""

    def split(self, sql: str) -> list[str]:
        """The single statements."""


def reader_for(dialect: str, home: str | None = None) -> Reads:
    """What reads the statements of that dialect; SQLite's are read as PostgreSQL's are, as far as that goes."""
    return MySQLReader(home) if dialect in MYSQL else Reader(home)


__all__ = ["MYSQL", "Reader", "Reads", "is_query", "one_line", "reader_for", "split"]
