"""The application's one engine, with a pool."""

import os

from sqlalchemy import create_engine

engine = create_engine(os.environ["SHOP_DATABASE"], pool_size=3, max_overflow=0, pool_timeout=5)
