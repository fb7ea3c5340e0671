"""env.py and configuration files for the tests, written as a project's author would write them."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import ProjectCopy

FROM_INI = "engine_from_config(config.get_section(config.config_ini_section, {}), poolclass=pool.NullPool)"


def write_env(
    project: ProjectCopy,
    *,
    first: str = "",
    engine: str = FROM_INI,
    connected: str = "",
    options: str = "",
    body: str | None = None,
) -> Path:
    """Write the project's env.py.

    Args:
        first: statements before the engine is created.
        engine: the expression that creates it.
        connected: statements with the open connection, before ``context.configure()``.
        options: more arguments of ``context.configure()``.
        body: replaces everything after the engine.
    """
    lines = [
        "import os",
        "from alembic import context",
        "from sqlalchemy import create_engine, engine_from_config, pool, text",
        "config = context.config",
        *first.splitlines(),
        f"engine = {engine}",
        *(body.splitlines() if body is not None else _migrating(connected, options)),
    ]
    env = project.root / "alembic" / "env.py"
    env.write_text("\n".join(lines) + "\n")
    return env


def _migrating(connected: str, options: str) -> list[str]:
    return [
        "with engine.connect() as connection:",
        *(f"    {line}" for line in connected.splitlines()),
        f"    context.configure(connection=connection, {options})",
        "    with context.begin_transaction():",
        "        context.run_migrations()",
    ]


def write_ini(file: Path, *lines: str, section: str = "alembic") -> Path:
    """Write an ini file with one section, and create its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([f"[{section}]", *lines]) + "\n")
    return file
