import logging

from alembic import context
from sqlalchemy import create_engine

url = context.config.get_main_option("sqlalchemy.url")
print(f"migrating {url}")
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("shop").warning("migrating %s", url)

with create_engine(url, echo=True).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
