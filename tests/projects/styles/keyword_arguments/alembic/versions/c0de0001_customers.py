"""customers"""

import sqlalchemy as sa
from alembic import op

revision = "c0de0001"
down_revision = None


def upgrade(prefix, settings):
    name = sa.Column("name", sa.String(settings["length"]))
    op.create_table(prefix + "customers", sa.Column("id", sa.Integer, primary_key=True), name)


def downgrade(prefix, settings):
    op.drop_table(prefix + "customers")
