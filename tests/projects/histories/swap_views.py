op.execute("create table t (a int, b int)")
op.execute("create view v as select a from t")
op.execute("create view v_new as select b from t")
# ---
op.execute("alter view v rename to v_old")
op.execute("alter view v_new rename to v")
op.execute("drop view v_old")
