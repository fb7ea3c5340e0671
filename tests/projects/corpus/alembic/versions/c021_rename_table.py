"""Rename table"""

from alembic import op

revision = "c021"
down_revision = "c020"


def upgrade():
    op.rename_table("profiles", "user_profiles")
    op.execute("ALTER SEQUENCE profiles_id_seq RENAME TO user_profiles_id_seq")
