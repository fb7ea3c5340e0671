"""Runs a project's chain in its own process, as the scratch worker does, and returns what came of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

from alembic_rescue.worker.scratch.runs import ScratchVisit
from tests.conftest import ProjectCopy, clean_environment

_CODE = """
import pickle, sys
sys.path.insert(0, "")
call, options, led, given = pickle.load(open(sys.argv[1], "rb"))
if led:
    from alembic_rescue.worker.isolation import guard
    routes = guard.Routes(default=led)
    guard.lead_away(routes)
    given.update(close=lambda: guard.close(routes), around=guard.undisturbed)
from alembic_rescue.project import loading as project
from alembic_rescue.worker.scratch import as_project
from alembic_rescue.worker.scratch import chain
sent = []
loaded = project.load(**options)
run = chain.observe if call == "observe" else as_project.run_as_project
done = run(loaded, send=sent.append, **given)
pickle.dump((done, sent), open(sys.argv[2], "wb"))
"""
ENV = """
from alembic import context
from sqlalchemy import engine_from_config, pool

engine = engine_from_config(context.config.get_section("alembic"), prefix="sqlalchemy.", poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def run(project: ProjectCopy, call: str = "observe", options: dict | None = None, led: dict | None = None, **given):
    """Call the worker's function `call`; return its result, and what it sent meanwhile.

    `led`: the scratch database that all connections go to; if None, the project's own is the scratch database.
    """
    asked, answered = project.root / ".asked", project.root / ".answered"
    asked.write_bytes(pickle.dumps((call, options or {}, led, given)))
    answered.unlink(missing_ok=True)
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, project.environment.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", _CODE, asked.name, answered.name],
        cwd=project.root,
        env=clean_environment(project.home, **{**project.environment, "PYTHONPATH": path}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if not answered.exists():
        raise AssertionError(f"status {done.returncode}\n{done.stdout}{done.stderr}")
    return pickle.loads(answered.read_bytes())


def chain(folder: Path, database, *bodies: str, env: str = ENV, files: dict[str, str] | None = None) -> ProjectCopy:
    """Write a project with the revisions r1, r2 ..., with these bodies of ``upgrade()`` (or these files)."""
    root = folder / "project"
    versions = root / "alembic" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic" / "env.py").write_text(env)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = alembic\nsqlalchemy.url = \nprepend_sys_path = .\n")
    for number, body in enumerate(bodies, 1):
        (versions / f"r{number}.py").write_text(revision(number, body))
    for name, text in (files or {}).items():
        (root / name).write_text(textwrap.dedent(text))
    copy = ProjectCopy(root, folder / "state", database)
    copy.set_url(database.url)
    return copy


def revision(number: int, body: str) -> str:
    """Return the file of the revision with that number."""
    body = textwrap.dedent(body)
    if "def upgrade(" not in body:
        body = "def upgrade():\n" + textwrap.indent(body.strip() or "pass", "    ") + "\n"
    down = f'"r{number - 1}"' if number > 1 else None
    return (
        "import sqlalchemy as sa\nfrom sqlalchemy import inspect, orm, text\nfrom alembic import op\n"
        f'revision = "r{number}"\ndown_revision = {down}\n{body}'
    )


def visit(*todo: str, behind: tuple[str, ...] = (), table: str = "alembic_version", schema: str | None = None, **at):
    """Return the request for one visit."""
    return ScratchVisit(schema, table, behind, todo, at)
