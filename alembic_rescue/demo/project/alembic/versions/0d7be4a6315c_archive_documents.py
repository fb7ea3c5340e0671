"""archive documents

Revision ID: 0d7be4a6315c
Revises: c86d2f4b9e01
Create Date: 2025-05-06 15:31:17.452660

"""
import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0d7be4a6315c"
down_revision = "c86d2f4b9e01"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TYPE document_status ADD VALUE IF NOT EXISTS 'archived'")
    op.add_column("documents", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("documents", "archived_at")  # PostgreSQL cannot take a value out of an enum type again
