"""orders"""

import sqlalchemy as sa
from alembic import op

revision = "0aa10001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(20), nullable=False),
    )


def downgrade():
    op.drop_table("orders")
