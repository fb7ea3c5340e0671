from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool, text

config = context.config
fileConfig(config.config_file_name)


def tenants(engine):
    with engine.connect() as connection:
        return connection.execute(
            text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\\_%' ORDER BY nspname")
        ).scalars().all()


engine = engine_from_config(config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool)

for tenant in tenants(engine):
    translated = engine.execution_options(schema_translate_map={"tenant": tenant})
    with translated.connect() as connection:
        context.configure(connection=connection, version_table_schema=tenant, include_schemas=True)
        with context.begin_transaction():
            context.run_migrations()
