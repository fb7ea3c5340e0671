"""orders 2"""

revision = "0b22bb02"
down_revision = "0a11aa01"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
