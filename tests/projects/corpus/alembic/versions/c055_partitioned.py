"""Partitioned"""

from alembic import op

revision = "c055"
down_revision = "c054"


def upgrade():
    op.execute("CREATE TABLE events (id bigint, at date NOT NULL) PARTITION BY RANGE (at)")
    op.execute("CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
