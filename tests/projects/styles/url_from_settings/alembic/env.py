from alembic import context
from sqlalchemy import create_engine

from shop.settings import settings

with create_engine(settings.database_url).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
