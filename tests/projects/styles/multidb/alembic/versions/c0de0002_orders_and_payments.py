"""orders and payments"""

import sqlalchemy as sa
from alembic import op

revision = "c0de0002"
down_revision = "c0de0001"


def upgrade(engine_name: str) -> None:
    """Upgrade schema."""
    globals()["upgrade_%s" % engine_name]()


def downgrade(engine_name: str) -> None:
    """Downgrade schema."""
    globals()["downgrade_%s" % engine_name]()


def upgrade_engine1() -> None:
    """Upgrade engine1 schema."""
    op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade_engine1() -> None:
    """Downgrade engine1 schema."""
    op.drop_table("orders")


def upgrade_engine2() -> None:
    """Upgrade engine2 schema."""
    op.create_table("payments", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(40)))


def downgrade_engine2() -> None:
    """Downgrade engine2 schema."""
    op.drop_table("payments")
