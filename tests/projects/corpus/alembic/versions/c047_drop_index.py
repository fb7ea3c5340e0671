"""Drop index"""

from alembic import op

revision = "c047"
down_revision = "c046"


def upgrade():
    op.drop_index("ix_orders_open", table_name="orders")
