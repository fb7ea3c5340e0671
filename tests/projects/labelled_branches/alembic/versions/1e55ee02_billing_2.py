"""billing 2"""

revision = "1e55ee02"
down_revision = "1d44dd01"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
