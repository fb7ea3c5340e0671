"""Fk and unique named"""

import sqlalchemy as sa
from alembic import op

revision = "c008"
down_revision = "c007"


def upgrade():
    op.create_foreign_key("fk_memberships_user", "memberships", "users", ["user_id"], ["id"], ondelete="SET NULL", onupdate="CASCADE")
    op.create_unique_constraint("uq_memberships_team_role", "memberships", ["team", "role", "user_id"])
    op.create_check_constraint("ck_memberships_team", "memberships", sa.column("team").in_(["a", "b", "core"]))
