"""step 3"""

revision = "aaaa0003"
down_revision = "aaaa0002"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
