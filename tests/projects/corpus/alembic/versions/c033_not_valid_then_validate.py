"""Not valid then validate"""

from alembic import op

revision = "c033"
down_revision = "c032"


def upgrade():
    op.create_check_constraint("score_range", "users", "score BETWEEN 0 AND 1000", postgresql_not_valid=True)
    op.execute("ALTER TABLE users VALIDATE CONSTRAINT ck_users_score_range")
