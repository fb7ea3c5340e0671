"""To uuid"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c039"
down_revision = "c038"


def upgrade():
    op.add_column("audit", sa.Column("document_id", sa.String(36)))
    op.alter_column("audit", "document_id", type_=postgresql.UUID(), postgresql_using="document_id::uuid")
