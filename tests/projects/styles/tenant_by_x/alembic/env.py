from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool, text

config = context.config
fileConfig(config.config_file_name)

tenant = context.get_x_argument(as_dictionary=True)["tenant"]

engine = engine_from_config(config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool)

with engine.connect() as connection:
    connection.execute(text(f'set search_path to "{tenant}"'))
    # in SQLAlchemy v2+ the search path change needs to be committed
    connection.commit()
    # make use of non-supported SQLAlchemy attribute to ensure
    # the dialect reflects tables in terms of the current tenant name
    connection.dialect.default_schema_name = tenant
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
