"""tag documents

Revision ID: 3a9e5c1d70f8
Revises: e51b07d6c3f2
Create Date: 2025-04-09 14:20:05.331284

"""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = "3a9e5c1d70f8"
down_revision = "e51b07d6c3f2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "document_tags",
        sa.Column("document_id", postgresql.UUID(), nullable=False),
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="document_tags_document_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="document_tags_tag_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("document_id", "tag_id", name="document_tags_pkey"),
    )


def downgrade() -> None:
    op.drop_table("document_tags")
