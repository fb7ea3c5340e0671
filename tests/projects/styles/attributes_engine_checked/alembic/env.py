from alembic import context
from sqlalchemy.engine import Engine

engine = context.config.attributes.get("connection")
if not isinstance(engine, Engine):
    raise TypeError("run this through manage.py, which hands over the engine")

with engine.begin() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
