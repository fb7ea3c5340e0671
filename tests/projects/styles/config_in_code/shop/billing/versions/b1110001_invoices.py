"""invoices"""

import sqlalchemy as sa
from alembic import op

revision = "b1110001"
down_revision = None
branch_labels = ("billing",)


def upgrade():
    op.create_table("invoices", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade():
    op.drop_table("invoices")
