op.create_table("p", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
# ---
session = orm.Session(bind=op.get_bind())
for n in range(3):
    session.execute(text("insert into p (name) values (:n)"), {"n": str(n)})
session.commit()
op.add_column("p", sa.Column("size", sa.Integer))
# ---
session = orm.Session(bind=op.get_bind())
for row in session.execute(text("select id, name from p")).all():
    session.execute(text("update p set size = :s where id = :i"), {"s": len(row.name), "i": row.id})
session.flush()
op.alter_column("p", "size", nullable=False)
