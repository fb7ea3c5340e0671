op.execute("create table if not exists t (a int)")
op.execute("create index if not exists ix on t (a)")
# ---
op.execute("alter table t add column if not exists b int")
op.execute("alter table t drop column if exists never")
op.execute("drop index if exists ix")
# ---
op.execute("drop table if exists never_there")
op.execute("create or replace view v as select a from t")
