"""Sequence"""

import sqlalchemy as sa
from alembic import op

revision = "c028"
down_revision = "c027"


def upgrade():
    op.execute(sa.schema.CreateSequence(sa.Sequence("invoice_no", start=1000, increment=5)))
    op.add_column("orders", sa.Column("invoice", sa.BigInteger(), server_default=sa.text("nextval('invoice_no')")))
