"""Search path set"""

from alembic import op

revision = "c060"
down_revision = "c059"


def upgrade():
    op.execute("SET search_path TO billing, public")
    op.execute("CREATE TABLE rates (code char(2) PRIMARY KEY, rate real NOT NULL DEFAULT 1.5)")
    op.execute("SET search_path TO public")
