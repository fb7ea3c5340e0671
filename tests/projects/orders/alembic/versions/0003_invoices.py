"""invoices"""

import sqlalchemy as sa
from alembic import op

revision = "0cc30003"
down_revision = "0bb20002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "invoices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id", name="invoices_order_id_fkey"), nullable=False),
    )
    op.create_index("ix_invoices_order_id", "invoices", ["order_id"])


def downgrade():
    op.drop_table("invoices")
