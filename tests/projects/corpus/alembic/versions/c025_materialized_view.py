"""Materialized view"""

from alembic import op

revision = "c025"
down_revision = "c024"


def upgrade():
    op.execute("""
        CREATE MATERIALIZED VIEW order_totals AS
        SELECT u.id AS user_id, count(*) AS orders, sum(o.total) AS total
        FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.id
    """)
    op.execute("CREATE UNIQUE INDEX order_totals_user ON order_totals (user_id)")
