"""Data backfill"""

from alembic import op

revision = "c011"
down_revision = "c010"


def upgrade():
    op.execute("UPDATE users SET score = 1 WHERE score = 0")
