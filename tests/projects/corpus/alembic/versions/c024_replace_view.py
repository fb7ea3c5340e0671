"""Replace view"""

from alembic import op

revision = "c024"
down_revision = "c023"


def upgrade():
    op.execute("CREATE OR REPLACE VIEW active_users AS SELECT id, email, lower(name) AS name, score FROM users WHERE is_active")
