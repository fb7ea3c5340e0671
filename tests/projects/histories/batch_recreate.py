op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer), sa.CheckConstraint("a > 0", name="ck_a"))
# ---
with op.batch_alter_table("t", recreate="always") as batch:
    batch.alter_column("a", type_=sa.BigInteger())
    batch.add_column(sa.Column("b", sa.Text))
# ---
with op.batch_alter_table("t") as batch:
    batch.drop_constraint("ck_a", type_="check")
    batch.drop_column("b")
