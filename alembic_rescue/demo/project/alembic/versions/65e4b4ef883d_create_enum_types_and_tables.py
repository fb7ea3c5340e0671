"""create enum types and tables

Revision ID: 65e4b4ef883d
Revises: b354d12d1e7d
Create Date: 2025-03-05 09:03:11.774012

"""
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = "65e4b4ef883d"
down_revision = "b354d12d1e7d"
branch_labels = None
depends_on = None

document_status = postgresql.ENUM("draft", "in_review", "published", name="document_status", create_type=False)
review_decision = postgresql.ENUM("approved", "changes_requested", name="review_decision", create_type=False)


def upgrade() -> None:
    bind = op.get_bind()
    document_status.create(bind, checkfirst=True)
    review_decision.create(bind, checkfirst=True)

    inspector = sa.inspect(bind)
    if "status" not in {column["name"] for column in inspector.get_columns("documents")}:
        op.add_column("documents", sa.Column("status", document_status, server_default="draft", nullable=False))
    if not inspector.has_table("tags"):
        op.create_table(
            "tags",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("name", sa.String(length=60), nullable=False),
            sa.PrimaryKeyConstraint("id", name="tags_pkey"),
            sa.UniqueConstraint("name", name="tags_name_key"),
        )
    if not inspector.has_table("document_reviews"):
        op.create_table(
            "document_reviews",
            sa.Column("id", sa.Integer(), nullable=False),
            sa.Column("document_id", sa.String(length=36), nullable=False),
            sa.Column("reviewer_id", sa.Integer(), nullable=True),
            sa.Column("decision", review_decision, nullable=False),
            sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
            sa.ForeignKeyConstraint(
                ["document_id"], ["documents.id"], name="document_reviews_document_id_fkey", ondelete="CASCADE"
            ),
            sa.ForeignKeyConstraint(
                ["reviewer_id"], ["users.id"], name="document_reviews_reviewer_id_fkey", ondelete="SET NULL"
            ),
            sa.PrimaryKeyConstraint("id", name="document_reviews_pkey"),
        )


def downgrade() -> None:
    op.drop_table("document_reviews")
    op.drop_table("tags")
    op.drop_column("documents", "status")
    review_decision.drop(op.get_bind(), checkfirst=True)
    document_status.drop(op.get_bind(), checkfirst=True)
