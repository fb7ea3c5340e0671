"""Session and orm"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import orm

revision = "c042"
down_revision = "c041"


def upgrade():
    session = orm.Session(bind=op.get_bind())
    rows = session.execute(sa.text("SELECT id FROM users")).fetchall()
    for row in rows:
        session.execute(sa.text("UPDATE users SET score = 2 WHERE id = :id"), {"id": row.id})
    session.execute(sa.text("UPDATE users SET score = 3 WHERE score IS NULL"))
