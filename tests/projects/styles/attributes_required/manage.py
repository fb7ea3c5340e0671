"""How this project migrates: it hands its own connection to env.py."""

import sys

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from shop import DATABASE_URL

config = Config("alembic.ini")
with create_engine(DATABASE_URL).begin() as connection:
    config.attributes["connection"] = connection
    getattr(command, sys.argv[1])(config, *sys.argv[2:])
