"""``upgrade``: the same effect as ``alembic upgrade``, and a correct report at the end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import alembic_rescue
from alembic_rescue import errors
from alembic_rescue.model import Outcome
from tests.upgrades import ENV_HIDES_ERRORS, ENV_NEVER_COMMITS, SHOP, SLEEPS, ended, rescue_locks, written
from tests.watching import blocked_by, until, waiting_for_a_lock

pytestmark = pytest.mark.slow

FAILS = "op.execute('SELECT 1/0')"
ADDS = "op.add_column('t1', sa.Column('name', sa.Text))"
HIDDEN = """
try:
    {before}op.execute("ALTER TABLE nowhere ADD COLUMN x int")
except Exception:
    pass
"""


@pytest.fixture
def shop(tmp_path, database):
    return written(tmp_path, database)


# --- it upgrades ---------------------------------------------------------------------------------------------------


def test_upgrade_then_nothing_to_do(shop, database):
    first = shop.rescue("upgrade", "r2")
    assert (first.status, database.versions()) == (0, ["r2"]), first.everything
    assert first.stdout.startswith("Upgraded: public.alembic_version in ")
    assert "is at r2. It ran 2 revisions: r1 and r2." in first.stdout
    assert first.stderr.splitlines() == ["Running r1 (1 of 2)", "Running r2 (2 of 2)"]
    second = shop.rescue_json("upgrade")
    assert (second["command"], second["outcome"], second["target"]["revision"]) == ("upgrade", "upgraded", "r3")
    assert (second["databases"][0]["ran"], second["databases"][0]["current_heads"]) == (["r3"], ["r3"])
    third = shop.rescue("upgrade")
    assert (third.status, third.stderr) == (0, "")
    assert third.stdout.startswith("Nothing to do: ")
    assert shop.rescue_json("upgrade", "r1")["outcome"] == "nothing-to-do"
    assert rescue_locks(database) == []


def test_output_of_env_py_goes_to_the_log_not_the_answer(tmp_path, database):
    project = written(tmp_path, database, {"r1": "print('halfway there')"})
    done = project.rescue("--format", "json", "upgrade")
    assert "halfway there" in done.stderr
    assert done.json["outcome"] == "upgraded"


def test_a_relative_target_is_resolved_once(shop, database):
    shop.alembic("upgrade", "r1")
    assert shop.rescue("upgrade", "+1").status == 0
    assert database.versions() == ["r2"]


def test_from_python(shop, monkeypatch):
    monkeypatch.chdir(shop.root)
    heard = []
    report = alembic_rescue.upgrade(alembic_rescue.load(), folder=shop.home, told=heard.append)
    assert (report.outcome, report.databases[0].ran) == (Outcome.UPGRADED, ("r1", "r2", "r3"))
    assert heard
    assert alembic_rescue.upgrade(alembic_rescue.load(), folder=shop.home).outcome is Outcome.NOTHING_TO_DO
    with pytest.raises(errors.BadUsage):
        alembic_rescue.upgrade(alembic_rescue.load(), wait=-1, folder=shop.home)


def test_rows_that_the_scripts_cannot_explain_are_refused(shop, database):
    database.stand_at("feed")
    refused = shop.rescue("upgrade")
    assert (refused.status, database.versions()) == (3, ["feed"])
    assert "error[unknown-current]" in refused.stderr


# --- it fails ------------------------------------------------------------------------------------------------------


def test_a_failing_revision_is_reported_with_its_line_and_the_diagnosis_comes_last(tmp_path, database):
    project = written(tmp_path, database, {**SHOP, "r4": FAILS})
    project.alembic("upgrade", "r1")
    failed = project.rescue("upgrade")
    assert (failed.status, database.versions()) == (3, ["r1"])
    assert "error[migration-failed]: r4 failed at alembic/versions/r4.py:9: division by zero." in failed.stderr
    assert " left no changes: " in failed.stderr
    assert "is at r1, as before. Fix the cause, then upgrade again" in failed.stderr
    assert "\nRecommendation: rerun: " in failed.stdout
    assert "alembic/versions/r4.py:9" in failed.stdout.partition("Recommendation")[2]
    document = project.rescue_json("upgrade")
    assert (document["outcome"], document["error"]["code"]) == ("error", "migration-failed")
    assert document["databases"][0]["recommendation"]["action"] == "rerun"
    assert document["databases"][0]["causes"][0]["line"] == 9
    assert rescue_locks(database) == []


def test_after_a_rolled_back_run_the_advice_is_to_fix_and_rerun(tmp_path, database):
    failed = written(tmp_path, database, {**SHOP, "r4": FAILS}).rescue("--scratch", "none", "upgrade")
    assert failed.status == 3
    told = " ".join(failed.stdout.partition("Recommendation: ")[2].split())
    assert told.startswith("rerun: everything was rolled back. Fix alembic/versions/r4.py:9, then deploy again"), told
    assert "stamp" not in told


def test_what_an_earlier_run_may_have_created_still_stops(tmp_path, database):
    project = written(tmp_path, database)
    database.run("CREATE TABLE t1 (id int)")
    failed = project.rescue_json("--scratch", "none", "upgrade")
    assert failed["error"]["code"] == "migration-failed"
    assert failed["databases"][0]["recommendation"]["action"] == "stop"


def test_the_log_of_alembic_has_its_own_line(shop):
    env = shop.root / "alembic" / "env.py"
    env.write_text("import logging\nlogging.basicConfig(level=logging.INFO)\n" + env.read_text())
    done = shop.rescue("upgrade")
    assert "Running upgrade r1 -> r2" in done.stderr, done.everything
    assert "Running migrate" not in done.stderr


def test_its_own_log_can_be_diagnosed(tmp_path, database):
    project = written(tmp_path, database, {**SHOP, "r4": FAILS})
    failed = project.rescue("upgrade")
    (tmp_path / "deploy.log").write_text(failed.stderr + failed.stdout)
    found = project.rescue("diagnose", "--log", str(tmp_path / "deploy.log"))
    assert "log-without-alembic" not in found.everything
    document = project.rescue_json("diagnose", "--log", str(tmp_path / "deploy.log"))
    run = document["log"]["run"]
    failure = run["failure"]
    assert (run["steps"][-1]["revision"], failure["message"]) == ("r4", "division by zero"), failed.stderr
    assert (failure["statement"], failure["frame"]["line"]) == ("SELECT 1/0", 9), failed.stderr


def test_a_python_error_in_a_revision_and_one_in_env_py(tmp_path, database):
    project = written(tmp_path, database, {"r1": "op.nosuch()"})
    failed = project.rescue("upgrade")
    assert failed.status == 3
    assert "error[migration-failed]: r1 failed at alembic/versions/r1.py:9: AttributeError: " in failed.stderr
    (project.root / "alembic" / "env.py").write_text("raise ValueError('no settings')\n")
    failed = project.rescue("upgrade")
    assert failed.status == 2
    assert "error[env-failed]" in failed.stderr


RAISES_ON_UPGRADE = """
import sys

