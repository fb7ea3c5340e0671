"""Alter nullable and type"""

import sqlalchemy as sa
from alembic import op

revision = "c005"
down_revision = "c004"


def upgrade():
    op.alter_column("users", "nickname", existing_type=sa.String(), type_=sa.String(80), nullable=False, server_default="")
    op.alter_column("orders", "total", type_=sa.Numeric(14, 2), existing_type=sa.Numeric(12, 2))
