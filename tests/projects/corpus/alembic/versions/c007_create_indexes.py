"""Create indexes"""

import sqlalchemy as sa
from alembic import op

revision = "c007"
down_revision = "c006"


def upgrade():
    op.create_index("ix_orders_status_placed", "orders", ["status", sa.text("placed DESC")])
    op.create_index("uq_users_lower_email", "users", [sa.text("lower(email)")], unique=True)
    op.create_index("ix_orders_open", "orders", ["user_id"], postgresql_where=sa.text("status <> 'shipped'"))
