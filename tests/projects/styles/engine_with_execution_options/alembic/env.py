from alembic import context
from sqlalchemy import create_engine

engine = create_engine("postgresql+psycopg2://shop@db.example/shop").execution_options(
    isolation_level="REPEATABLE READ", logging_token="migration"
)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
