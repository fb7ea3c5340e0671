"""The application's own command: python manage.py upgrade heads, python manage.py current."""

import sys

from alembic import command
from shop.migrating import alembic_config

name, *arguments = sys.argv[1:]
getattr(command, name)(alembic_config(), *arguments)
