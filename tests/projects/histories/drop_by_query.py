op.execute("create table t (id int, a int, check (a > 0), check (a < 100), unique (a))")
# ---
for (name,) in op.get_bind().execute(text("select conname from pg_constraint where conrelid = 't'::regclass and contype = 'c'")).all():
    op.drop_constraint(name, "t", type_="check")
# ---
for (name,) in op.get_bind().execute(text("select indexname from pg_indexes where tablename = 't'")).all():
    op.execute(f'alter table t drop constraint "{name}"')
op.create_index("ix_t_a", "t", ["a"])
