"""Drop column"""

from alembic import op

revision = "c046"
down_revision = "c045"


def upgrade():
    op.drop_column("audit", "hits")
