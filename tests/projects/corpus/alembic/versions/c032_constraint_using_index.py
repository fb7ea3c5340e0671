"""Constraint using index"""

from alembic import op

revision = "c032"
down_revision = "c031"


def upgrade():
    op.execute("CREATE UNIQUE INDEX users_handle_idx ON users (handle)")
    op.execute("ALTER TABLE users ADD CONSTRAINT users_handle_unique UNIQUE USING INDEX users_handle_idx")
