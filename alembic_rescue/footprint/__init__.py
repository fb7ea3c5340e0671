"""What revisions leave behind: replayed without running anything, and folded to what must hold in the end."""

from alembic_rescue.footprint.net import Net, fold
from alembic_rescue.footprint.recorder import replay

__all__ = ["Net", "fold", "replay"]
