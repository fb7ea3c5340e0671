convention = {"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s", "pk": "pk_%(table_name)s"}
m = sa.MetaData(naming_convention=convention)
sa.Table("p", m, sa.Column("id", sa.Integer, primary_key=True), sa.Column("u", sa.Integer, unique=True, index=False))
sa.Table("c", m, sa.Column("id", sa.Integer, primary_key=True), sa.Column("pid", sa.Integer, sa.ForeignKey("p.id"), index=True), sa.CheckConstraint("id > 0", name="positive"))
m.create_all(op.get_bind())
# ---
op.drop_constraint(op.f("fk_c_pid_p"), "c", type_="foreignkey")
op.drop_constraint(op.f("uq_p_u"), "p", type_="unique")
op.drop_constraint(op.f("ck_c_positive"), "c", type_="check")
# ---
with op.batch_alter_table("c", naming_convention={"fk": "fk_%(table_name)s_%(column_0_name)s"}) as batch:
    batch.create_foreign_key("fk_c_pid", "p", ["pid"], ["id"])
