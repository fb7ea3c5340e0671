import logging
from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config

config = context.config
fileConfig(config.config_file_name, disable_existing_loggers=True)
logging.disable(logging.CRITICAL)

with engine_from_config(config.get_section("alembic"), prefix="sqlalchemy.").connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
