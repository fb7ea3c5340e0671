"""forget customers without orders"""

from alembic import op

revision = "c0ffee000003"
down_revision = "c0ffee000002"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("DELETE FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)")
    op.execute("CREATE VIEW paid_orders AS SELECT * FROM orders WHERE state = 'paid'")


def downgrade():
    op.execute("DROP VIEW paid_orders")
