"""customers"""

import sqlalchemy as sa
from alembic import op

revision = "c0de0001"
down_revision = None
branch_labels = ("core",)


def upgrade():
    op.create_table("customers", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade():
    op.drop_table("customers")
