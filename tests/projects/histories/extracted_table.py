op.execute("create table person (id serial primary key, name text, street text, city text)")
op.execute("insert into person (name, street, city) values ('a', 's', 'c')")
# ---
op.create_table("address", sa.Column("id", sa.Integer, primary_key=True), sa.Column("person_id", sa.Integer, sa.ForeignKey("person.id")), sa.Column("street", sa.Text), sa.Column("city", sa.Text))
op.execute("insert into address (person_id, street, city) select id, street, city from person")
op.drop_column("person", "street")
op.drop_column("person", "city")
# ---
op.execute("alter table address alter person_id set not null")
op.create_index("ix_address_person_id", "address", ["person_id"], unique=True)
