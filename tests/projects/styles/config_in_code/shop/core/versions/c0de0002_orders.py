"""orders"""

import sqlalchemy as sa
from alembic import op

revision = "c0de0002"
down_revision = "c0de0001"


def upgrade():
    op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade():
    op.drop_table("orders")
