"""Unique column shortcuts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c063"
down_revision = "c062"


def upgrade():
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.String(64), unique=True, index=False),
        sa.Column("kind", sa.SmallInteger, nullable=False, index=True),
        sa.Column("expires", sa.Time()),
        sa.Column("blob", postgresql.BYTEA()),
        sa.Column("ip", postgresql.INET()),
        sa.Column("search", postgresql.TSVECTOR()),
    )
    op.create_index("ix_tokens_search", "tokens", ["search"], postgresql_using="gin")
