"""The reference incident, played on a private embedded PostgreSQL.

:mod:`play` is the story, :mod:`stage` runs its commands, :mod:`server` is the PostgreSQL, and ``project`` is the
backend with its migrations.  ``python -m alembic_rescue.demo`` manages what ``alembic-rescue demo --keep DIR`` kept.
"""
