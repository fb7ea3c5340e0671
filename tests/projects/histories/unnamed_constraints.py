op.execute("create table p (id int primary key, a int, b int)")
op.execute("create table c (pid int)")
# ---
op.create_foreign_key(None, "c", "p", ["pid"], ["id"])
op.create_unique_constraint(None, "p", ["a"])
# ---
op.execute("alter table p add unique (a, b), add check (a > 0)")
# ---
op.drop_constraint("c_pid_fkey", "c", type_="foreignkey")
op.drop_constraint("p_a_check", "p")
