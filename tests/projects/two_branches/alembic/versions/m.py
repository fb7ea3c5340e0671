"""cccc0001"""

revision = "cccc0001"
down_revision = ("aaaa0002", "bbbb0002")
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
