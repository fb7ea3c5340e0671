op.execute("create table t (id int primary key, a int not null, b bigint)")
# ---
op.alter_column("t", "a", new_column_name="a_old")
op.alter_column("t", "b", new_column_name="a")
op.alter_column("t", "a_old", new_column_name="b")
# ---
op.alter_column("t", "a", nullable=False)
