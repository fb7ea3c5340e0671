"""add document AI suggestions and version

Revision ID: 774225e563ca
Revises: 65e4b4ef883d
Create Date: 2025-03-19 18:27:50.096551

"""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = "774225e563ca"
down_revision = "65e4b4ef883d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    if "version" not in {column["name"] for column in inspector.get_columns("documents")}:
        op.add_column("documents", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    if not inspector.has_table("document_ai_suggestions"):
        op.create_table(
            "document_ai_suggestions",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("document_id", sa.String(length=36), nullable=False),
            sa.Column("status", sa.String(length=20), server_default="pending", nullable=False),
            sa.Column("suggestion", postgresql.JSONB(), nullable=False),
            sa.Column("model", sa.String(length=80), nullable=False),
            sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
            sa.ForeignKeyConstraint(
                ["document_id"], ["documents.id"], name="document_ai_suggestions_document_id_fkey", ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("id", name="document_ai_suggestions_pkey"),
        )
        op.create_index("ix_document_ai_suggestions_document_id", "document_ai_suggestions", ["document_id"])

    try:
        op.execute("CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')")
    except Exception:
        pass  # already exists


def downgrade() -> None:
    op.execute("DROP TYPE suggestion_status")
    op.drop_index("ix_document_ai_suggestions_document_id", table_name="document_ai_suggestions")
    op.drop_table("document_ai_suggestions")
    op.drop_column("documents", "version")
