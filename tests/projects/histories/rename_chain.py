op.create_table("one", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Text))
op.create_index("ix_one_a", "one", ["a"])
# ---
op.rename_table("one", "two")
# ---
op.execute("alter index ix_one_a rename to ix_two_a")
op.execute("alter index one_pkey rename to two_pkey")
# ---
op.alter_column("two", "a", new_column_name="b")
# ---
op.rename_table("two", "three")
op.alter_column("three", "b", new_column_name="c", type_=sa.String(50))
