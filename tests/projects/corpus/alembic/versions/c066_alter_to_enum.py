"""Alter to enum"""

import sqlalchemy as sa
from alembic import op

revision = "c066"
down_revision = "c065"


def upgrade():
    kind = sa.Enum("debit", "credit", name="entry_kind")
    kind.create(op.get_bind())
    op.add_column("ledger", sa.Column("entry", sa.String(10), nullable=False, server_default="debit"))
    op.alter_column("ledger", "entry", server_default=None)
    op.alter_column("ledger", "entry", type_=kind, existing_type=sa.String(10), postgresql_using="entry::entry_kind")
    op.alter_column("ledger", "entry", server_default="debit")
