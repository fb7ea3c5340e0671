op.execute("create table t (a int)")
op.execute("create materialized view mv as select a from t with no data")
op.execute("create unique index mv_a on mv (a)")
# ---
op.execute("refresh materialized view mv")
# ---
op.execute("drop materialized view mv")
op.execute("create materialized view mv as select a + 1 as a from t")
op.execute("create index mv_a on mv (a)")
