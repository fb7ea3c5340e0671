"""Drop table with everything"""

from alembic import op

revision = "c064"
down_revision = "c063"


def upgrade():
    op.drop_index("ix_tokens_search", table_name="tokens")
    op.drop_table("tokens")
