"""Loading a project: its Alembic Config from files, code, a Flask application, or from what lies further down."""
