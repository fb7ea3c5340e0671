op.execute("create table p (id int primary key)")
op.execute("create table c (pid int references p)")
op.execute("create view v as select id from p")
# ---
op.execute("drop table p cascade")
# ---
op.execute("create table p (id int primary key)")
op.execute("alter table c add constraint c_pid_fkey foreign key (pid) references p")
