"""What DDL statements do, read by PostgreSQL's own grammar (libpg_query, through the package ``postgast``).

The common language of the evidence: a migration is read from the statements that it sends, a database from the
statements that its catalog gives for its objects, and both become the same facts.  Pure: text in, effects out.
"""

from alembic_rescue.ddl.reader import Reader, is_query, one_line, split

__all__ = ["Reader", "is_query", "one_line", "split"]
