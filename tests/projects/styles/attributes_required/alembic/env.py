from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run this through manage.py, which hands over the connection")

context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
