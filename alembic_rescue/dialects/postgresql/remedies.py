"""What makes so what a revision would have left, in PostgreSQL's words, from the catalog's facts.  Pure."""

from alembic_rescue.evidence.missing import from_facts as remedy

__all__ = ["remedy"]
