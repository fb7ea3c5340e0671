"""Do block type"""

from alembic import op

revision = "c017"
down_revision = "c016"


def upgrade():
    op.execute("""
        DO $$
        BEGIN
            IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'priority') THEN
                CREATE TYPE priority AS ENUM ('low', 'normal', 'high');
            END IF;
        END
        $$;
    """)
    op.execute("ALTER TABLE orders ADD COLUMN priority priority NOT NULL DEFAULT 'normal'")
