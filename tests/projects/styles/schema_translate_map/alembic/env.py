from alembic import context
from sqlalchemy import create_engine, text

engine = create_engine("postgresql+psycopg2://shop@db.example/shop")

with engine.connect() as connection:
    connection.execute(text("SET search_path TO retail"))
    connection.commit()
    connection = connection.execution_options(schema_translate_map={None: "retail"})
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
