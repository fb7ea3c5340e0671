"""customers"""

import sqlalchemy as sa
from alembic import op

revision = "c0de0001"
down_revision = None


def upgrade(part):
    op.create_table(f"{part}_customers", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade(part):
    op.drop_table(f"{part}_customers")
