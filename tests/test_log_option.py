"""``diagnose --log`` with the real tool: real upgrades that fail, their output in each platform's shape."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace

import pytest

import alembic_rescue
from alembic_rescue.connection import drivers
from alembic_rescue.evidence.logs.reading import read
from tests import answers, chains, platforms, servers
from tests.conftest import BIN, clean_environment
from tests.test_deployment_log import apart_from_numbers

pytestmark = pytest.mark.slow

LOGGING = """\
import logging
logging.basicConfig(level=logging.INFO, format="%(levelname)-5.5s [%(name)s] %(message)s")
"""
ENV = LOGGING + chains.ENV.format(options="")
ASYNC = (
    LOGGING
    + """\
import asyncio
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    async with create_async_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
        await connection.run_sync(migrate)

asyncio.run(main())
"""
)
USERS = "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True), sa.Column('owner', sa.Text))"
OWNED = "op.alter_column('users', 'owner', nullable=False)"
SWALLOWS = """
    op.add_column('users', sa.Column('mood', sa.Text))
    try:
        op.execute("CREATE TYPE mood AS ENUM ('ok')")
    except Exception as error:
        {handles}
"""


class Site:
    """A project with the revisions r1, r2, ..., and what runs in its folder."""

    def __init__(self, chain: chains.Chain, home):
        self.chain, self.home = chain, home

    def run(self, *command: str, stdin: str | None = None, **variables: str):
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.chain.root,
            env=clean_environment(self.home, **variables),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if command[0] == "alembic" else subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )

    def upgraded(self, revision: str) -> None:
        done = self.run("alembic", "upgrade", revision)
        assert done.returncode == 0, done.stdout

    def failing(self, **variables: str) -> list[str]:
        """Return the output of an upgrade that fails."""
        done = self.run("alembic", "upgrade", "head", **variables)
        assert done.returncode != 0
        return done.stdout.splitlines()

    def diagnosed(self, log: str, *more: str):
        done = self.run("alembic-rescue", "--format", "json", "diagnose", "--log", "-", *more, stdin=log)
        assert done.returncode == 0, done.stdout + done.stderr
        return answers.document(done.stdout)


@pytest.fixture
def site(tmp_path, database):
    """Write a project with these revisions."""

    def made(*bodies: str, env: str = ENV, url: str = "") -> Site:
        return Site(chains.write(tmp_path / "site", url or database.url, list(bodies), env=env), tmp_path)

    return made


@pytest.fixture
def with_nulls(site, database):
    """Fails on existing rows, which no copy of the schema has."""
    made = site(USERS, OWNED)
    made.upgraded("r1")
    database.run("INSERT INTO users VALUES (1, NULL)")
    return made


def notes(document) -> dict[str, dict[str, str]]:
    (part,) = document["databases"]
    return {note["code"]: note for note in part["findings"]}


def logged_causes(document) -> list[tuple[str, int, bool]]:
    (part,) = document["databases"]
    return [(cause["path"], cause["line"], cause["swallowed"]) for cause in part["causes"] if cause["logged"]]


def test_the_log_reports_a_failure_that_only_data_decide(with_nulls, database):
    failing = with_nulls.failing()
    document = with_nulls.diagnosed(platforms.SHAPES["render"](failing))
    assert list(notes(document)) == ["log-failure"]
    assert (
        "r2 failed at alembic/versions/r2.py:9: NotNullViolation (23502)" in notes(document)["log-failure"]["message"]
    )
    assert logged_causes(document) == [("alembic/versions/r2.py", 9, False)]
    (part,) = document["databases"]
    assert part["recommendation"]["action"] == "rerun"
    assert "r2.py:9 failed according to the log (column" in part["recommendation"]["reason"]
    assert document["log"]["run"]["failure"]["code"] == "23502"
    assert (document["log"]["failed"], document["log"]["run"]["steps"][-1]["revision"]) == (1, "r2")
    assert database.versions() == ["r1"]

    without = answers.document(with_nulls.run("alembic-rescue", "--format", "json", "diagnose").stdout)
    assert (without["log"], notes(without), logged_causes(without)) == (None, {}, [])
    assert "Fix what failed" in without["databases"][0]["recommendation"]["reason"]

    expected = apart_from_numbers(read(io.StringIO(platforms.plain(failing)), drivers.code_meant))
    assert expected[0].failure.frame.line == 9
    for name, text in platforms.wrapped(failing):
        assert apart_from_numbers(read(io.StringIO(text), drivers.code_meant)) == expected, name


@pytest.mark.parametrize(
    ("handles", "first"),
    [("pass", None), ("print(error)", "42710"), ("import traceback; traceback.print_exc()", "42710")],
)
def test_a_hidden_failure_is_named_by_the_log_and_found_here(site, database, handles, first):
    made = site(USERS, SWALLOWS.format(handles=handles))
    made.upgraded("r1")
    database.run("CREATE TYPE mood AS ENUM ('ok')")
    at_once = made.failing(PYTHONUNBUFFERED="1")
    document = made.diagnosed(platforms.SHAPES["heroku"](made.failing()))
    run = document["log"]["run"]
    log = read(io.StringIO(platforms.plain(at_once)), drivers.code_meant)
    assert (log.run.first and log.run.first.code) == first  # whether its output comes at once or at the end
    assert run["failure"]["code"] == "25P02"
    assert (run["first"] and run["first"]["code"]) == first
    assert list(notes(document)) == ["swallowed-error", "log-failure"]
    assert notes(document)["log-failure"]["message"].endswith("; found here, at alembic/versions/r2.py:11")
    assert logged_causes(document) == []
    if "traceback" in handles:
        assert run["first"]["frame"]["line"] == 11


def test_a_hidden_failure_that_no_longer_happens_is_reported_from_the_log(site, database):
    made = site(USERS, SWALLOWS.format(handles="import traceback; traceback.print_exc()"))
    made.upgraded("r1")
    database.run("CREATE TYPE mood AS ENUM ('ok')")
    failing = made.failing()
    database.run("DROP TYPE mood")
    document = made.diagnosed(platforms.SHAPES["compose-beside"](failing))
    assert list(notes(document)) == ["log-failure"]
    assert logged_causes(document) == [("alembic/versions/r2.py", 11, True)]
    reason = document["databases"][0]["recommendation"]["reason"]
    assert 'alembic/versions/r2.py:11 hides a failure (type "mood" already exists)' in reason


def test_a_log_without_alembics_own_lines(site, database):
    made = site(USERS, SWALLOWS.format(handles="pass"), env=chains.ENV.format(options=""))
    made.upgraded("r1")
    database.run("CREATE TYPE mood AS ENUM ('ok')")
    failing = made.failing()
    assert not any("Running upgrade" in line for line in failing)
    document = made.diagnosed(platforms.SHAPES["cri"](failing[-12:]))
    assert document["log"]["run"]["steps"][-1] == {"revision": "r2", "down": ["r1"], "doc": ""}
    assert "at alembic/versions/r2.py:11" in notes(document)["log-failure"]["message"]


def test_the_log_of_another_version_or_another_time(with_nulls, database):
    failing = platforms.plain(with_nulls.failing())
    other = with_nulls.diagnosed(failing.replace("r1 -> r2", "r1 -> r1b\nINFO  [x] Running upgrade r1b -> r2"))
    assert list(notes(other)) == ["log-of-another-version", "log-failure"]
    assert logged_causes(other) == []
    database.run("DELETE FROM users")
    with_nulls.upgraded("r2")
    assert list(notes(with_nulls.diagnosed(failing))) == ["log-outdated", "log-failure"]


def test_the_log_of_another_database_without_its_password(with_nulls):
    url = "postgresql://app:rnd_test_rnd_test@db.example.org/elsewhere"
    log = "\n".join([f"connecting to {url}", *with_nulls.failing()])
    document = with_nulls.diagnosed(log)
    assert list(notes(document)) == ["log-of-another-database", "log-failure"]
    assert "the log is from database elsewhere" in notes(document)["log-of-another-database"]["message"]
    assert logged_causes(document) == []
    (with_nulls.chain.root / "a.log").write_text(f"FATAL: cannot use {url}\n{url} (psycopg2.OperationalError) {url}\n")
    for more in ((), ("--debug",), ("--format", "json")):
        told = with_nulls.run("alembic-rescue", *more, "diagnose", ALEMBIC_RESCUE_LOG="a.log")
        assert told.returncode == 0
        assert "log-failure" in told.stdout
        assert "rnd_test" not in told.stdout + told.stderr
    nothing = with_nulls.diagnosed("==> Building\n==> Uploading\n")
    assert (list(notes(nothing)), nothing["log"]["run"]) == (["log-says-nothing"], None)


def test_a_log_that_cannot_be_read_and_a_question_that_it_does_not_answer(site):
    made = site(USERS)
    for path in ("none.log", "alembic"):
        ran = made.run("alembic-rescue", "--format", "json", "diagnose", "--log", path)
        assert (ran.returncode, answers.document(ran.stdout)["error"]["code"]) == (2, "log-not-readable"), ran.stderr
    for option in ("--applied", "--locate"):
        ran = made.run("alembic-rescue", "--format", "json", "diagnose", "--log", "-", option)
        assert (ran.returncode, answers.document(ran.stdout)["error"]["code"]) == (2, "usage")


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "pg8000", "asyncpg"])
def test_each_drivers_real_words(site, database, driver):
    pytest.importorskip(driver)
    url = database.url.replace("+psycopg2", f"+{driver}")
    made = site(USERS, OWNED, env=ASYNC if driver == "asyncpg" else ENV, url=url)
    chains.write(made.chain.root.parent / "first", database.url, [USERS]).upgrade("head")
    database.run("INSERT INTO users VALUES (1, NULL)")
    log = read(io.StringIO(platforms.SHAPES["fly"](made.failing())), drivers.code_meant)
    assert log.run is not None
    failure = log.run.failure
    assert failure is not None
    assert (log.run.impl, log.run.revision, failure.code) == ("postgresql", "r2", "23502")
    assert failure.message.startswith('column "owner"')
    assert failure.statement == "ALTER TABLE users ALTER COLUMN owner SET NOT NULL"
    assert failure.frame is not None
    assert failure.frame.line == 9
    assert servers.PASSWORD not in repr(log)


def test_sqlite_and_mysql(tmp_path, maria):
    for name, url, code in (("sqlite", f"sqlite:///{tmp_path}/a.db", None), ("mysql", maria.url, "1050")):
        made = Site(chains.write(tmp_path / name, url, [USERS, USERS], env=ENV), tmp_path)
        document = made.diagnosed(platforms.SHAPES["journal"](made.failing()))
        run = document["log"]["run"]
        assert (run["impl"], run["failure"]["code"]) == (name, code)
        assert "already exists" in run["failure"]["message"]
        assert list(notes(document))[-1] == "log-failure"
        assert "log-of-another-database" not in notes(document)
        assert "at alembic/versions/r2.py:9" in notes(document)["log-failure"]["message"]


def test_the_python_api(with_nulls):
    path = with_nulls.chain.root / "a.log"
    path.write_text(platforms.SHAPES["structlog"](with_nulls.failing()))
    log = alembic_rescue.read_log(str(path))
    report = alembic_rescue.diagnose(with_nulls.chain.load(), log=log)
    (part,) = report.databases
    assert [note.code for note in part.findings] == ["log-failure"]
    assert replace(report.log, run=None) == replace(log, run=None)
