"""Load a project: its Alembic Config from files, code, a Flask application, or a subfolder."""
