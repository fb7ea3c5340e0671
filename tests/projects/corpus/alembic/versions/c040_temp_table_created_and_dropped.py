"""Temp table created and dropped"""

import sqlalchemy as sa
from alembic import op

revision = "c040"
down_revision = "c039"


def upgrade():
    op.create_table("import_staging", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("raw", sa.JSON()))
