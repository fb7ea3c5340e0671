"""Drop view and function"""

from alembic import op

revision = "c059"
down_revision = "c058"


def upgrade():
    op.execute("DROP VIEW ledger_days")
    op.execute("DROP TRIGGER users_touch ON users")
    op.execute("DROP FUNCTION touch()")
