"""add document owner

Revision ID: b354d12d1e7d
Revises: 1f0c7be2a934
Create Date: 2025-02-17 16:40:02.518290

"""
import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "b354d12d1e7d"
down_revision = "1f0c7be2a934"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("owner_id", sa.Integer(), nullable=True))
    op.create_foreign_key("documents_owner_id_fkey", "documents", "users", ["owner_id"], ["id"], ondelete="SET NULL")
    op.create_index("ix_documents_owner_id", "documents", ["owner_id"])


def downgrade() -> None:
    op.drop_index("ix_documents_owner_id", table_name="documents")
    op.drop_constraint("documents_owner_id_fkey", "documents", type_="foreignkey")
    op.drop_column("documents", "owner_id")
