"""Grants"""

from alembic import op

revision = "c036"
down_revision = "c035"


def upgrade():
    op.execute("GRANT SELECT, INSERT ON audit TO PUBLIC")
