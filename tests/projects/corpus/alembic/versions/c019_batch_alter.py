"""Batch alter"""

import sqlalchemy as sa
from alembic import op

revision = "c019"
down_revision = "c018"


def upgrade():
    with op.batch_alter_table("profiles") as batch_op:
        batch_op.add_column(sa.Column("avatar", sa.LargeBinary(), nullable=True))
        batch_op.alter_column("bio", type_=sa.String(500), existing_type=sa.Text())
        batch_op.create_unique_constraint("uq_profiles_user", ["user_id"])
        batch_op.create_index("ix_profiles_bio", ["bio"])
