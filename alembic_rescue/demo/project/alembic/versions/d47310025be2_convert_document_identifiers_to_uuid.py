"""convert document identifiers to UUID

Revision ID: d47310025be2
Revises: 774225e563ca
Create Date: 2025-04-02 11:55:38.640917

"""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = "d47310025be2"
down_revision = "774225e563ca"
branch_labels = None
depends_on = None

REFERRING = ("document_reviews", "document_ai_suggestions")


def upgrade() -> None:
    for table in REFERRING:
        op.drop_constraint(f"{table}_document_id_fkey", table, type_="foreignkey")
    op.alter_column(
        "documents",
        "id",
        existing_type=sa.String(length=36),
        type_=postgresql.UUID(),
        existing_nullable=False,
        postgresql_using="id::uuid",
    )
    op.alter_column("documents", "id", existing_type=postgresql.UUID(), server_default=sa.text("gen_random_uuid()"))
    for table in REFERRING:
        op.alter_column(
            table,
            "document_id",
            existing_type=sa.String(length=36),
            type_=postgresql.UUID(),
            existing_nullable=False,
            postgresql_using="document_id::uuid",
        )
        op.create_foreign_key(
            f"{table}_document_id_fkey", table, "documents", ["document_id"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    for table in REFERRING:
        op.drop_constraint(f"{table}_document_id_fkey", table, type_="foreignkey")
    op.alter_column("documents", "id", existing_type=postgresql.UUID(), server_default=None)
    op.alter_column(
        "documents",
        "id",
        existing_type=postgresql.UUID(),
        type_=sa.String(length=36),
        existing_nullable=False,
        postgresql_using="id::text",
    )
    for table in REFERRING:
        op.alter_column(
            table,
            "document_id",
            existing_type=postgresql.UUID(),
            type_=sa.String(length=36),
            existing_nullable=False,
            postgresql_using="document_id::text",
        )
        op.create_foreign_key(
            f"{table}_document_id_fkey", table, "documents", ["document_id"], ["id"], ondelete="CASCADE"
        )
