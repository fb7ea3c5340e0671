"""Identity and defaults"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c056"
down_revision = "c055"


def upgrade():
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), sa.Identity(always=True, start=10), primary_key=True),
        sa.Column("day", sa.Date(), server_default=sa.text("CURRENT_DATE")),
        sa.Column("amount", sa.Numeric(10), server_default="0"),
        sa.Column("interval", postgresql.INTERVAL(), server_default="1 day"),
        sa.Column("flag", sa.Boolean(name="flag_bool"), server_default="1"),
        sa.Column("since", sa.TIMESTAMP(timezone=True), server_default=sa.text("'2020-01-01'")),
        sa.Column("kind", sa.String(10), sa.CheckConstraint("kind IN ('in', 'out')", name="kind_known")),
    )
