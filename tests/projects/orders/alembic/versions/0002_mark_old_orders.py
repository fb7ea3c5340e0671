"""mark old orders"""

from alembic import op

revision = "0bb20002"
down_revision = "0aa10001"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("UPDATE orders SET state = 'old' WHERE id < 1000")


def downgrade():
    pass
