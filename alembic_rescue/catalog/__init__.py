"""What the live database holds, in the same words in which a migration's effects are told."""

from alembic_rescue.catalog.live import read
from alembic_rescue.catalog.snapshot import Snapshot

__all__ = ["Snapshot", "read"]
