"""Drop check"""

from alembic import op

revision = "c009"
down_revision = "c008"


def upgrade():
    op.drop_constraint("ck_memberships_team", "memberships", type_="check")
