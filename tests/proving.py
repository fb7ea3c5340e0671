"""Running the engine of the evidence on a fixture project, as `environment.look` does: read-only, in its env.py."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine

from alembic_rescue.model_evidence import Proof
from alembic_rescue.proof import prove

T = TypeVar("T")
READ_ONLY = {
    "psycopg2": "SET default_transaction_read_only = on",
    "sqlite3": "PRAGMA query_only = ON",
    "pymysql": "SET SESSION TRANSACTION READ ONLY",
}
PROJECTS = Path(__file__).parent / "projects"


def config_for(root: Path, url: str) -> Config:
    """The project's configuration, pointed at a database."""
    config = Config(str(root / "alembic.ini"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def copied(name: str, to: Path) -> Path:
    """A copy of a fixture project."""
    return Path(shutil.copytree(PROJECTS / name, to / name, ignore=shutil.ignore_patterns("__pycache__")))


def upgrade(config: Config, revision: str) -> None:
    """Really upgrade."""
    command.upgrade(config, revision)


def looking(
    config: Config, see: Callable[[MigrationContext, ScriptDirectory], T], *, read_only_by_event: bool = True
) -> T:
    """Run env.py and call `see` on the read-only session that it opens."""
    script = ScriptDirectory.from_config(config)
    seen: list[T] = []

    def fn(_: Any, context: MigrationContext) -> list[Any]:
        seen.append(see(context, script))
        return []

    def read_only(dbapi_connection: Any, _: Any) -> None:
        cursor = dbapi_connection.cursor()
        cursor.execute(READ_ONLY[type(dbapi_connection).__module__.split(".")[0]])
        cursor.close()
        dbapi_connection.commit()

    if read_only_by_event:
        event.listen(Engine, "connect", read_only)
    try:
        with EnvironmentContext(config, script, fn=fn, dont_mutate=True):
            script.run_env()
    finally:
        if read_only_by_event:
            event.remove(Engine, "connect", read_only)
    return seen[0]


def chain(script: ScriptDirectory) -> list[str]:
    """All revisions, from the base on."""
    return [r.revision for r in reversed(list(script.walk_revisions()))]


def proof(config: Config, revisions: Sequence[str] | None = None, **options: Any) -> Proof:
    """The evidence for these revisions, all of them by default."""
    return looking(
        config,
        lambda context, script: prove(context, script, chain(script) if revisions is None else revisions, **options),
    )


ENV = """\
from alembic import context
from sqlalchemy import engine_from_config, pool

engine = engine_from_config(context.config.get_section(context.config.config_ini_section), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration={per_migration})
    with context.begin_transaction():
        context.run_migrations({arguments})
"""
HEADER = """\
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}

"""


def written(root: Path, *bodies: str, arguments: str = "", per_migration: bool = False) -> Path:
    """A project whose migrations r1, r2, ... have these bodies, from line 7 on."""
    versions = root / "alembic" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/alembic\nsqlalchemy.url = unset\n")
    (root / "alembic" / "env.py").write_text(ENV.format(arguments=arguments, per_migration=per_migration))
    for number, body in enumerate(bodies, start=1):
        down = f"r{number - 1}" if number > 1 else None
        header = HEADER.format(revision=f"r{number}", down=down)
        (versions / f"r{number}.py").write_text(header + textwrap.dedent(body).lstrip("\n"))
    return root
