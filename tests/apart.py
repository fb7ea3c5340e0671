"""The tool in one environment and the project in another: the case for ``--python``."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from tests import matrix
from tests.conftest import ProjectCopy, Ran

FOLDER = matrix.BUILD.with_name("apart")
_START = "import sys; sys.path.insert(0, {!r}); from alembic_rescue.cli.start import main; main()"
TOOL = (sys.executable, "-c", _START.format(str(matrix.ROOT)))
"""The command without a PYTHONPATH, which the project's Python would inherit."""


@dataclass(frozen=True)
class Backend:
    """An environment like a project's: without typer, rich and alembic-rescue."""

    python: str
    packages: tuple[str, ...]


BACKENDS: Mapping[str, Backend] = {
    "old": Backend("3.11", ("alembic==1.9.0", "sqlalchemy==1.4.54", "psycopg2-binary")),
    "lowest": Backend("3.10", ("alembic==1.9.0", "sqlalchemy==1.4.54", "psycopg2-binary")),
    "new": Backend("3.13", ("alembic", "sqlalchemy>=2", "psycopg2-binary", "psycopg")),
    "asyncpg": Backend("3.12", ("alembic", "sqlalchemy[asyncio]>=2", "asyncpg")),
}
"""``lowest`` has no TOML parser, ``asyncpg`` no driver that works without an event loop."""


def _same() -> Backend:
    """The versions that the tests run with, without the tool."""
    pinned = (f"{one}=={metadata.version(one.partition('[')[0])}" for one in matrix.PROJECTS_OWN)
    return Backend(".".join(map(str, sys.version_info[:2])), tuple(pinned))


def python_of(name: str) -> str:
    """A backend's Python, created on first use; ``same`` has the versions that the tests run with."""
    backend, folder = BACKENDS.get(name) or _same(), FOLDER / name
    python = folder / "bin" / "python"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers may ask at once
        made = folder / "made.json"
        wanted = json.dumps([backend.python, backend.packages])
        if not made.exists() or made.read_text("utf-8") != wanted:
            base = matrix.interpreter(backend.python) or sys.executable
            own = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
            for command in (
                [base, "-m", "venv", "--clear", str(folder)],
                [str(python), "-m", "pip", "-q", "--disable-pip-version-check", "install", *backend.packages],
            ):
                subprocess.run(command, check=True, env=own)
            made.write_text(wanted, "utf-8")
    return str(python)


@dataclass
class Apart(ProjectCopy):
    """A project whose tool runs in another environment."""

    def rescue(self, *arguments: str, **environment: str) -> Ran:
        """Run the command from the tool's own environment."""
        return self.run([*TOOL, *arguments], PYTHONPATH="", **environment)


def apart(project: ProjectCopy) -> Apart:
    """Return the same project, with the tool in another environment."""
    return Apart(project.root, project.home, project.database, project.environment)


ASYNC_ENV = """
import asyncio

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config


def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    section = context.config.get_section(context.config.config_ini_section)
    engine = async_engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())
"""
"""As in Alembic's own template for asynchronous engines."""
