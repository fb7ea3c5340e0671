"""Drop if exists"""

from alembic import op

revision = "c048"
down_revision = "c047"


def upgrade():
    op.execute("DROP TABLE IF EXISTS never_there")
    op.execute("DROP INDEX IF EXISTS ix_never_there")
