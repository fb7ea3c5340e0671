"""Change default"""

from alembic import op

revision = "c057"
down_revision = "c056"


def upgrade():
    op.alter_column("ledger", "amount", server_default="1")
    op.alter_column("ledger", "flag", server_default=None)
