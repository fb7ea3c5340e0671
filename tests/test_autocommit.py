"""Each statement of a stamp is its own transaction, whatever env.py does; the host process stays as it was."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings

import pytest

import alembic_rescue
from tests.watching import VERSION_TABLE, ServerLog

UNTOUCHED = (logging.NOTSET, [], True, False)
STAMP = "UPDATE alembic_version SET version_num='aaaa0003' WHERE alembic_version.version_num = 'aaaa0001'"


@pytest.mark.parametrize("env_py", ["linear", "env_engine_begin", "env_transaction_per_migration"])
def test_the_stamp_is_one_bare_update_in_the_servers_log(project, any_database, env_py):
    any_database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    log = ServerLog(any_database)
    stamped = project(env_py, any_database).rescue("stamp", "aaaa0003", "--yes")
    assert stamped.status == 0, stamped.stderr
    assert_bare(log)
    assert any_database.versions() == ["aaaa0003"]


def assert_bare(log: ServerLog) -> None:
    """Check that the UPDATE ran once, outside of any transaction, and that another session read it back."""
    (writer,) = [pid for pid, statement in log.statements if statement == STAMP]
    statements = log.sessions[writer]
    place = statements.index(STAMP)
    begun = [s for s in statements[:place] if s.split()[0] in {"BEGIN", "COMMIT", "ROLLBACK"}]
    assert begun[-1:] != ["BEGIN"], statements
    assert not [s for s in statements[place + 1 :] if s.split()[0] in {"BEGIN", "COMMIT"}], statements
    assert not [s for _, s in log.statements if "alembic_version" in s and s.split()[0] in {"INSERT", "DELETE"}]
    later = log.statements[log.statements.index((writer, STAMP)) + 1 :]
    readers = {pid for pid, s in later if s.startswith("SELECT alembic_version.version_num")}
    assert readers, "it was read back"
    assert writer not in readers


# --- an application's own engine, with the Python API -------------------------------------------------------------


@pytest.fixture
def application(project, database, monkeypatch):
    """The application in this very process, with its pool in use: one session checked out, one returned."""
    database.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001')")
    env = project("env_application_engine", database)
    monkeypatch.chdir(env.root)
    monkeypatch.syspath_prepend(str(env.root))
    monkeypatch.setenv("SHOP_DATABASE", database.url)
    for variable in ("DATABASE_URL", "ALEMBIC_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    engine = importlib.import_module("shop_application.database").engine
    with engine.connect() as given_back:
        given_back.exec_driver_sql("SELECT 1")
    yield env, engine
    engine.dispose()
    for module in [name for name in sys.modules if name.startswith("shop_application")]:
        del sys.modules[module]


def test_the_stamp_is_bare_on_an_application_engine_too(application):
    env, _ = application
    log = ServerLog(env.database)
    report = alembic_rescue.stamp(
        alembic_rescue.load(), "aaaa0003", confirm=lambda plan: plan.outcome == "ready", folder=env.home
    )
    assert report.outcome == "stamped"
    assert_bare(log)


def test_the_applications_pool_hands_out_no_session_that_the_tool_touched(application):
    env, engine = application
    project = alembic_rescue.load()
    with engine.connect() as in_use, in_use.begin():
        in_use.exec_driver_sql("SELECT 'the application is at work'")
        alembic_rescue.diagnose(project)
        alembic_rescue.plan(project, "aaaa0003")
        alembic_rescue.stamp(project, "aaaa0003", confirm=lambda _: True, folder=env.home)
        alembic_rescue.undo(project, confirm=lambda _: True, folder=env.home)
        assert in_use.in_transaction(), "and its transaction goes on"
        with engine.connect() as one, engine.connect() as two:
            for connection in (in_use, one, two):
                assert _settings(connection) == ("off", "0", "0", "read committed", False)


def _settings(connection):
    names = ("default_transaction_read_only", "lock_timeout", "statement_timeout", "transaction_isolation")
    shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
    return (*shown, connection.connection.cursor().connection.autocommit)


def test_the_api_prints_nothing_and_leaves_logging_as_it_was(application, capfd, tmp_path):
    env, _ = application
    known = logging.getLogger("host.application")
    handler = logging.FileHandler(tmp_path / "host.log", mode="w")
    known.addHandler(handler)
    known.setLevel(logging.DEBUG)
    project = alembic_rescue.load()  # what Alembic does on import is its own affair
    before, streams = _logging(), (sys.stdout, sys.stderr)
    try:
        report = alembic_rescue.stamp(project, "aaaa0003", confirm=lambda _: True, folder=env.home)
        assert report.outcome == "stamped"
        after = _logging()
        assert {name: after[name] for name in before} == before
        changed = {name: after[name] for name in set(after) - set(before) if after[name] != UNTOUCHED}
        assert changed == {}
        assert (sys.stdout, sys.stderr) == streams
        known.debug("still heard")
        handler.flush()
        assert (tmp_path / "host.log").read_text() == "still heard\n"
        assert logging.getLogger("host.application").isEnabledFor(logging.DEBUG)
    finally:
        known.removeHandler(handler)
        handler.close()
    assert capfd.readouterr() == ("", "")


def _logging():
    loggers = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    return {
        name: (logger.level, logger.handlers[:], logger.propagate, logger.disabled)
        for name, logger in loggers.items()
        if isinstance(logger, logging.Logger)
    }


@pytest.mark.usefixtures("application")
def test_what_env_py_printed_is_passed_to_the_caller_who_asks_for_it(capfd):
    told: list[str] = []
    alembic_rescue.diagnose(alembic_rescue.load(tell=told.append))
    assert "the application says hello" in told
    assert capfd.readouterr() == ("", "")
    alembic_rescue.diagnose(alembic_rescue.load(tell=print))
    assert "the application says hello\n" in capfd.readouterr().out


def test_a_call_leaves_no_listener_on_the_applications_engine(application):
    _, engine = application
    alembic_rescue.diagnose(alembic_rescue.load())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE written_by_the_application (id int)")
            assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "off"


def test_the_applications_engine_keeps_its_two_phase_transactions(application):
    env, engine = application
    alembic_rescue.diagnose(alembic_rescue.load())
    with engine.connect() as connection:
        transaction = connection.begin_twophase()
        transaction.prepare()
        assert env.database.run("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()") == [(1,)]
        transaction.rollback()


@pytest.mark.usefixtures("application")
def test_if_tell_raises_the_streams_are_restored():
    def tell(line: str) -> None:
        raise RuntimeError(line)

    streams, before = (sys.stdout, sys.stderr), _logging()
    with pytest.raises(Exception, match="the application says hello"):
        alembic_rescue.diagnose(alembic_rescue.load(tell=tell))
    assert (sys.stdout, sys.stderr) == streams
    assert {name: _logging()[name] for name in before} == before
