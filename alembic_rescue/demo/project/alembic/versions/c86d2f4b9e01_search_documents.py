"""search documents

Revision ID: c86d2f4b9e01
Revises: 3a9e5c1d70f8
Create Date: 2025-04-23 08:47:29.908145

"""
from alembic import op

# revision identifiers, used by Alembic.
revision = "c86d2f4b9e01"
down_revision = "3a9e5c1d70f8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE documents ADD COLUMN search tsvector
        GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || body)) STORED
        """
    )
    op.create_index("ix_documents_search", "documents", ["search"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_documents_search", table_name="documents")
    op.drop_column("documents", "search")
