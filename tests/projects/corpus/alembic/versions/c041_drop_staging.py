"""Drop staging"""

from alembic import op

revision = "c041"
down_revision = "c040"


def upgrade():
    op.drop_table("import_staging")
