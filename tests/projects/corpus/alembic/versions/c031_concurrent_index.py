"""Concurrent index"""

from alembic import op

revision = "c031"
down_revision = "c030"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("ix_audit_who", "audit", ["who"], postgresql_concurrently=True, if_not_exists=True)
