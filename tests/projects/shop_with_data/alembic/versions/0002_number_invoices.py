"""number invoices: reads, writes through the connection, and draws from a sequence"""

import sqlalchemy as sa
from alembic import op

revision = "c0ffee000002"
down_revision = "c0ffee000001"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("orders", sa.Column("invoice", sa.Integer))
    connection = op.get_bind()
    for (order,) in connection.execute(sa.text("SELECT id FROM orders WHERE state = 'paid'")).fetchall():
        connection.execute(
            sa.text("UPDATE orders SET invoice = nextval('invoice_number') WHERE id = :order"), {"order": order}
        )
    op.create_index("orders_by_customer", "orders", ["customer_id"])


def downgrade():
    op.drop_index("orders_by_customer")
    op.drop_column("orders", "invoice")
