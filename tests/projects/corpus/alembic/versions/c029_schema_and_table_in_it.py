"""Schema and table in it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c029"
down_revision = "c028"


def upgrade():
    op.execute("CREATE SCHEMA IF NOT EXISTS billing")
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid() if hasattr(sa, "Uuid") else postgresql.UUID(), primary_key=True),
        sa.Column("iban", sa.String(34), unique=True),
        sa.Column("order_id", sa.BigInteger(), sa.ForeignKey("orders.id")),
        schema="billing",
    )
    op.create_index("ix_accounts_order", "accounts", ["order_id"], schema="billing")
