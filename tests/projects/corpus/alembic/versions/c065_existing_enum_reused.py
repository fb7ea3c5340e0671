"""Existing enum reused"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c065"
down_revision = "c064"


def upgrade():
    op.add_column("ledger", sa.Column("status", postgresql.ENUM(name="order_status", create_type=False), nullable=True))
