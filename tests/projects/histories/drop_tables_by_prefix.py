for n in range(3):
    op.create_table(f"tmp_{n}", sa.Column("a", sa.Integer))
op.create_table("kept", sa.Column("a", sa.Integer))
# ---
for name in inspect(op.get_bind()).get_table_names():
    if name.startswith("tmp_"):
        op.drop_table(name)
