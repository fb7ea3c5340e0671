"""What the table of styles does not show: env.py that expects a connection, writes beforehand, or fails afterwards."""

from __future__ import annotations

import asyncio
import logging

import pytest

import alembic_rescue
from tests.conftest import fresh_database
from tests.test_errors import told
from tests.watching import VERSION_TABLE, ServerLog, everything, others
from tests.writing import write_env

pytestmark = pytest.mark.compatibility

REQUIRED = """
connection = config.attributes["connection"]
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
OPTIONAL = """
connection = config.attributes.get("connection")
if connection is None:
    url = {url}
    connection = create_engine(url).connect()
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
SECOND = """
for variable in ("FIRST", "SECOND"):
    engine = create_engine({url})
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


@pytest.fixture
def stuck(project, database):
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    return project("linear", database)


def findings(ran):
    return [(finding["code"], finding["message"]) for part in ran["databases"] for finding in part["findings"]]


# --- a connection from the application ------------------------------------------------------------------------------


def test_without_any_url_there_is_no_connection_to_hand_over(project):
    linear = project("linear")
    write_env(linear, engine="None", body=REQUIRED)
    for url in ("", "driver://user:pass@localhost/dbname"):
        linear.set_url(url)
        told(
            linear, "plan", "aaaa0003",
            code="connection-expected",
            status=2,
            says=['env.py takes its connection from the application (config.attributes["connection"])', "alembic.ini"],
            helps=["--url", "ALEMBIC_RESCUE_URL"],
        )  # fmt: skip


def test_the_connection_passed_in_goes_to_url_rather_than_the_configured_one(stuck, server):
    write_env(stuck, engine="None", body=REQUIRED)
    with fresh_database(server) as other:
        other.stand_at("aaaa0002")
        planned = stuck.rescue_json("plan", "aaaa0003", ALEMBIC_RESCUE_URL=other.url)
        assert [part["current_heads"] for part in planned["databases"]] == [["aaaa0002"]]
        assert findings(planned) == []
    planned = stuck.rescue_json("plan", "aaaa0003")
    assert [part["current_heads"] for part in planned["databases"]] == [["aaaa0001"]]
    ((code, message),) = findings(planned)
    assert code == "connection-handed-over"
    assert "alembic-rescue passed one to the configuration's sqlalchemy.url" in message


def test_the_connection_passed_in_needs_no_event_loop(stuck, database):
    write_env(stuck, engine="None", body=REQUIRED)
    stuck.set_url(database.url.replace("psycopg2", "asyncpg"))
    planned = stuck.rescue("plan", "aaaa0003")
    assert planned.status == 0, planned.everything


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ('os.environ["SHOP_URL"]', "env-variable-missing"),
        ('os.environ.get("SHOP_URL").replace("%", "%%")', "env-failed"),
        ('os.environ.get("SHOP_URL")', "env-failed"),
    ],
)
def test_a_missing_setting_is_no_reason_to_pass_in_a_connection_to_the_configured_database(stuck, database, url, code):
    write_env(stuck, engine="None", body=OPTIONAL.format(url=url))
    log = ServerLog(database)
    failed = stuck.rescue_json("plan", "aaaa0003")
    assert failed["error"]["code"] == code
    assert log.statements == []
    assert ("--url or ALEMBIC_RESCUE_URL" in failed["error"]["help"]) == (code == "env-failed")


def test_an_env_py_that_does_nothing_without_a_connection_gets_one_to_url(stuck, database):
    ask = 'connection = config.attributes.get("connection")\nif connection is not None:\n'
    body = REQUIRED.split("\n", 2)[2].replace("\n", "\n    ").rstrip()
    write_env(stuck, engine="None", body=f"{ask}    {body}")
    told(
        stuck, "plan", "aaaa0003",
        code="env-never-migrates", status=2, says=["without running migrations"], helps=["--url or ALEMBIC_RESCUE_URL"],
    )  # fmt: skip
    assert stuck.rescue("plan", "aaaa0003", ALEMBIC_RESCUE_URL=database.url).status == 0


def test_an_env_py_that_opens_its_own_connection_gets_none(stuck, database):
    write_env(stuck, engine="None", body=OPTIONAL.format(url="os.environ['SHOP_URL']"))
    stuck.set_url(database.url.replace(f"/{database.name}", "/nowhere"))
    planned = stuck.rescue_json("plan", "aaaa0003", SHOP_URL=database.url)
    assert planned["outcome"] == "ready"
    assert findings(planned) == []


def test_a_failure_of_env_py_with_the_connection_is_reported(stuck):
    write_env(
        stuck, engine="None", body=REQUIRED.replace("context.configure", "import shop_settings\ncontext.configure")
    )
    told(
        stuck, "plan", "aaaa0003",
        code="module-missing", status=2, says=["the Python module shop_settings was not found"], helps=["backend"],
    )  # fmt: skip


def test_the_connection_passed_in_is_read_only_and_closed(stuck, database, monkeypatch):
    body = REQUIRED.replace(
        "context.configure", 'connection.execute(text("CREATE TABLE written ()"))\ncontext.configure'
    )
    write_env(stuck, engine="None", body=body)
    failed = stuck.rescue_json("plan", "aaaa0003")
    assert failed["error"]["code"] == "env-writes"
    write_env(stuck, engine="None", body=REQUIRED)
    monkeypatch.chdir(stuck.root)
    project = alembic_rescue.load()
    assert alembic_rescue.plan(project, "aaaa0003").outcome == "ready"
    assert alembic_rescue.plan(project, "aaaa0003").outcome == "ready", "again"
    assert others(database) == []


# --- what env.py creates beforehand ----------------------------------------------------------------------------------

MAKES = 'with engine.begin() as first:\n    first.execute(text("CREATE SCHEMA IF NOT EXISTS retail"))'


def test_an_inspection_leaves_out_what_env_py_would_create_and_reports_what_is_missing(stuck, database):
    write_env(stuck, connected=MAKES, options='version_table_schema="retail"')
    before = everything(database)
    for command in (("diagnose",), ("plan", "aaaa0003")):
        seen = stuck.rescue_json(*command)
        assert seen["error"] is None, seen
        assert seen["databases"][0]["current_heads"] == []
        told_of = dict(findings(seen))
        assert "env.py creates schema retail before its migrations" in told_of["env-creates"]
        assert "version-table-missing" in told_of
    assert everything(database) == before
    stamped = stuck.rescue("stamp", "aaaa0003", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions("retail.alembic_version") == ["aaaa0003"]
    assert database.versions() == ["aaaa0001"]
    assert "env-creates" not in dict(findings(stuck.rescue_json("diagnose")))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE EXTENSION IF NOT EXISTS plpgsql", None),
        ("CREATE EXTENSION IF NOT EXISTS citext", "extension citext"),
        ('create schema if not exists \\"Retail\\" authorization rescue_app', 'schema "Retail"'),
        ("CREATE SCHEMA IF NOT EXISTS public", None),
        ("CREATE TABLE IF NOT EXISTS public.alembic_version (version_num varchar(32))", None),
        ("CREATE TABLE IF NOT EXISTS retail.history (line text);", "table retail.history"),
        ("CREATE UNIQUE INDEX IF NOT EXISTS alembic_version_pkc ON alembic_version (version_num)", None),
        ("CREATE SEQUENCE IF NOT EXISTS numbers", "sequence numbers"),
    ],
)
def test_whether_what_env_py_creates_exists_is_checked(stuck, statement, told):
    write_env(stuck, connected=f'connection.execute(text("{statement}"))')
    seen = stuck.rescue_json("diagnose")
    assert seen["error"] is None, seen
    messages = [message for code, message in findings(seen) if code == "env-creates"]
    assert len(messages) == (told is not None)
    assert all(f"env.py creates {told} before" in message for message in messages)


@pytest.mark.parametrize(
    "statement",
    ["CREATE SCHEMA retail", "CREATE SCHEMA IF NOT EXISTS retail; DELETE FROM alembic_version", "DROP SCHEMA public"],
)
def test_any_other_write_of_env_py_is_refused_by_the_server(stuck, database, statement):
    write_env(stuck, connected=f'connection.execute(text("{statement}"))')
    assert stuck.rescue_json("diagnose")["error"]["code"] == "env-writes"
    assert database.versions() == ["aaaa0001"]


# --- what env.py does afterwards -------------------------------------------------------------------------------------


def test_a_failure_afterwards_is_reported_with_its_place_and_nothing_is_lost(stuck, database):
    env = write_env(stuck, first="done = False")
    env.write_text(env.read_text() + 'raise RuntimeError("no mail was sent")\n')
    diagnosed = stuck.rescue("diagnose")
    assert diagnosed.status == 0
    line = "after its migrations had run, env.py failed at alembic/env.py:11: RuntimeError: no mail was sent"
    assert line in diagnosed.stdout
    assert stuck.rescue("stamp", "aaaa0003", "--yes").status == 0
    assert database.versions() == ["aaaa0003"]


def test_a_successful_exit_after_the_migrations_is_no_finding(stuck):
    env = write_env(stuck, first="import sys")
    env.write_text(env.read_text() + "sys.exit(0)\n")
    assert findings(stuck.rescue_json("plan", "aaaa0003")) == []


def test_a_failure_before_the_next_database_hides_none(stuck, database):
    body = SECOND.format(url="os.environ[variable]")
    write_env(stuck, engine="None", body=body)
    unreachable = database.url.replace(f":{database.server.port}/", ":1/")
    failed = stuck.rescue_json("plan", "aaaa0003", FIRST=database.url, SECOND=unreachable)
    assert failed["error"]["code"] == "connection-refused"
    write_env(
        stuck,
        engine="None",
        body=body.replace("context.configure", "context.configure; 1 / (variable == 'FIRST'); context.configure"),
    )
    failed = stuck.rescue_json("plan", "aaaa0003", FIRST=database.url, SECOND=database.url)
    assert "division by zero" in failed["error"]["message"]
    assert database.versions() == ["aaaa0001"]


# --- where env.py runs -----------------------------------------------------------------------------------------------


def test_a_call_from_a_coroutine_leaves_logging_and_the_loop_as_they_were(stuck, monkeypatch):
    write_env(stuck, first="import asyncio, logging; asyncio.run(asyncio.sleep(0)); logging.disable(logging.CRITICAL)")
    monkeypatch.chdir(stuck.root)

    async def planned():
        report = alembic_rescue.plan(alembic_rescue.load(), "aaaa0003")
        await asyncio.sleep(0)
        return report.outcome

    assert asyncio.run(planned()) == "ready"
    assert logging.root.manager.disable == logging.NOTSET
