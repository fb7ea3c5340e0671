"""create shop"""

import sqlalchemy as sa
from alembic import op

revision = "c0ffee000001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE TYPE order_state AS ENUM ('open', 'paid')")
    op.execute("CREATE SEQUENCE invoice_number START 1000")
    op.create_table(
        "customers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False),
    )
    op.execute(
        "CREATE TABLE orders (id serial PRIMARY KEY, customer_id int REFERENCES customers, state order_state NOT NULL)"
    )
    op.execute("INSERT INTO customers (name) VALUES ('Ada'), ('Grace')")
    op.execute("INSERT INTO orders (customer_id, state) VALUES (1, 'open'), (2, 'paid')")
    op.execute("SELECT nextval('invoice_number')")


def downgrade():
    op.drop_table("orders")
    op.drop_table("customers")
    op.execute("DROP SEQUENCE invoice_number")
    op.execute("DROP TYPE order_state")
