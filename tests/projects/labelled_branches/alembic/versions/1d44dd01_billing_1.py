"""billing 1"""

revision = "1d44dd01"
down_revision = "5afe0000"
branch_labels = "billing"
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
