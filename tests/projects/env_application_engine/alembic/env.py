from logging.config import fileConfig

from alembic import context
from shop_application.database import engine

fileConfig(context.config.config_file_name)
print("the application says hello")

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
