"""Projects for the tests of ``upgrade``, and helpers that watch a run."""

from __future__ import annotations

from pathlib import Path

from tests import chains
from tests.conftest import Database, ProjectCopy
from tests.watching import OF_THIS_DATABASE

RESCUE_LOCK = 0x616C656D_62696372
SHOP = {f"r{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2, 3)}
ENV_NEVER_COMMITS = """\
from alembic import context
from sqlalchemy import engine_from_config, pool, text

engine = engine_from_config(context.config.get_section(context.config.config_ini_section), poolclass=pool.NullPool)
with engine.connect() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(7)"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
ENV_HIDES_ERRORS = """\
from alembic import context
from sqlalchemy import engine_from_config, pool

engine = engine_from_config(context.config.get_section(context.config.config_ini_section), poolclass=pool.NullPool)
try:
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
except Exception as error:
    print("migrations skipped")
"""
SLEEPS = "op.execute('SELECT pg_sleep(60)')"


def written(folder: Path, database: Database, bodies: dict[str, str] | None = None, **given: str) -> ProjectCopy:
    """Write a project with these revisions and an empty database."""
    root = chains.write(folder / "project", given.pop("url", database.url), bodies or SHOP, **given).root
    return ProjectCopy(root, folder / "state", database)


def rescue_locks(database: Database, mode: str = "%") -> list[int]:
    """Return the sessions that hold the rescue lock (``ExclusiveLock``), or share that of migrating sessions."""
    half = RESCUE_LOCK & 0xFFFFFFFF
    of_it = f"locktype = 'advisory' AND objid = {half} AND mode LIKE '{mode}' AND {OF_THIS_DATABASE}"
    return [pid for (pid,) in database.run(f"SELECT pid FROM pg_locks WHERE {of_it}")]


def ended(process, seconds=120):
    """Wait for a process to end; return its status, stdout and stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err
