op.execute("create table t (id serial primary key, a int)")
op.execute("create index ix_t_a on t (a)")
# ---
op.drop_table("t")
op.execute("create table t (id bigserial primary key, a text)")
op.execute("create index ix_t_a on t (lower(a))")
# ---
op.drop_table("t")
# ---
op.execute("create view t as select 1 as id, 'x'::text as a")
