from sqlalchemy.dialects import postgresql
def upgrade():
    state = postgresql.ENUM("on", "off", name="state")
    op.create_table("a", sa.Column("id", sa.Integer), sa.Column("s", state))
# ---
from sqlalchemy.dialects import postgresql
def upgrade():
    state = postgresql.ENUM("on", "off", name="state", create_type=False)
    op.create_table("b", sa.Column("id", sa.Integer), sa.Column("s", state))
    op.add_column("b", sa.Column("s2", state, server_default="off"))
# ---
op.drop_table("a")
op.drop_column("b", "s")
