"""View on renamed"""

from alembic import op

revision = "c058"
down_revision = "c057"


def upgrade():
    op.execute("CREATE VIEW ledger_days AS SELECT day, sum(amount) AS amount FROM ledger GROUP BY day HAVING sum(amount) > 0")
    op.alter_column("ledger", "kind", new_column_name="direction")
