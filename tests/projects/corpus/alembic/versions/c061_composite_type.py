"""Composite type"""

from alembic import op

revision = "c061"
down_revision = "c060"


def upgrade():
    op.execute("CREATE TYPE address AS (street text, city varchar(80))")
    op.execute("ALTER TABLE users ADD COLUMN home address")
