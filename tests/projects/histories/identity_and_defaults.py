op.create_table("t", sa.Column("id", sa.Integer, sa.Identity(), primary_key=True), sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now()), sa.Column("j", sa.JSON, server_default="{}"))
# ---
op.alter_column("t", "at", server_default=sa.text("clock_timestamp()"))
op.alter_column("t", "j", server_default=None)
# ---
op.alter_column("t", "id", type_=sa.BigInteger())
op.alter_column("t", "at", server_default=sa.func.now())
