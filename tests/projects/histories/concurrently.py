op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer))
# ---
with op.get_context().autocommit_block():
    op.create_index("ix_t_a", "t", ["a"], postgresql_concurrently=True, if_not_exists=True)
# ---
with op.get_context().autocommit_block():
    op.drop_index("ix_t_a", table_name="t", postgresql_concurrently=True, if_exists=True)
op.add_column("t", sa.Column("b", sa.Integer))
# ---
with op.get_context().autocommit_block():
    op.execute("create unique index concurrently uq_t_b on t (b)")
op.execute("alter table t add constraint uq_t_b unique using index uq_t_b")
