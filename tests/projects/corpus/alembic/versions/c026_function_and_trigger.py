"""Function and trigger"""

from alembic import op

revision = "c026"
down_revision = "c025"


def upgrade():
    op.execute("""
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.created_at = now();
            RETURN NEW;
        END $$
    """)
    op.execute("CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()")
