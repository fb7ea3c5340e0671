from alembic import context

connectable = context.config.attributes["connection"]

with connectable.engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
