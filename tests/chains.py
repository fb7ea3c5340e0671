"""Chains written for a test: revisions with given bodies, really upgraded, and judged through the public API."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config

import alembic_rescue
from alembic_rescue import DatabaseReport, Project, Report, Revision, Verdict

ENV = """\
from alembic import context
from sqlalchemy import engine_from_config, pool

engine = engine_from_config(context.config.get_section(context.config.config_ini_section), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, {options})
    with context.begin_transaction():
        context.run_migrations()
"""
HEADER = """\
import sqlalchemy as sa
from alembic import op
from sqlalchemy import inspect, orm, text

revision = {revision!r}
down_revision = {down!r}

"""
INI = """\
[alembic]
script_location = %(here)s/alembic
prepend_sys_path = {versions}
path_separator = os
sqlalchemy.url = {url}
"""

MISSING = {Verdict.NOT_APPLIED, Verdict.PARTIAL}
"""Verdicts that are wrong for any revision that ran."""
THERE = {Verdict.APPLIED, Verdict.EMPTY}
"""Verdicts that need no acceptance before a stamp."""


@dataclass(frozen=True)
class Chain:
    """A project whose revisions form one line, and its database."""

    root: Path
    url: str
    revisions: tuple[str, ...]
    """The revisions, from the base on."""

    @property
    def ini(self) -> str:
        return str(self.root / "alembic.ini")

    def load(self) -> Project:
        return alembic_rescue.load(self.ini)

    def upgrade(self, revision: str) -> None:
        """Run ``alembic upgrade``, then undo what the project's files changed in this process."""
        with _as_it_was(self.root):
            command.upgrade(Config(self.ini), revision)

    def diagnose(self) -> DatabaseReport:
        return only(alembic_rescue.diagnose(self.load()))

    def applied(self) -> DatabaseReport:
        """``diagnose --applied``."""
        return only(alembic_rescue.diagnose_applied(self.load()))

    def locate(self) -> DatabaseReport:
        """``diagnose --locate``."""
        return only(alembic_rescue.locate(self.load()))

    def plan(self, target: str) -> Report:
        return alembic_rescue.plan(self.load(), target)


def only(report: Report) -> DatabaseReport:
    """Return the only database of a project."""
    (part,) = report.databases
    return part


def by_id(part: DatabaseReport) -> dict[str, Revision]:
    return {revision.revision: revision for revision in part.revisions}


def verdicts(part: DatabaseReport) -> dict[str, str]:
    return {revision.revision: revision.verdict.value for revision in part.revisions}


def told(revision: Revision) -> str:
    """Return the whole evidence as text, for an assertion's message."""
    lines = [
        f"  {o.kind} {o.name}: expected {o.expected}, is {o.presence.value}, {o.detail} (line {o.line}) {o.sql or ''}"
        for o in revision.objects
    ]
    return "\n".join([f"{revision.revision} is {revision.verdict.value}", *lines])


def write(
    root: Path,
    url: str,
    bodies: Sequence[str] | dict[str, str],
    *,
    options: str = "",
    env: str | None = None,
    header: str = HEADER,
) -> Chain:
    """Write a project.

    Args:
        root: its folder, which is created.
        url: its database's URL.
        bodies: the revisions' bodies, by id, or in order for r1, r2, ...; either statements of ``upgrade()``, or a
            module's text with a function of that name.
        options: more arguments of ``context.configure()``.
        env: replaces the default env.py.
        header: the first lines of each revision's file.
    """
    given = bodies if isinstance(bodies, dict) else {f"r{n}": body for n, body in enumerate(bodies, start=1)}
    versions = root / "alembic" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text(INI.format(versions=versions, url=url.replace("%", "%%")))
    (root / "alembic" / "env.py").write_text(ENV.format(options=options) if env is None else env)
    down = None
    for revision, body in given.items():
        (versions / f"{revision}.py").write_text(header.format(revision=revision, down=down) + module(body))
        down = revision
    return Chain(root, url, tuple(given))


def module(body: str) -> str:
    """Return the text of a revision's file, without the header."""
    body = textwrap.dedent(body).strip("\n")
    if body.startswith("def upgrade") or "\ndef upgrade" in body:
        return body + "\n"
    return "def upgrade():\n" + textwrap.indent(body or "pass", "    ") + "\n"


@contextlib.contextmanager
def _as_it_was(root: Path) -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(root)):
                del sys.modules[name]


Look = Callable[[Chain], DatabaseReport]
