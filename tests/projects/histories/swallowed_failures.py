op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))
# ---
try:
    with op.get_bind().begin_nested():
        op.drop_table("never_there")
except Exception as error:
    print(error)
op.add_column("t", sa.Column("a", sa.Integer))
# ---
try:
    with op.get_bind().begin_nested():
        op.add_column("t", sa.Column("a", sa.Integer))
except Exception:
    pass
try:
    with op.get_bind().begin_nested():
        op.create_index("ix_t_a", "t", ["a"])
except Exception:
    pass
