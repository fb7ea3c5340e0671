op.execute("create table log (id int, at date, primary key (id, at)) partition by range (at)")
op.execute("create table log_2020 partition of log for values from ('2020-01-01') to ('2021-01-01')")
op.execute("create index log_at on log (at)")
# ---
op.execute("create table log_2021 (like log including all)")
op.execute("alter table log attach partition log_2021 for values from ('2021-01-01') to ('2022-01-01')")
# ---
op.execute("alter table log detach partition log_2020")
op.execute("drop table log_2020")
# ---
op.execute("create table log_rest partition of log default")
op.execute("alter table log add column note text")
