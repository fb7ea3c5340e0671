"""Do block exception"""

from alembic import op

revision = "c018"
down_revision = "c017"


def upgrade():
    op.execute("""
        DO $$ BEGIN
            CREATE TYPE channel AS ENUM ('mail', 'sms');
        EXCEPTION WHEN duplicate_object THEN NULL;
        END $$
    """)
