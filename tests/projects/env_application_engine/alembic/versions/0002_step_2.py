"""step 2"""

revision = "aaaa0002"
down_revision = "aaaa0001"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
