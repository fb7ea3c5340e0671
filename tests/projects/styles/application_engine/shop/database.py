"""The application's one engine.  Its pool is in use: one connection is taken, another was given back."""

from sqlalchemy import create_engine, text

engine = create_engine("postgresql+psycopg2://shop@db.example/shop", pool_size=3, max_overflow=0, pool_timeout=5)

in_use = engine.connect()
in_use.execute(text("SELECT 1"))
with engine.connect() as given_back:
    given_back.execute(text("SELECT 2"))
