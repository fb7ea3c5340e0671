op.execute("create table log (id int, at date)")
op.execute("insert into log values (1, '2020-02-02')")
# ---
op.execute("alter table log rename to log_old")
op.execute("create table log (id int, at date) partition by range (at)")
op.execute("create table log_all partition of log for values from (minvalue) to (maxvalue)")
op.execute("insert into log select * from log_old")
# ---
op.execute("drop table log_old")
