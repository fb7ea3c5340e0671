from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config
fileConfig(config.config_file_name)

engine = engine_from_config(config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool)

with engine.connect() as connection:
    for part in ("live", "archive"):
        context.configure(connection=connection, version_table=f"alembic_version_{part}")
        with context.begin_transaction():
            context.run_migrations(part=part)
