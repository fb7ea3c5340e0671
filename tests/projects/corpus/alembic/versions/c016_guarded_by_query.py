"""Guarded by query"""

import sqlalchemy as sa
from alembic import op

revision = "c016"
down_revision = "c015"


def upgrade():
    conn = op.get_bind()
    found = conn.execute(
        sa.text("SELECT 1 FROM information_schema.columns WHERE table_name = :t AND column_name = :c"),
        {"t": "users", "c": "timezone"},
    ).fetchone()
    if found is None:
        conn.execute(sa.text("ALTER TABLE users ADD COLUMN timezone varchar(40) DEFAULT 'UTC'"))
