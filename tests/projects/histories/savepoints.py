op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))
# ---
bind = op.get_bind()
with bind.begin_nested():
    op.add_column("t", sa.Column("a", sa.Integer))
inner = bind.begin_nested()
op.add_column("t", sa.Column("never", sa.Integer))
inner.rollback()
# ---
op.execute("savepoint s")
op.execute("alter table t add column b int")
op.execute("rollback to savepoint s")
op.execute("alter table t add column c int")
op.execute("release savepoint s")
