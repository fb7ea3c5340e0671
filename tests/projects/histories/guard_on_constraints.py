op.execute("create table t (id int primary key, a int, constraint uq_old unique (a))")
# ---
names = {c["name"] for c in inspect(op.get_bind()).get_unique_constraints("t")}
if "uq_old" in names:
    op.drop_constraint("uq_old", "t", type_="unique")
if "uq_new" not in names:
    op.create_unique_constraint("uq_new", "t", ["a", "id"])
