"""bbbb0002"""

revision = "bbbb0002"
down_revision = "bbbb0001"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
