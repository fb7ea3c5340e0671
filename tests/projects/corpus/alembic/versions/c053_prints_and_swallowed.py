"""Prints and swallowed"""

from alembic import op

revision = "c053"
down_revision = "c052"


def upgrade():
    print("working on it")
    try:
        with op.get_bind().begin_nested():
            op.execute("CREATE TABLE flags (name text PRIMARY KEY, enabled boolean DEFAULT 'f' NOT NULL)")
    except Exception:
        pass
