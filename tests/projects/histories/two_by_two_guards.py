op.create_table("a", sa.Column("x", sa.Integer))
# ---
insp = inspect(op.get_bind())
if insp.has_table("a") and not insp.has_table("b"):
    op.rename_table("a", "b")
# ---
insp = inspect(op.get_bind())
if not insp.has_table("a"):
    op.create_table("a", sa.Column("y", sa.Integer))
# ---
if inspect(op.get_bind()).has_table("b"):
    op.drop_table("b")
