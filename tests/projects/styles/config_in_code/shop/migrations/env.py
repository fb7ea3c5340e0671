from alembic import context

attributes = context.config.attributes
engine = attributes["make_engine"]()

with engine.connect() as connection:
    context.configure(connection=connection, version_table=attributes["version_table"])
    with context.begin_transaction():
        context.run_migrations()
