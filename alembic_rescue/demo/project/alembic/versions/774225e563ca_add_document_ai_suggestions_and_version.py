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

suggestion_status = postgresql.ENUM("pending", "accepted", "rejected", name="suggestion_status", create_type=False)


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    has_version = "version" in {column["name"] for column in inspector.get_columns("documents")}
    has_suggestions = inspector.has_table("document_ai_suggestions")

    try:
        op.execute("CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')")
    except Exception:
        pass  # already exists

    if not has_version:
        op.add_column("documents", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    if not has_suggestions:
        op.create_table(
            "document_ai_suggestions",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("document_id", sa.String(length=36), nullable=False),
            sa.Column("status", suggestion_status, server_default="pending", nullable=False),
            sa.Column("suggestion", postgresql.JSONB(), nullable=False),
            sa.Column("model", sa.String(length=80), nullable=False),
            sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
            sa.ForeignKeyConstraint(
                ["document_id"], ["documents.id"], name="document_ai_suggestions_document_id_fkey", ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("id", name="document_ai_suggestions_pkey"),
        )
        op.create_index("ix_document_ai_suggestions_document_id", "document_ai_suggestions", ["document_id"])


def downgrade() -> None:
    op.drop_index("ix_document_ai_suggestions_document_id", table_name="document_ai_suggestions")
    op.drop_table("document_ai_suggestions")
    op.drop_column("documents", "version")
    suggestion_status.drop(op.get_bind(), checkfirst=True)
