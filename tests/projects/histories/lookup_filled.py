kinds = op.create_table("kinds", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
op.bulk_insert(kinds, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
# ---
op.create_table("t", sa.Column("kind_id", sa.Integer, sa.ForeignKey("kinds.id"), server_default="1"))
known = [r.name for r in op.get_bind().execute(text("select name from kinds order by id"))]
op.execute("create type kind as enum (%s)" % ", ".join(f"'{name}'" for name in known))
# ---
op.execute("alter table t add column kind kind")
op.execute("update t set kind = kinds.name::kind from kinds where kinds.id = kind_id")
op.drop_column("t", "kind_id")
op.drop_table("kinds")
