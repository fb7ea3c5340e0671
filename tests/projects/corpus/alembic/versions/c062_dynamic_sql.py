"""Dynamic sql"""

from alembic import op

revision = "c062"
down_revision = "c061"


def upgrade():
    op.execute("""
        DO $$
        DECLARE t text;
        BEGIN
            FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'billing' LOOP
                EXECUTE format('ALTER TABLE billing.%I SET (fillfactor = 90)', t);
            END LOOP;
        END $$
    """)
