"""require document owner

Revision ID: aae3309a2a8b
Revises: 0d7be4a6315c
Create Date: 2025-05-21 12:06:53.117402

"""
import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "aae3309a2a8b"
down_revision = "0d7be4a6315c"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE documents SET owner_id = (SELECT min(id) FROM users) WHERE owner_id IS NULL")
    op.drop_constraint("documents_owner_id_fkey", "documents", type_="foreignkey")
    op.create_foreign_key("documents_owner_id_fkey", "documents", "users", ["owner_id"], ["id"], ondelete="RESTRICT")
    op.alter_column("documents", "owner_id", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    op.alter_column("documents", "owner_id", existing_type=sa.Integer(), nullable=True)
    op.drop_constraint("documents_owner_id_fkey", "documents", type_="foreignkey")
    op.create_foreign_key("documents_owner_id_fkey", "documents", "users", ["owner_id"], ["id"], ondelete="SET NULL")
