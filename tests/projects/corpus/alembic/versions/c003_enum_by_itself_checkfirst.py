"""Enum by itself checkfirst"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c003"
down_revision = "c002"

role = postgresql.ENUM("owner", "member", "guest", name="member_role", create_type=False)


def upgrade():
    role.create(op.get_bind(), checkfirst=True)
    op.create_table(
        "memberships",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(40), nullable=False),
        sa.Column("role", role, nullable=False, server_default="member"),
        sa.PrimaryKeyConstraint("user_id", "team", name="memberships_pk"),
    )
