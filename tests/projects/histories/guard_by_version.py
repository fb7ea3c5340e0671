op.create_table("t", sa.Column("a", sa.Integer))
# ---
if op.get_bind().dialect.server_version_info >= (10,):
    op.add_column("t", sa.Column("modern", sa.Integer))
else:
    op.add_column("t", sa.Column("old", sa.Integer))
