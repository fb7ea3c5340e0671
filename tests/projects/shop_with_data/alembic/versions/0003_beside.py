"""a branch beside"""

import sqlalchemy as sa
from alembic import op

revision = "beef00000003"
down_revision = "c0ffee000002"
branch_labels = ("beside",)
depends_on = None


def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("notes")
