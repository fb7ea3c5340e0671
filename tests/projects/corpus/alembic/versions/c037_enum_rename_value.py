"""Enum rename value"""

from alembic import op

revision = "c037"
down_revision = "c036"


def upgrade():
    op.execute("ALTER TYPE priority RENAME VALUE 'normal' TO 'medium'")
