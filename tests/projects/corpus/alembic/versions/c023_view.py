"""View"""

from alembic import op

revision = "c023"
down_revision = "c022"


def upgrade():
    op.execute("CREATE VIEW active_users AS SELECT id, email, lower(name) AS name FROM users WHERE is_active")
