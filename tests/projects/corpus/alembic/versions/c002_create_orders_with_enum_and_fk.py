"""Create orders with enum and fk"""

import sqlalchemy as sa
from alembic import op

revision = "c002"
down_revision = "c001"


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("status", sa.Enum("new", "paid", "shipped", name="order_status"), nullable=False),
        sa.Column("total", sa.Numeric(12, 2), nullable=False),
        sa.Column("placed", sa.DateTime()),
        sa.Column("note", sa.Text(), comment="free text"),
        sa.CheckConstraint("total >= 0", name="total_positive"),
        comment="what people bought",
    )
