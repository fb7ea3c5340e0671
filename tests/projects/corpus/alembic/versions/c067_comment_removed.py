"""Comment removed"""

from alembic import op

revision = "c067"
down_revision = "c066"


def upgrade():
    op.drop_table_comment("users", existing_comment="people who may sign in")
    op.execute("COMMENT ON COLUMN users.email IS NULL")
