"""Guarded by inspector"""

import sqlalchemy as sa
from alembic import op

revision = "c014"
down_revision = "c013"


def upgrade():
    inspector = sa.inspect(op.get_bind())
    if "profiles" not in inspector.get_table_names():
        op.create_table(
            "profiles",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
            sa.Column("bio", sa.Text()),
        )
