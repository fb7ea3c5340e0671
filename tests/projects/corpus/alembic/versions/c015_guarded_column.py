"""Guarded column"""

import sqlalchemy as sa
from alembic import op

revision = "c015"
down_revision = "c014"


def _has(table, column):
    bind = op.get_bind()
    return column in {c["name"] for c in sa.inspect(bind).get_columns(table)}


def upgrade():
    if not _has("users", "locale"):
        op.add_column("users", sa.Column("locale", sa.String(8), server_default="en", nullable=False))
