"""orders 3"""

revision = "0c33cc03"
down_revision = "0b22bb02"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
