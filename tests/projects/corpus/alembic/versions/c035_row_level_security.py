"""Row level security"""

from alembic import op

revision = "c035"
down_revision = "c034"


def upgrade():
    op.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY own_orders ON orders FOR SELECT USING (user_id = current_setting('app.user')::int)")
