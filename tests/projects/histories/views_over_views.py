op.execute("create table t (a int, b int)")
op.execute("create view v1 as select a, b from t")
op.execute("create view v2 as select a from v1 where b > 1")
op.execute("create view v3 as select count(*) as n from v2")
# ---
op.execute("drop view v3, v2, v1")
op.alter_column("t", "b", type_=sa.BigInteger())
op.execute("create view v1 as select a, b from t")
op.execute("create view v2 as select a from v1 where b > 1")
op.execute("create view v3 as select count(*) as n from v2")
# ---
op.alter_column("t", "b", new_column_name="c")
# ---
op.execute("drop view v1 cascade")
