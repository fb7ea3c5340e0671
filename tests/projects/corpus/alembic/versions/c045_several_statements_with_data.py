"""Several statements with data"""

from alembic import op

revision = "c045"
down_revision = "c044"


def upgrade():
    op.execute("ALTER TABLE tags ADD COLUMN slug text; UPDATE tags SET slug = label; ALTER TABLE tags ALTER slug SET NOT NULL")
