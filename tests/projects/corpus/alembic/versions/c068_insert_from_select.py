"""Insert from select"""

import sqlalchemy as sa
from alembic import op

revision = "c068"
down_revision = "c067"


def upgrade():
    tags = sa.table("tags", sa.column("label"), sa.column("slug"))
    op.execute(tags.insert().values(label="first", slug="first"))
