op.create_table("t", sa.Column("a", sa.Integer))
# ---
if not inspect(op.get_bind()).has_table("absent"):
    return
op.drop_table("absent")
# ---
if inspect(op.get_bind()).has_table("t"):
    op.add_column("t", sa.Column("b", sa.Integer))
    return
op.create_table("t", sa.Column("a", sa.Integer), sa.Column("b", sa.Integer))