if "upgrade" in sys.argv:
    raise ValueError("no metrics server")
"""


def test_an_env_py_that_fails_after_the_migrations_fails_and_they_are_told(shop, database):
    env = shop.root / "alembic" / "env.py"
    env.write_text(env.read_text() + RAISES_ON_UPGRADE)
    failed = shop.rescue("upgrade")
    assert (failed.status, database.versions()) == (2, ["r3"]), failed.everything
    assert "error[env-failed]: r1, r2 and r3 ran, and all of it is kept: " in failed.stderr
    assert "is at r3; it was at base (no row). Afterwards env.py failed at alembic/env.py:" in failed.stderr
    assert "no metrics server" in failed.stderr
    assert "help: fix env.py, then deploy again: no revision is left to run" in failed.stderr
    assert failed.stdout == ""


def test_an_env_py_that_fails_before_it_commits_keeps_nothing(shop, database):
    env = shop.root / "alembic" / "env.py"
    within = "context.run_migrations()\n" + " " * 8
    env.write_text(env.read_text().replace("context.run_migrations()", f"{within}if 'upgrade' in sys.argv: 1 / 0"))
    env.write_text("import sys\n" + env.read_text())
    failed = shop.rescue("upgrade")
    assert (failed.status, database.versions()) == (2, []), failed.everything
    assert "error[env-failed]: env.py failed at alembic/env.py:" in failed.stderr
    assert "is at base (no row), as before" in failed.stderr


def test_a_long_statement_is_reported(tmp_path, database):
    """For longer than it takes until the server is asked for a sign of life: that is no end of the statement."""
    done = written(tmp_path, database, {"r1": "op.execute('SELECT pg_sleep(12)')"}).rescue("upgrade")
    assert done.status == 0
    told = done.stderr.splitlines()[1]
    assert told.startswith("r1 has been running this statement for 1"), done.stderr
    assert told.endswith(" s: SELECT pg_sleep(12)")


def test_a_swallowed_error_is_reported_during_the_run(tmp_path, database):
    project = written(tmp_path, database, {"r1": HIDDEN.format(before="") + "\nprint('and on it goes')", "r2": "pass"})
    failed = project.rescue("upgrade")
    assert (failed.status, database.versions()) == (3, [])
    told = failed.stderr.index(
        "warning[swallowed-error]: alembic/versions/r1.py:10: ALTER TABLE nowhere ADD COLUMN x int"
    )
    assert "The except at line 11 hides it\n" in failed.stderr
    assert told < failed.stderr.index("error[migration-failed]")
    assert "without a SAVEPOINT" in failed.stdout


def test_an_error_swallowed_in_a_savepoint_is_not_reported(tmp_path, database):
    project = written(tmp_path, database, {"r1": HIDDEN.format(before="with op.get_bind().begin_nested(): ")})
    done = project.rescue("upgrade")
    assert (done.status, database.versions()) == (0, ["r1"]), done.everything
    assert "swallowed-error" not in done.everything


def test_an_error_swallowed_in_autocommit_is_reported_once(tmp_path, database):
    hides = "try: op.execute('DROP TABLE nowhere')\n    except Exception: pass"
    project = written(tmp_path, database, {"r1": f"with op.get_context().autocommit_block():\n    {hides}"})
    done = project.rescue("upgrade")
    assert (done.status, database.versions()) == (0, ["r1"]), done.everything
    assert done.stderr.count("warning[swallowed-error]: alembic/versions/r1.py:10: ") == 1
    assert "help: re-raise it" in done.stderr
    assert "swallowed-error" not in done.stdout


def test_a_reraised_error_is_not_called_swallowed(tmp_path, database):
    body = """
        try:
            with op.get_bind().begin_nested():
                op.execute("ALTER TABLE nowhere ADD COLUMN x int")
        finally:
            op.execute("SELECT 1")
    """
    failed = written(tmp_path, database, {"r1": body}).rescue("--scratch", "none", "upgrade")
    assert failed.status == 3
    assert "swallowed-error" not in failed.stderr


@pytest.mark.parametrize(
    ("env", "code", "cause"),
    [(ENV_NEVER_COMMITS, "upgrade-not-kept", "env-never-commits"), (ENV_HIDES_ERRORS, "migration-failed", "")],
    ids=["never commits", "hides errors"],
)
def test_an_env_py_that_commits_nothing_exits_with_3(tmp_path, database, env, code, cause):
    bodies = {**SHOP, "r4": FAILS} if code == "migration-failed" else SHOP
    project = written(tmp_path, database, bodies, env=env)
    assert project.alembic("upgrade", "head").status == 0, "which is why nobody notices"
    failed = project.rescue_json("upgrade")
    assert (failed["error"]["code"], failed["databases"][0]["current_heads"]) == (code, [])
    assert cause in [one["code"] for one in failed["databases"][0]["causes"]]
    assert project.rescue("upgrade").status == 3
    assert database.versions() == []


def test_a_failure_after_revisions_of_the_same_run_is_not_taken_for_another_databases(tmp_path, database):
    project = written(tmp_path, database, {**SHOP, "r4": "op.execute('SELECT 1/0')"})
    project.alembic("upgrade", "r1")
    failed = project.rescue_json("upgrade")
    (part,) = failed["databases"]
    assert (failed["error"]["code"], part["current_heads"]) == ("migration-failed", ["r1"])
    assert [one["code"] for one in part["findings"]] == ["will-fail", "log-failure"]
    assert [one["revision"] for one in part["causes"]] == ["r4"]


# --- locks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(tmp_path, database):
    """A project whose next revision needs a lock on t1."""
    project = written(tmp_path, database, {**SHOP, "r4": ADDS})
    project.alembic("upgrade", "r3")
    return project


def test_an_idle_session_that_keeps_its_lock(locked, database):
    with blocked_by(database, "SELECT * FROM t1"):
        failed = locked.rescue("upgrade", "--lock-timeout", "0.6", "--retries", "1")
    assert (failed.status, database.versions()) == (4, ["r3"])
    again = failed.stderr.index("Trying again in ")
    assert failed.stderr[:again].count("(somebody else, rescue_app): idle in transaction for ") == 1, "who blocked"
    assert "It left no changes." in failed.stderr[:again]
    last = failed.stderr[again:]
    assert "error[lock-timeout]: another session holds the lock on t1 in " in last
    assert "at alembic/versions/r4.py:9, in 2 attempts; " in last
    assert "is at r3, as before" in last
    assert "SELECT pg_terminate_backend(" in last
    told = " ".join(failed.stdout.partition("Recommendation: ")[2].split())
    assert told.startswith("rerun: pid "), told
    assert "(somebody else, idle in transaction) holds the lock on t1 in " in told
    assert told.endswith("Wait for it or end it, then deploy again: alembic-rescue upgrade"), told
    assert "Fix what failed" not in failed.everything


def test_a_session_that_releases_its_lock_costs_one_retry(locked, database):
    with blocked_by(database, "SELECT * FROM t1") as other:
        process = locked.started("upgrade", "--lock-timeout", "0.6")
        until(lambda: waiting_for_a_lock(database), "it waits for the lock")
        until(lambda: not waiting_for_a_lock(database), "it gave up: nobody queues behind it")
        other.rollback()
        status, _, err = ended(process)
    assert (status, database.versions()) == (0, ["r4"]), err
    assert "Trying again in " in err


def test_an_invalid_index_that_if_not_exists_skips_is_reported(tmp_path, database):
    makes = "op.execute('CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON t1 (id)')"
    project = written(tmp_path, database, {**SHOP, "r4": f"with op.get_context().autocommit_block():\n    {makes}"})
    project.alembic("upgrade", "r3")
    database.run("CREATE INDEX ix ON t1 (id)")
    database.run("CREATE TABLE parts (id int) PARTITION BY LIST (id)")
    database.run("CREATE TABLE part PARTITION OF parts FOR VALUES IN (1)")
    database.run("CREATE INDEX of_parts ON ONLY parts (id)")
    database.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass", role="postgres")
    done = project.rescue("upgrade")
    assert (done.status, database.versions()) == (0, ["r4"]), done.everything
    assert done.everything.count("warning[invalid-index]: index ix in ") == 1
    assert "REINDEX INDEX CONCURRENTLY ix" in done.everything
    assert "of_parts" not in done.everything


def test_a_concurrent_statement_waits_longer_than_the_lock_timeout_and_only_it(tmp_path, database):
    makes = "op.execute('CREATE INDEX CONCURRENTLY ix ON t1 (id)')"
    body = f"with op.get_context().autocommit_block():\n    {makes}\n    {ADDS}"
    project = written(tmp_path, database, {**SHOP, "r4": body})
    project.alembic("upgrade", "r3")
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix')"
    with blocked_by(database, "INSERT INTO t1 VALUES (1)") as other:
        process = project.started("upgrade", "--lock-timeout", "0.4", "--retries", "0")
        until(lambda: waiting_for_a_lock(database), "it waits")
        time.sleep(1.2)
        assert process.poll() is None, "another timeout would leave an invalid index"
        with blocked_by(database, "SELECT * FROM t1"):
            other.rollback()
            status, _, err = ended(process)
    assert (status, database.run(valid)) == (4, [(True,)]), err
    assert "error[lock-timeout]: another session holds the lock on t1 in " in err


def test_a_concurrent_statement_that_fails_in_a_savepoint_loses_nothing_else(tmp_path, database):
    body = """
        try:
            with op.get_bind().begin_nested():
                op.execute("CREATE INDEX CONCURRENTLY ix ON t1 (id)")
        except Exception:
            op.execute("CREATE INDEX ix ON t1 (id)")
    """
    done = written(tmp_path, database, {**SHOP, "r4": body}).rescue("upgrade")
    assert (done.status, database.versions()) == (0, ["r4"]), done.everything
    assert database.run("SELECT to_regclass('ix') IS NOT NULL") == [(True,)]


OF_THE_DRIVER = "raw = op.get_bind().connection\nraw.cursor().execute('INSERT INTO kept VALUES (1)')\nraw.commit()"
ANOTHER = (
    "raw = op.get_bind().engine.raw_connection()\nraw.cursor().execute('INSERT INTO kept VALUES (1)')\nraw.commit()"
)
COMMITS = {
    "COMMIT": "op.execute('INSERT INTO kept VALUES (1)')\nop.execute('COMMIT')",
    "in a script": "op.execute('BEGIN; INSERT INTO kept VALUES (1); END;')",
    "after a comment": "op.execute('INSERT INTO kept VALUES (1);\\n-- keep it\\nCOMMIT;')",
    "on the driver's connection": OF_THE_DRIVER,
    "after another statement": f"op.execute('SELECT 1')\n{OF_THE_DRIVER}\nraw.cursor().execute('SELECT 1')",
    "on another connection": ANOTHER,
}


@pytest.mark.parametrize("how", COMMITS)
def test_a_run_that_committed_by_itself_is_not_retried(tmp_path, database, how):
    project = written(tmp_path, database, {**SHOP, "r4": f"{COMMITS[how]}\n{ADDS}"})
    project.alembic("upgrade", "r3")
    database.run("CREATE TABLE kept (id int)")
    with blocked_by(database, "SELECT * FROM t1"):
        failed = project.rescue("--scratch", "none", "upgrade", "--lock-timeout", "0.4")
    assert database.run("SELECT id FROM kept") == [(1,)], "once"
    assert (failed.status, database.versions()) == (4, ["r3"]), failed.everything
    assert "Part of it may have been committed, so it was not retried" in failed.stderr
    assert "Trying again" not in failed.stderr


def test_what_a_transaction_per_migration_committed_by_itself_is_not_retried(tmp_path, database):
    hidden = f"try:\n    with op.get_bind().begin_nested(): {ADDS}\nexcept Exception:\n    pass"
    bodies = {**SHOP, "r4": f"op.execute('SELECT 1')\n{OF_THE_DRIVER}\n{hidden}"}
    project = written(tmp_path, database, bodies, options="transaction_per_migration=True")
    project.alembic("upgrade", "r3")
    database.run("CREATE TABLE kept (id int)")
    with blocked_by(database, "SELECT * FROM t1"):
        failed = project.rescue("--scratch", "none", "upgrade", "--lock-timeout", "0.4")
    assert database.run("SELECT id FROM kept") == [(1,)], "once"
    assert (failed.status, database.versions()) == (4, ["r3"]), failed.everything


def test_a_procedure_that_commits_when_it_is_called_commits_nothing_yet(tmp_path, database):
    makes = "op.execute('CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; COMMIT; END $$')"
    project = written(tmp_path, database, {**SHOP, "r4": f"{makes}\n{ADDS}"})
    project.alembic("upgrade", "r3")
    with blocked_by(database, "SELECT * FROM t1"):
        failed = project.rescue("--scratch", "none", "upgrade", "--lock-timeout", "0.4", "--retries", "1")
    assert "Trying again in " in failed.stderr


def test_what_was_kept_before_a_retry_is_reported_and_verified(tmp_path, database):
    bodies = {
        **SHOP,
        "r2": "if not op.get_bind().engine.url.database: op.create_table('t2', sa.Column('id'))",
        "r4": ADDS,
    }
    project = written(tmp_path, database, bodies, options="transaction_per_migration=True")
    project.alembic("upgrade", "r1")
    with blocked_by(database, "SELECT * FROM t1") as other:
        process = project.started("--format", "json", "upgrade", "--lock-timeout", "0.6")
        until(lambda: waiting_for_a_lock(database), "it waits for the lock")
        until(lambda: not waiting_for_a_lock(database), "it gave up")
        other.rollback()
        status, out, err = ended(process)
    assert (status, database.versions()) == (0, ["r4"]), err
    assert json.loads(out)["databases"][0]["ran"] == ["r2", "r3", "r4"]


def test_rows_that_nobody_can_verify_do_not_fail_a_verified_upgrade(tmp_path, database):
    project = written(tmp_path, database, {**SHOP, "r4": "op.execute('INSERT INTO t1 VALUES (1)')"})
    project.alembic("upgrade", "r3")
    done = project.rescue("upgrade", "--verify")
    assert (done.status, database.versions()) == (0, ["r4"]), done.everything


def test_script_files_that_contradict_one_another_are_told(tmp_path, database):
    project = written(tmp_path, database)
    (file,) = (project.root / "alembic").glob("**/r3.py")
    file.write_text(file.read_text().replace('"r2"', '"nowhere"').replace("'r2'", "'nowhere'"))
    failed = project.rescue("upgrade")
    assert (failed.status, "error[missing-revision]" in failed.stderr) == (3, True), failed.everything


def test_a_signal_to_the_worker_alone_says_what_is_kept(tmp_path, database):
    project = written(tmp_path, database, {**SHOP, "r4": SLEEPS}, options="transaction_per_migration=True")
    process = project.started("upgrade")
    until(lambda: database.run("SELECT to_regclass('t3')") != [(None,)] and database.versions() == ["r3"], "r4 runs")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    status, _, err = ended(process)
    assert (status, database.versions()) == (130, ["r3"]), err
    assert "is at r3; it was at base" in err
    assert "nothing was written" not in err


def test_a_version_table_that_env_py_moves_is_reported_with_what_ran(tmp_path, database):
    project = written(tmp_path, database)
    env = project.root / "alembic" / "env.py"
    moves = (
        "connection.exec_driver_sql('CREATE SCHEMA IF NOT EXISTS s')\n"
        "    connection.exec_driver_sql('SET search_path TO s')\n    connection.commit()\n"
        "    context.configure("
    )
    env.write_text(env.read_text().replace("context.configure(", moves, 1))
    done = project.rescue_json("upgrade")
    assert done["outcome"] == "upgraded", done["error"]
    assert done["databases"][0]["ran"] == ["r1", "r2", "r3"]


def test_a_revision_that_swallows_a_lock_timeout_is_not_recorded_as_applied(tmp_path, database):
    hidden = f"try:\n    with op.get_bind().begin_nested(): {ADDS}\nexcept Exception:\n    pass\n"
    project = written(tmp_path, database, {**SHOP, "r4": hidden})
    project.alembic("upgrade", "r3")
    with blocked_by(database, "SELECT * FROM t1"):
        failed = project.rescue("upgrade", "--lock-timeout", "0.5", "--retries", "0")
    assert (failed.status, database.versions()) == (4, ["r3"]), failed.everything
    assert project.rescue("upgrade").status == 0
    assert database.run("SELECT name FROM t1") == []


def test_a_revision_may_retry_its_own_statement(tmp_path, database):
    tries = f"""
        for attempt in range(20):
            try:
                with op.get_bind().begin_nested():
                    {ADDS}
                break
            except Exception:
                pass
    """
    project = written(tmp_path, database, {**SHOP, "r4": tries})
    project.alembic("upgrade", "r3")
    with blocked_by(database, "SELECT * FROM t1") as other:
        process = project.started("upgrade", "--lock-timeout", "0.5", "--retries", "0")
        until(lambda: waiting_for_a_lock(database), "it waits")
        time.sleep(1)
        other.rollback()
        status, _, err = ended(process)
    assert (status, database.versions()) == (0, ["r4"]), err


def test_a_deadlock_is_retried(tmp_path, database):
    body = "op.execute('LOCK TABLE t1'); op.execute('SELECT pg_sleep(1.5)'); op.execute('LOCK TABLE t2')"
    project = written(tmp_path, database, {**SHOP, "r4": body})
    project.alembic("upgrade", "r3")
    with blocked_by(database) as other, other.cursor() as cursor:
        process = project.started("upgrade", "--lock-timeout", "20")
        until(
            lambda: database.run("SELECT 1 FROM pg_locks WHERE relation = 't1'::regclass AND granted"), "t1 is locked"
        )
        cursor.execute("LOCK TABLE t2")

        def crosses():
            cursor.execute("LOCK TABLE t1")
            other.rollback()

        crossing = threading.Thread(target=crosses)
        crossing.start()
        status, _, err = ended(process)
        crossing.join()
    assert (status, database.versions()) == (0, ["r4"]), err
    assert "to resolve a deadlock" in err
    assert "Trying again in " in err


@pytest.mark.parametrize("commits", ["autocommit_block", "another engine"])
def test_statements_committed_during_the_run_are_not_run_twice(tmp_path, database, commits):
    block = "with op.get_context().autocommit_block(): op.execute('INSERT INTO t2 VALUES (1)')"
    engine = "sa.create_engine(op.get_bind().engine.url).connect().execution_options(isolation_level='AUTOCOMMIT')"
    aside = f"{engine}.execute(sa.text('INSERT INTO t2 VALUES (1)'))"
    project = written(
        tmp_path, database, {**SHOP, "r4": f"{block if commits == 'autocommit_block' else aside}\n{ADDS}"}
    )
    project.alembic("upgrade", "r3")
    with blocked_by(database, "SELECT * FROM t1"):
        failed = project.rescue("--scratch", "none", "upgrade", "--lock-timeout", "0.5")
    assert failed.status == 4
    assert "Trying again" not in failed.stderr
    assert database.run("SELECT id FROM t2") == [(1,)]


def test_with_a_transaction_per_migration_a_retry_continues_from_the_last_revision(tmp_path, database):
    project = written(tmp_path, database, {**SHOP, "r4": ADDS}, options="transaction_per_migration=True")
    project.alembic("upgrade", "r1")
    with blocked_by(database, "SELECT * FROM t1") as other:
        process = project.started("--format", "json", "upgrade", "--lock-timeout", "0.6")
        until(lambda: waiting_for_a_lock(database), "it waits for the lock")
        assert database.versions() == ["r3"]
        until(lambda: not waiting_for_a_lock(database), "it gave up")
        other.rollback()
        status, out, err = ended(process)
    assert (status, database.versions()) == (0, ["r4"]), err
    assert "Trying again in " in err
    assert '"upgraded"' in out


def test_the_projects_own_shorter_lock_timeout_is_kept(locked, database):
    database.run(f"ALTER ROLE rescue_app IN DATABASE {database.name} SET lock_timeout = '300ms'", role="postgres")
    with blocked_by(database, "SELECT * FROM t1"):
        began = time.monotonic()
        assert locked.rescue("--scratch", "none", "upgrade", "--lock-timeout", "20", "--retries", "0").status == 4
    assert time.monotonic() - began < 15
