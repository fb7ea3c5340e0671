"""Add columns"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c004"
down_revision = "c003"


def upgrade():
    op.add_column("users", sa.Column("nickname", sa.String(), nullable=True))
    op.add_column("users", sa.Column("score", sa.Float(), server_default="0", nullable=False))
    op.add_column("users", sa.Column("tags", postgresql.ARRAY(sa.String(20)), server_default="{}"))
