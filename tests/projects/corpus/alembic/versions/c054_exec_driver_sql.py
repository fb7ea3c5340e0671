"""Exec driver sql"""

from alembic import op

revision = "c054"
down_revision = "c053"


def upgrade():
    op.get_bind().exec_driver_sql("CREATE TABLE metrics (at timestamp(3), value double precision, label char(4))")
