op.create_table("t", sa.Column("a", sa.Integer))
# ---
op.alter_column("t", "a", new_column_name="b")
# ---
op.alter_column("t", "b", new_column_name="a")
# ---
op.add_column("t", sa.Column("c", sa.Integer))
