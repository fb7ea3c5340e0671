"""Table comment and column comment"""

import sqlalchemy as sa
from alembic import op

revision = "c022"
down_revision = "c021"


def upgrade():
    op.create_table_comment("users", "people who may sign in", existing_comment=None)
    op.alter_column("users", "email", comment="where mail goes", existing_type=sa.String(255))
