op.execute("create table t (id int, a int)")
# ---
op.execute("alter table t add constraint ck check (a is not null) not valid")
# ---
op.execute("alter table t validate constraint ck")
op.execute("alter table t alter a set not null")
# ---
op.execute("alter table t drop constraint ck")
