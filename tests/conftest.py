"""Private servers for the whole run, shared by all workers: PostgreSQL 18 and 16, MariaDB; one database per test."""

from __future__ import annotations

import compileall
import contextlib
import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from packaging.version import Version
from psycopg2 import sql as pgsql

import alembic_rescue
from tests import answers, browser, mariadb, servers

VERSIONS = (16, 18)
PROJECTS = Path(__file__).parent / "projects"
INCIDENT = Path(alembic_rescue.__file__).parent / "demo" / "project"
BIN = Path(sys.executable).parent
_BEGUN = "ALEMBIC_RESCUE_TEST_BEGUN"
_APART = "ALEMBIC_RESCUE_TEST_APART"
_OUT_OF_TIME = "The time given with --seconds is up."
_MEMORY = Path("/dev/shm")
_ROOM = 4 * 1024**3
_STARTED: list[servers.Server] = []
_MADE: list[str] = []


def _variable(version: int) -> str:
    return f"ALEMBIC_RESCUE_TEST_PG{version}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", ())
    late = sum(_OUT_OF_TIME in str(report.longrepr) for report in skipped)
    if late:
        terminalreporter.write_line(f"NOT STARTED: {late} tests. {_OUT_OF_TIME}", yellow=True)


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers in the controlling process; workers find them through the environment."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    os.environ[_BEGUN] = str(time.time())
    if named := config.option.apart:
        from tests import apart

        os.environ[_APART] = apart.python_of(named) if named == "same" else named
    _work_in_memory()
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="rescue-cache-")  # nothing of the user's is read or written
    # The commands run with PYTHONDONTWRITEBYTECODE, and would otherwise compile the package every time.
    compileall.compile_dir(Path(alembic_rescue.__file__).parent, quiet=1)
    mariadb.prepare()
    for version in VERSIONS:
        server = servers.create(version)
        _STARTED.append(server)
        os.environ[_variable(version)] = json.dumps({"pgdata": str(server.pgdata), "port": server.port})
        with contextlib.closing(psycopg2.connect(server.admin_dsn)) as connection, connection, connection.cursor() as c:
            c.execute(
                pgsql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    pgsql.Identifier(servers.ROLE), pgsql.Literal(servers.PASSWORD)
                )
            )


def _work_in_memory() -> None:
    """Put all temporary folders in memory if there is room: servers create and remove thousands of files."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
        folder = tempfile.mkdtemp(prefix="rescue-tests-", dir=_MEMORY)
        Path(folder).chmod(0o711)  # the servers' own users pass through
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        _MADE.append(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _STARTED:
        return
    while _STARTED:
        _STARTED.pop().remove()
    mariadb.remove()
    for folder in [os.environ["XDG_CACHE_HOME"], *_MADE]:
        shutil.rmtree(folder, ignore_errors=True)
    if not mariadb.installed():  # here, because these must be the run's last lines
        config.get_terminal_writer().line(f"NOT TESTED: MySQL and MariaDB. {mariadb.MISSING}", yellow=True)
    if not browser.program():
        config.get_terminal_writer().line(f"NOT TESTED: HTML in a browser. {browser.MISSING}", yellow=True)


TAKES_LONG = """
    api autocommit commands_told config_in_code corpus demo dialects drivers env_py errors evidence
    evidence_dialects evidence_properties flask gate histories history interrupt json looking_writes_nothing mariadb
    migrations_reach_nothing packaged_scripts quiet_pipes readme receipts reports scratch_chain_styles seal
    secrets sessions_held several_databases styles trap two_databases two_phase unrun
"""
"""Modules that `make test` leaves to `make test-slow`: most run the whole tool several times per test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seconds",
        type=float,
        default=0.0,
        help="Start no test after so many seconds. The modules run in another order each time; how many tests were not "
        "started is the run's last line.",
    )

    parser.addoption(
        "--apart",
        metavar="PYTHON",
        help="By --python: the projects have this Python, or with `same` one of their own, whose packages "
        "are of the versions that the tests run with.",
    )


