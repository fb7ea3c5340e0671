op.execute("create table t (a int)")
# ---
op.execute("do $$ begin create type mood as enum ('a'); exception when duplicate_object then null; end $$")
op.execute("do $$ begin alter table t add column m mood; exception when duplicate_column then null; end $$")
# ---
op.execute("do $$ begin create type mood as enum ('a'); exception when duplicate_object then null; end $$")
op.execute("alter table t add column n int")
