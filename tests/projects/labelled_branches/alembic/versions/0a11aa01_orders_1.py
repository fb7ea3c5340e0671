"""orders 1"""

revision = "0a11aa01"
down_revision = "5afe0000"
branch_labels = "orders"
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
