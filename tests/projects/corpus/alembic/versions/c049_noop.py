"""Noop"""

revision = "c049"
down_revision = "c048"


def upgrade():
    pass
