"""Table create checkfirst"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c043"
down_revision = "c042"

metadata = sa.MetaData()
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("state", sa.Enum("queued", "done", name="job_state"), nullable=False),
    sa.Column("payload", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb")),
    sa.Index("ix_jobs_state", "state"),
)


def upgrade():
    jobs.create(op.get_bind(), checkfirst=True)
