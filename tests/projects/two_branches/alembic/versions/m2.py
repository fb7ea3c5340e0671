"""cccc0002"""

revision = "cccc0002"
down_revision = "cccc0001"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
