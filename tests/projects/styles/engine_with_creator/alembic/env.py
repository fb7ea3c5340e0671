import psycopg2
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from shop.settings import DATABASE_URL


def connect():
    url = make_url(DATABASE_URL)
    return psycopg2.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
    )


engine = create_engine("postgresql+psycopg2://", creator=connect)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
