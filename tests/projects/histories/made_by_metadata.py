m = sa.MetaData()
sa.Table("a", m, sa.Column("id", sa.Integer, primary_key=True))
sa.Table("b", m, sa.Column("id", sa.Integer, primary_key=True), sa.Column("a_id", sa.Integer, sa.ForeignKey("a.id")), sa.Column("kind", sa.Enum("x", "y", name="kind_of_b")))
m.create_all(op.get_bind(), checkfirst=True)
# ---
m = sa.MetaData()
m.reflect(bind=op.get_bind())
m.tables["b"].drop(op.get_bind())
op.execute("drop type kind_of_b")
# ---
m = sa.MetaData()
sa.Table("b", m, sa.Column("id", sa.BigInteger, primary_key=True))
m.create_all(op.get_bind())
