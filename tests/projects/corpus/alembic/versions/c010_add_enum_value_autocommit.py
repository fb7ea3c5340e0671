"""Add enum value autocommit"""

from alembic import op

revision = "c010"
down_revision = "c009"


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE order_status ADD VALUE IF NOT EXISTS 'refunded' AFTER 'paid'")
