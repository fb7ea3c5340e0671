"""Metadata create all"""

import sqlalchemy as sa
from alembic import op

revision = "c044"
down_revision = "c043"

metadata = sa.MetaData()
sa.Table("tags", metadata, sa.Column("id", sa.Integer(), primary_key=True), sa.Column("label", sa.String(30), unique=True))
sa.Table(
    "job_tags",
    metadata,
    sa.Column("job_id", sa.Integer(), primary_key=True),
    sa.Column("tag_id", sa.Integer(), sa.ForeignKey("tags.id"), primary_key=True),
)


def upgrade():
    metadata.create_all(op.get_bind())