@functools.cache
def _installed(package: str) -> str:
    """Return the package's version in the environment where the projects run."""
    if python := os.environ.get(_APART):
        ask = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    return metadata.version(package)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow tests.  If time is limited, shuffle the modules, so that each gets its turn."""
    if config.getoption("--seconds"):
        mixed = random.Random(os.environ[_BEGUN])
        turns = {module: mixed.random() for module in sorted({item.path.name for item in items})}
        items.sort(key=lambda item: turns[item.path.name])
    slow = {f"test_{name}" for name in TAKES_LONG.split()}
    for item in items:
        if item.path.stem in slow or "project_of" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test when the time is up, or when the installed version cannot do what it needs.

    The run's last lines say how many were skipped, and why.
    """
    seconds = item.config.getoption("--seconds")
    if seconds and time.time() > float(os.environ[_BEGUN]) + seconds:
        pytest.skip(_OUT_OF_TIME)
    for mark in item.iter_markers("since"):
        package, first, what = mark.args
        if Version(installed := _installed(package)) < Version(first):
            pytest.skip(f"not applicable: {package} {installed} {what}, as {first} and later do")


@pytest.fixture(scope="session")
def mariadb_server() -> mariadb.Server:
    """The run's MariaDB.  If it is not installed, its tests are skipped, and the run's last line says so."""
    if not mariadb.installed():
        if os.environ.get(mariadb.REQUIRED):
            pytest.fail(mariadb.MISSING)
        pytest.skip(mariadb.MISSING)
    return mariadb.shared()


@pytest.fixture
def maria(mariadb_server: mariadb.Server) -> Iterator[mariadb.MariaDatabase]:
    """An empty database on MariaDB."""
    with mariadb.fresh_database(mariadb_server) as database:
        yield database


def server_of(version: int) -> servers.Server:
    known = json.loads(os.environ[_variable(version)])
    return servers.Server(version, Path(known["pgdata"]), known["port"])


@pytest.fixture(scope="session")
def server() -> servers.Server:
    """The newest PostgreSQL."""
    return server_of(max(VERSIONS))


def _each_version(older: pytest.MarkDecorator) -> list[Any]:
    marks = {min(VERSIONS): older}
    return [pytest.param(v, marks=marks.get(v, ()), id=f"pg{v}") for v in VERSIONS]


@pytest.fixture(scope="session", params=_each_version(pytest.mark.slow))
def any_server(request: pytest.FixtureRequest) -> servers.Server:
    """Each supported PostgreSQL in turn."""
    return server_of(request.param)


@dataclass(frozen=True)
class Database:
    """A database for one test, owned by the tests' role."""

    server: servers.Server
    name: str

    @property
    def url(self) -> str:
        """As the tests' role over TCP, with the password."""
        password = quote(servers.PASSWORD, safe="")
        return f"postgresql+psycopg2://{servers.ROLE}:{password}@127.0.0.1:{self.server.port}/{self.name}"

    @property
    def dsn(self) -> str:
        """As superuser, through the socket."""
        return f"host={self.server.pgdata} port={self.server.port} user=postgres dbname={self.name}"

    @contextlib.contextmanager
    def session(self, role: str = servers.ROLE) -> Iterator[Any]:
        """Another client's psycopg2 connection, in a transaction that is rolled back at the end."""
        connection = psycopg2.connect(self.dsn)
        try:
            with connection.cursor() as cursor:
                cursor.execute(pgsql.SQL("SET SESSION AUTHORIZATION {}").format(pgsql.Identifier(role)))
            connection.commit()
            yield connection
        finally:
            connection.close()

    def run(self, statement: str, *, role: str = servers.ROLE) -> list[tuple[Any, ...]]:
        """Run SQL in autocommit and return its rows."""
        with self.session(role) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def stand_at(self, *rows: str) -> None:
        """Create the version table as Alembic does, with exactly these rows."""
        self.run(
            "CREATE TABLE IF NOT EXISTS alembic_version "
            "(version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY); DELETE FROM alembic_version"
        )
        for row in rows:
            self.run(f"INSERT INTO alembic_version VALUES ('{row}')")

    def versions(self, table: str = "alembic_version") -> list[str]:
        """Return the rows of the version table, sorted; none if it does not exist."""
        if not self.run(f"SELECT to_regclass('{table}')")[0][0]:
            return []
        return sorted(row[0] for row in self.run(f"SELECT version_num FROM {table}"))


@contextlib.contextmanager
def fresh_database(server: servers.Server) -> Iterator[Database]:
    """An empty database, dropped afterwards even if somebody is still connected."""
    name = f"rescue_test_{uuid.uuid4().hex[:12]}"
    with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER {servers.ROLE}")
    try:
        yield Database(server, name)
    finally:
        with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin:
            admin.autocommit = True
            with admin.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def own_shop() -> Iterator[Database]:
    """The database ``shop`` of the tests' role, on a server that nobody else uses."""
    server = servers.create(max(VERSIONS))
    try:
        with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin:
            admin.autocommit = True
            with admin.cursor() as cursor:
                role = pgsql.Identifier(servers.ROLE)
                cursor.execute(pgsql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(role), [servers.PASSWORD])
                cursor.execute(pgsql.SQL("CREATE DATABASE shop OWNER {}").format(role))
        yield Database(server, "shop")
    finally:
        server.remove()


