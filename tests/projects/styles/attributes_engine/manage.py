"""How this project migrates: it hands its own engine to env.py."""

import sys

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from shop import DATABASE_URL

config = Config("alembic.ini")
config.attributes["connection"] = create_engine(DATABASE_URL)
getattr(command, sys.argv[1])(config, *sys.argv[2:])
