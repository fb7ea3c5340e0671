"""step 4"""

revision = "aaaa0004"
down_revision = "aaaa0003"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
