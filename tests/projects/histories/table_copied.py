op.execute("create table t (id int primary key, a varchar(10))")
op.execute("insert into t values (1, 'x')")
# ---
op.execute("create table t_new (id bigint primary key, a text not null)")
op.execute("insert into t_new select * from t")
op.execute("drop table t")
op.execute("alter table t_new rename to t")
op.execute("alter index t_new_pkey rename to t_pkey")
# ---
op.execute("create table t_copy (like t including all)")
op.execute("insert into t_copy select * from t")
op.execute("drop table t")
op.execute("alter table t_copy rename to t")
