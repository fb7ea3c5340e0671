"""Enum swap"""

from alembic import op

revision = "c038"
down_revision = "c037"


def upgrade():
    op.execute("ALTER TYPE channel RENAME TO channel_old")
    op.execute("CREATE TYPE channel AS ENUM ('mail', 'push')")
    op.execute("DROP TYPE channel_old")
