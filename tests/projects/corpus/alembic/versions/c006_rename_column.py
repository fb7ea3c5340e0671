"""Rename column"""

from alembic import op

revision = "c006"
down_revision = "c005"


def upgrade():
    op.alter_column("users", "nickname", new_column_name="handle")
