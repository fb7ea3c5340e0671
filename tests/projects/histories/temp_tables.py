op.execute("create table t (id int, a int)")
op.execute("insert into t values (1, 2)")
# ---
op.execute("create temporary table work as select * from t")
op.execute("alter table t drop column a")
op.execute("alter table t add column b int")
op.execute("update t set b = work.a from work where work.id = t.id")
op.execute("drop table work")
# ---
op.execute("create temp table work (id int) on commit drop")
op.execute("insert into work values (1)")
op.add_column("t", sa.Column("c", sa.Integer))
# ---
op.create_table("work", sa.Column("id", sa.Integer))
