"""With a pooler in transaction mode: what the tool does must never reach the application's transactions."""

from __future__ import annotations

import time

import psycopg2
import pytest

from tests.pooler import pooling
from tests.servers import ROLE
from tests.watching import OF_THIS_DATABASE

pytestmark = pytest.mark.compatibility

SESSION_SETTINGS = ("default_transaction_read_only", "lock_timeout", "statement_timeout", "application_name")


@pytest.fixture
def pooled(project, database):
    """The chain of empty revisions at the first of them, and the URL that leads to it through a pooler."""
    linear = project("linear", database)
    assert linear.alembic("upgrade", "aaaa0001").status == 0
    with pooling(database.server) as pooler:
        linear.environment["ALEMBIC_RESCUE_URL"] = (
            f"postgresql+psycopg2://{ROLE}@127.0.0.1:{pooler.port}/{database.name}"
        )
        linear.pooler = pooler
        yield linear


def _as_the_application(pooled, statement):
    connection = psycopg2.connect(host="127.0.0.1", port=pooled.pooler.port, user=ROLE, dbname=pooled.database.name)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def _settings(pooled):
    return {name: _as_the_application(pooled, f"SHOW {name}")[0][0] for name in SESSION_SETTINGS}


def test_this_pooler_does_pass_a_setting_on_to_the_next_client(pooled):
    """Otherwise the tests below could not fail."""
    before = _settings(pooled)
    _as_the_application(pooled, "SET default_transaction_read_only = on")
    assert _settings(pooled) == {**before, "default_transaction_read_only": "on"}


def test_no_session_setting_is_left_to_the_application(pooled, database):
    before = _settings(pooled)
    for arguments in (["diagnose"], ["plan", "head"], ["stamp", "aaaa0003", "--yes"], ["undo", "--yes"]):
        ran = pooled.rescue(*arguments)
        assert ran.status == 0, ran.stderr
        assert _settings(pooled) == before, arguments
    _as_the_application(pooled, "CREATE TABLE written_by_the_application (id int)")
    deadline = time.monotonic() + 5  # the server ends a session a moment after its client has left
    held = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {OF_THIS_DATABASE}"
    while database.run(held) != [(0,)]:
        assert time.monotonic() < deadline


def test_the_pooler_is_reported(pooled):
    found = pooled.rescue_json("diagnose")["databases"][0]["findings"]
    assert "behind-a-pooler" in [finding["code"] for finding in found]
    del pooled.environment["ALEMBIC_RESCUE_URL"]
    found = pooled.rescue_json("diagnose")["databases"][0]["findings"]
    assert "behind-a-pooler" not in [finding["code"] for finding in found]


def test_an_inspection_is_read_only_there_too(pooled, database):
    env = pooled.root / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace(
            "with context.begin_transaction():\n            context.run_migrations()",
            "with context.begin_transaction():\n"
            "            connection.exec_driver_sql('CREATE TABLE made_by_env (id int)')\n"
            "            context.run_migrations()",
        )
    )
    ran = pooled.rescue("diagnose")
    assert ran.status == 2
    assert "error[env-writes]" in ran.stderr
    assert database.run("SELECT to_regclass('made_by_env')") == [(None,)]


def test_waiting_for_a_lock_is_given_up_in_time_there_too(pooled, database):
    with database.session() as other, other.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = 'aaaa0002'")
        begin = time.monotonic()
        ran = pooled.rescue("stamp", "aaaa0003", "--yes", "--lock-timeout", "1")
        assert time.monotonic() - begin < 45
        assert ran.status == 4
        assert "error[lock-timeout]" in ran.stderr
        assert f"pid {other.info.backend_pid}" in ran.stderr
    assert database.versions() == ["aaaa0001"]
