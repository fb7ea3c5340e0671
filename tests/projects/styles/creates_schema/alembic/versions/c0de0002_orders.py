"""orders"""

import sqlalchemy as sa
from alembic import op

revision = "c0de0002"
down_revision = "c0de0001"


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
    )
    op.create_index("orders_by_status", "orders", ["status"])


def downgrade():
    op.drop_table("orders")
