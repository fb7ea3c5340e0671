"""Bulk insert lookup"""

import sqlalchemy as sa
from alembic import op

revision = "c012"
down_revision = "c011"


def upgrade():
    countries = op.create_table("countries", sa.Column("code", sa.CHAR(2), primary_key=True), sa.Column("label", sa.String(60)))
    op.bulk_insert(countries, [{"code": "ch", "label": "Switzerland"}, {"code": "at", "label": "Austria"}])
