"""payments"""

import sqlalchemy as sa
from alembic import op

revision = "b1110002"
down_revision = "b1110001"
depends_on = "c0de0002"


def upgrade():
    op.create_table("payments", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade():
    op.drop_table("payments")
