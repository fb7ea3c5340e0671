"""Where a project's Alembic Config comes from: files, code, a Flask application, or what lies further down."""
