"""Domain"""

from alembic import op

revision = "c034"
down_revision = "c033"


def upgrade():
    op.execute("CREATE DOMAIN email_address AS varchar(254) CHECK (VALUE ~ '^[^@]+@[^@]+$')")
    op.execute("ALTER TABLE user_profiles ADD COLUMN contact email_address")
