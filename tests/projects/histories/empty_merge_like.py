op.create_table("t", sa.Column("a", sa.Integer))
# ---
pass
# ---
op.add_column("t", sa.Column("b", sa.Integer))
# ---
print("nothing to do")
