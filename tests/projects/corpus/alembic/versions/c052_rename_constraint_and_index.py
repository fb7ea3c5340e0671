"""Rename constraint and index"""

from alembic import op

revision = "c052"
down_revision = "c051"


def upgrade():
    op.execute("ALTER TABLE bookings RENAME CONSTRAINT bookings_user TO bookings_owner")
    op.execute("ALTER INDEX ix_audit_who RENAME TO ix_audit_actor")
