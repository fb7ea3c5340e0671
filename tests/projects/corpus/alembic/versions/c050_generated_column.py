"""Generated column"""

import sqlalchemy as sa
from alembic import op

revision = "c050"
down_revision = "c049"


def upgrade():
    op.add_column("orders", sa.Column("total_cents", sa.BigInteger(), sa.Computed("(total * 100)::bigint", persisted=True)))
