"""Raw create table"""

from alembic import op

revision = "c013"
down_revision = "c012"


def upgrade():
    op.execute(
        """
        CREATE TABLE audit (
            id bigserial PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT now(),
            who varchar(50) DEFAULT 'nobody',
            payload jsonb DEFAULT '{}'::jsonb,
            hits int[] NOT NULL DEFAULT '{}',
            user_id integer REFERENCES users (id) ON DELETE SET NULL,
            CONSTRAINT audit_who CHECK (who <> '')
        );
        CREATE INDEX audit_at ON audit (at DESC);
        COMMENT ON TABLE audit IS 'who did what';
        """
    )
