"""A style of env.py: a fixture project, and the stage on which it is planned, stamped and undone."""

from __future__ import annotations

import hashlib
import os
import py_compile
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from tests import servers
from tests.conftest import BIN, PROJECTS, Database, ProjectCopy, Ran, fresh_database, of_the_project
from tests.watching import ServerLog, others, until

_EXAMPLE = re.compile(r"(postgresql(?:\+\w+)?|postgres)://shop@db\.example/(\w+)")
"""How the fixture projects write the address of the database of that name."""
_NEEDS = (
    (r"\[tool\.alembic\]", "alembic", "1.16", "does not read pyproject.toml"),
    (r"connection\.commit\(\)", "sqlalchemy", "2.0", "has no Connection.commit()"),
    (r"postgresql\+psycopg(_async)?:", "sqlalchemy", "2.0", "has no dialect for psycopg"),
    (r"async_engine_from_config", "sqlalchemy", "1.4.29", "has no async_engine_from_config()"),
)
"""What fixture projects use that not every version has: (pattern, package, first version, why not before)."""
_CHANGE = r"(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?:\S+\.)?\"?{}\"?\s"
_OPENS = re.compile(r"(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE)
_CLOSES = re.compile(r"(COMMIT|ROLLBACK(?!\s+TO)|END|ABORT)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Style:
    """A row of the table of styles."""

    does: str
    """What this env.py does, for readers who look for their own."""
    project: str
    """The folder in tests/projects/styles."""
    tables: tuple[tuple[str, str], ...] = (("shop", "alembic_version"),)
    """The (database, version table) pairs to stamp.  The first database is the one that is cloned and watched."""
    untouched: tuple[tuple[str, str], ...] = ()
    """The pairs that env.py visits too, and that stay where they are."""
    only: str = ""
    """What ``--only`` names."""
    before: tuple[str, ...] = ("c0de0001",)
    target: str = "c0de0002"
    after: tuple[str, ...] = ("c0de0002",)
    prepare: str = ""
    """SQL that the superuser first runs in each database."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Addresses are written as in the projects."""
    options: tuple[str, ...] = ()
    """Options of both ``alembic`` and ``alembic-rescue``."""
    rescue: tuple[str, ...] = ("alembic-rescue",)
    """The tool, with options of its own."""
    make_ready: Callable[[ProjectCopy], None] = lambda _: None
    """What is first done to the copy of the project."""
    program: tuple[str, ...] = ("alembic",)
    """The command that the project itself runs with ``upgrade heads`` and ``current``."""
    finding: str = ""
    """The code of the plan's warning."""
    refused: str = ""
    """The code with which plan and stamp end instead."""
    why: str = ""
    """Why it is refused, or what else a reader should know."""

    def applicable(self) -> list[pytest.MarkDecorator]:
        """Return marks for the versions that the project itself needs, whatever the tool does."""
        files = [
            path for path in (PROJECTS / "styles" / self.project).rglob("*") if path.suffix in {".py", ".ini", ".toml"}
        ]
        text = "".join(path.read_text("utf-8") for path in files)
        return [pytest.mark.since(*needs) for used, *needs in _NEEDS if re.search(used, text)]

    @property
    def restriction(self) -> tuple[str, ...]:
        """The options of ``plan`` and ``stamp``."""
        return ("--only", self.only) if self.only else ()


def compiled(project: ProjectCopy) -> None:
    """Leave only bytecode, like somebody who ships no source."""
    for source in sorted((project.root / "alembic").rglob("*.py")):
        py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")), doraise=True)
        source.unlink()


def installed(project: ProjectCopy) -> None:
    """Move the packages in site-packages/ outside the project, to where Python finds them."""
    folder = project.root.parent / "site-packages"
    shutil.move(project.root / "site-packages", folder)
    found_first = [str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    project.environment["PYTHONPATH"] = os.pathsep.join(filter(None, found_first))


class Stage:
    """A copy of the project and its databases: all objects exist, the version table is behind."""

    def __init__(self, style: Style, server: servers.Server, folder: Path, around: ExitStack) -> None:
        self._style = style
        names = dict.fromkeys(name for name, _ in (*style.tables, *style.untouched))
        self.databases = {name: around.enter_context(fresh_database(server)) for name in names}
        self.watched = around.enter_context(fresh_database(server))
        """A clone of the first database, made when all is ready."""
        root = folder / style.project
        shutil.copytree(PROJECTS / "styles" / style.project, root, ignore=shutil.ignore_patterns("__pycache__"))
        for path in root.rglob("*"):
            if path.suffix in {".ini", ".toml", ".py"} or path.name == ".env":
                text = path.read_text("utf-8")
                path.write_text(self._addressed(text, configuration=path.suffix in {".ini", ".toml"}), "utf-8")
        elsewhere = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": servers.ROLE,
            "PGPASSWORD": servers.PASSWORD,
            "PGDATABASE": self.watched.name,
        }  # where a connection goes that is opened without an address
        variables = elsewhere | {name: self._addressed(value) for name, value in style.environment.items()}
        self.copy = ProjectCopy(root, folder / "state", environment=variables)
        style.make_ready(self.copy)
        self._set_up()

    def _addressed(self, text: str, *, configuration: bool = False) -> str:
        """Return `text` with the real addresses; in a configuration, % is written %%."""

        def real(found: re.Match[str]) -> str:
            database = self.watched if found[2] == "watched" else self.databases[found[2]]
            url = database.url.replace("postgresql+psycopg2", found[1])
            return url.replace("%", "%%") if configuration else url

        return _EXAMPLE.sub(real, text)

    def _set_up(self) -> None:
        style = self._style
        for database in self.databases.values():
            if style.prepare:
                database.run(style.prepare, role="postgres")
        tables = (*style.tables, *style.untouched)
        if style.refused:
            for name, _ in tables:
                self.databases[name].stand_at(*style.before)
        else:
            upgraded = self.program("upgrade", "heads")
            assert self.rows(*tables) == {table: sorted(style.after) for table in tables}, upgraded.everything
        for name, table in tables:
            values = ", ".join(f"('{row}')" for row in style.before)
            self.databases[name].run(f"DELETE FROM {table}; INSERT INTO {table} VALUES {values}")
        self._clone(next(iter(self.databases.values())))

    def _clone(self, database: Database) -> None:
        until(lambda: not others(database), "nobody is in the database")
        with closing(psycopg2.connect(database.server.admin_dsn)) as admin, admin.cursor() as cursor:
            admin.autocommit = True
            cursor.execute(f"DROP DATABASE {self.watched.name}")
            cursor.execute(f"CREATE DATABASE {self.watched.name} TEMPLATE {database.name} OWNER {servers.ROLE}")

    def rescue(self, *arguments: str) -> Ran:
        """Run ``alembic-rescue`` with this style's options, and return the JSON; check that no secret is in it."""
        style = self._style
        ran = self._run(style.rescue, "--format", "json", *style.options, *arguments)
        for secret in (servers.PASSWORD, quote(servers.PASSWORD, safe="")):
            assert secret not in ran.everything
        return ran

    def program(self, *arguments: str) -> Ran:
        """Run the project's own command, usually ``alembic``."""
        return self._run(self._style.program, *self._style.options, *arguments)

    def _run(self, program: tuple[str, ...], *arguments: str) -> Ran:
        name, *more = (self._addressed(part) for part in program)
        file = str(BIN / name) if name == "alembic-rescue" else of_the_project(name)
        return self.copy.run([file, *more, *arguments])

    def current(self) -> set[str]:
        """Return the revisions that the project's own ``current`` shows."""
        words = set(self.program("current").stdout.split())
        return words & {*self._style.before, *self._style.after}

    def rows(self, *tables: tuple[str, str]) -> dict[tuple[str, str], list[str]]:
        """Return the rows of these version tables."""
        return {(name, table): self.databases[name].versions(table) for name, table in tables}

    def files(self) -> dict[str, str]:
        """Return a hash of each file of the project."""
        return {
            str(path.relative_to(self.copy.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.copy.root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    def logs(self) -> Logs:
        """Collect the servers' logs of all its databases, from now on."""
        return Logs({name: ServerLog(database) for name, database in self.databases.items()}, self._style)


@dataclass(frozen=True)
class Logs:
    """What the server logged about each database."""

    of: Mapping[str, ServerLog]
    style: Style

    def changes(self) -> list[str]:
        """Return the statements that changed version tables.

        Raises:
            AssertionError: one of them ran in a transaction block.
        """
        found: list[str] = []
        for name, table in dict.fromkeys((name, table.rpartition(".")[2]) for name, table in self.style.tables):
            for statements in self.of[name].sessions.values():
                block = False
                for statement in statements:
                    block = (block or bool(_OPENS.match(statement))) and not _CLOSES.match(statement)
                    if re.match(_CHANGE.format(re.escape(table)), statement, re.IGNORECASE):
                        assert not block, statements
                        found.append(statement)
        return found
