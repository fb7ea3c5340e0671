op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.String(20)), sa.Column("b", sa.String(20)))
# ---
for column in inspect(op.get_bind()).get_columns("t"):
    if isinstance(column["type"], sa.String):
        op.alter_column("t", column["name"], type_=sa.Text())
# ---
table = sa.Table("t", sa.MetaData(), autoload_with=op.get_bind())
for column in table.columns:
    if column.name != "id":
        op.create_index(f"ix_t_{column.name}", "t", [column.name])
