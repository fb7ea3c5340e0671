"""The reference incident, played on a private embedded PostgreSQL.

:mod:`play` is the story, :mod:`stage` runs its commands, :mod:`server` is the PostgreSQL, ``project`` the backend
with its migrations.  ``python -m alembic_rescue.demo`` handles what ``alembic-rescue demo --keep DIR`` left.
"""
