"""step 5"""

revision = "aaaa0005"
down_revision = "aaaa0004"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
