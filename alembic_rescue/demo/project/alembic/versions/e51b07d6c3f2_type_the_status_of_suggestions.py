"""type the status of suggestions

Revision ID: e51b07d6c3f2
Revises: d47310025be2
Create Date: 2025-04-03 09:38:12.207551

"""
from alembic import op

# revision identifiers, used by Alembic.
revision = "e51b07d6c3f2"
down_revision = "d47310025be2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE document_ai_suggestions ALTER COLUMN status DROP DEFAULT")
    op.execute(
        "ALTER TABLE document_ai_suggestions ALTER COLUMN status TYPE suggestion_status USING status::suggestion_status"
    )
    op.execute("ALTER TABLE document_ai_suggestions ALTER COLUMN status SET DEFAULT 'pending'")


def downgrade() -> None:
    op.execute("ALTER TABLE document_ai_suggestions ALTER COLUMN status DROP DEFAULT")
    op.execute("ALTER TABLE document_ai_suggestions ALTER COLUMN status TYPE VARCHAR(20) USING status::text")
    op.execute("ALTER TABLE document_ai_suggestions ALTER COLUMN status SET DEFAULT 'pending'")