@pytest.fixture
def database(server: servers.Server) -> Iterator[Database]:
    """An empty database on the newest PostgreSQL."""
    with fresh_database(server) as database:
        yield database


@pytest.fixture
def scratch(server: servers.Server) -> Iterator[Database]:
    """Another database, on which a chain runs to be observed."""
    with fresh_database(server) as database:
        yield database


@pytest.fixture(params=_each_version(pytest.mark.compatibility))
def any_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database on each supported PostgreSQL in turn, for tests that run the whole tool."""
    with fresh_database(server_of(request.param)) as database:
        yield database


@dataclass
class Ran:
    """A finished process."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """Return stdout as a single JSON document, validated against the published schema."""
        return answers.of(self.stdout, self.status)

    @property
    def everything(self) -> str:
        return self.stdout + self.stderr


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return this process's environment without names of databases, and with the test's own state folder."""
    dropped = (
        "PG",
        "DATABASE_URL",
        "ALEMBIC_CONFIG",
        "ALEMBIC_RESCUE_",
        "FLASK_",
        "PYTEST_",  # these belong to the run that tests; a run within it has its own
        "NO_COLOR",
        "COLUMNS",
        "FORCE_COLOR",
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    if python := os.environ.get(_APART):
        kept["ALEMBIC_RESCUE_PYTHON"] = python
    return {**kept, "XDG_STATE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **more}


def of_the_project(program: str) -> str:
    """Return a program from the projects' environment, or from the tool's own if they share one."""
    return str(Path(os.environ.get(_APART) or sys.executable).with_name(program))


@dataclass
class ProjectCopy:
    """A copy of a fixture project, with its own state folder; runs commands in its root, as a user would."""

    root: Path
    home: Path
    database: Database | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, command: Sequence[str], **more: str) -> Ran:
        """Run a program."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=clean_environment(self.home, **self.environment, **more),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def rescue(self, *arguments: str, **environment: str) -> Ran:
        """Run the installed command as a process."""
        return self.run([str(BIN / "alembic-rescue"), *arguments], **environment)

    def rescue_json(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """Run it with ``--format json`` and return the document."""
        return self.rescue("--format", "json", *arguments, **environment).json

    def alembic(self, *arguments: str, **environment: str) -> Ran:
        """Run Alembic's own command."""
        return self.run([of_the_project("alembic"), *arguments], **environment)

    def started(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the installed command and return at once."""
        return subprocess.Popen(
            [str(BIN / "alembic-rescue"), *arguments],
            cwd=self.root,
            env=clean_environment(self.home, **self.environment, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def receipts(self) -> list[Path]:
        """The receipts on disk, oldest first."""
        found = (self.home / "alembic-rescue").glob("*.json")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)  # the names are only precise to the second

    def set_url(self, url: str) -> None:
        """Write `url` into alembic.ini, as a user would."""
        ini = self.root / "alembic.ini"
        lines = [
            "sqlalchemy.url = " + url.replace("%", "%%") if line.startswith("sqlalchemy.url") else line
            for line in ini.read_text().splitlines()
        ]
        ini.write_text("\n".join(lines) + "\n")


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., ProjectCopy]:
    """Copy the fixture project of that name, and point its alembic.ini at `database` or `url`."""

    def make(name: str, database: Database | None = None, url: str | None = None) -> ProjectCopy:
        source = INCIDENT if name == "incident" else PROJECTS / name
        root = tmp_path / name
        shutil.copytree(source, root, ignore=shutil.ignore_patterns("__pycache__"))
        copy = ProjectCopy(root, tmp_path / "state", database)
        if chosen := url or (database and database.url):
            copy.set_url(chosen)
        return copy

    return make


@pytest.fixture
def host(database: Database, tmp_path: Path) -> Any:
    """A host without Python: see :mod:`tests.handing_over`.  Its database is at OLD."""
    from tests.handing_over import OLD, Host

    database.stand_at(OLD)
    return Host(tmp_path, database)


@pytest.fixture
def stamped(host: Any) -> Any:
    """The same host with both files, which move it from OLD to NEW."""
    from tests.handing_over import NEW, OLD, SCRIPTS, handed_over

    made = handed_over(host.database, [OLD], [NEW])
    for shell in SCRIPTS.shells:
        host.write(shell, made)
    return host
