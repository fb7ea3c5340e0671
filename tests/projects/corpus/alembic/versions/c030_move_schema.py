"""Move schema"""

from alembic import op

revision = "c030"
down_revision = "c029"


def upgrade():
    op.execute("ALTER TABLE countries SET SCHEMA billing")
