"""Replace function"""

from alembic import op

revision = "c027"
down_revision = "c026"


def upgrade():
    op.execute("""
        CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.created_at = clock_timestamp();
            RETURN NEW;
        END $$
    """)
