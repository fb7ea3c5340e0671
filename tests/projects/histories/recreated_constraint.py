op.execute("create table p (id int primary key)")
op.execute("create table c (pid int constraint fk references p)")
# ---
op.drop_constraint("fk", "c", type_="foreignkey")
op.create_foreign_key("fk", "c", "p", ["pid"], ["id"], ondelete="CASCADE")
# ---
op.drop_constraint("fk", "c", type_="foreignkey")
op.create_foreign_key("fk", "c", "p", ["pid"], ["id"])
# ---
op.drop_constraint("fk", "c", type_="foreignkey")
