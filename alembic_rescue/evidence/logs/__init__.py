"""The deployment's log, read: from any platform's lines to what Alembic was doing, and what it failed with.  Pure."""
