"""Read a deployment's log: from any platform's lines to what Alembic was doing, and how it failed.  Pure."""
