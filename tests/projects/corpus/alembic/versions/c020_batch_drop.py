"""Batch drop"""

from alembic import op

revision = "c020"
down_revision = "c019"


def upgrade():
    with op.batch_alter_table("profiles", recreate="auto") as batch_op:
        batch_op.drop_index("ix_profiles_bio")
        batch_op.drop_column("avatar")
