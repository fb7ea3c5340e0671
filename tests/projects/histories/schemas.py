op.execute("create schema if not exists app")
op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), schema="app")
# ---
op.execute("create schema archive")
op.execute("alter table app.t set schema archive")
# ---
op.execute("set local search_path to archive, public")
op.execute("create index on t (id)")
op.add_column("t", sa.Column("a", sa.Integer), schema="archive")
# ---
op.execute("drop schema app")
