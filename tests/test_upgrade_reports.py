"""The deployments of ``projects/reports``, with ``alembic-rescue upgrade`` in place of ``alembic upgrade``.

Each begins before the upgrade that failed, fails for its reason, and goes on as the recommendation says.
"""

from __future__ import annotations

import json
import time

import pytest

from tests import test_reports
from tests.conftest import BIN
from tests.upgrades import rescue_locks
from tests.watching import blocked_by

pytestmark = pytest.mark.slow

database, report, tokens = test_reports.database, test_reports.report, test_reports.tokens
"""Fixtures."""


def deployed(copy, status, *options, **environment):
    """Upgrade as a deployment does, with one log; return the log, and what follows its last ``Recommendation:``."""
    command = " ".join([str(BIN / "alembic-rescue"), "upgrade", *options, "2>&1"])
    ran = copy.run(["sh", "-c", command], **environment)
    assert ran.status == status, ran.stdout
    told, _, advice = ran.stdout.rpartition("\nRecommendation: ")
    if status in {3, 4} and told:
        assert "error[" in told, "the diagnosis is the last thing in the log"
        assert "error[" not in advice
        assert "warning[" not in advice
    return " ".join(ran.stdout.split()), " ".join(advice.split())


def document(copy, *options, **environment):
    """Upgrade once more, and return the only database's part of the JSON document."""
    (part,) = copy.rescue_json("upgrade", *options, **environment)["databases"]
    return part


def replaced(copy, revision, old, new):
    """Edit the revision's file, as the log says."""
    (file,) = (copy.root / "alembic" / "versions").glob(f"{revision}*.py")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_backfill_loops(report, database):
    metrics = report("backfill-loops")
    assert metrics.alembic("upgrade", "y250000000y1").status == 0
    database.run("INSERT INTO metric (value, name) SELECT g, 'm' || g FROM generate_series(1, 2500) g")
    database.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NULL; END'; "
        "CREATE TRIGGER slow BEFORE UPDATE ON metric EXECUTE FUNCTION slow()"
    )
    log, advice = deployed(metrics, 4, PGOPTIONS="-c statement_timeout=1500")
    assert "error[statement-timeout]" in log
    place = "alembic/versions/y250000000y2_value_types_in_batches.py:14"
    assert f"at {place}; " in log
    assert "is at y250000000y1, as before" in log
    assert advice.startswith(f"rerun: everything was rolled back. {place} took longer than the statement timeout")
    assert database.versions() == ["y250000000y1"]

    database.run("DROP TRIGGER slow ON metric")
    deployed(metrics, 0)
    assert database.versions() == ["y250000000y3"]
    assert database.run("SELECT count(*), count(value_type) FROM metric") == [(2502, 2502)]
    assert deployed(metrics, 0)[0].startswith("Nothing to do")


def test_changes_in_place(report, database):
    shop = report("changes-in-place")
    assert shop.alembic("upgrade", "ad300000000a").status == 0
    log, advice = deployed(shop, 3)
    place = "ad300000000d_next__fails_for_some_other_rea.py:12"
    assert "error[migration-failed]: ad300000000d failed at" in log
    assert f"{place}: division by zero" in log
    assert " left no changes" in log
    assert advice.startswith("rerun: ")
    assert place in advice
    (cause,) = document(shop)["causes"]
    assert (cause["revision"], cause["line"]) == ("ad300000000d", 12)
    assert database.versions() == ["ad300000000a"]

    replaced(shop, "ad300000000d", "SELECT 1/0", "SELECT 1")
    deployed(shop, 0)
    assert database.versions() == ["ad300000000d"]


def test_constraint_under_another_name(report, database):
    orders = report("constraint-under-another-name")
    assert orders.alembic("upgrade", "z260000000z1").status == 0
    database.run("ALTER TABLE orders RENAME CONSTRAINT orders_account_kid_fkey TO fk_orders_account_kid_accounts")
    log, advice = deployed(orders, 3)
    assert 'constraint "orders_account_kid_fkey" of relation "orders" does not exist' in log
    assert advice.partition(":")[0] in {"rerun", "stop"}
    assert "fk_orders_account_kid_accounts" in log
    assert "stamp" not in advice
    assert database.versions() == ["z260000000z1"]

    replaced(orders, "z260000000z2", "orders_account_kid_fkey", "fk_orders_account_kid_accounts")
    deployed(orders, 0)
    assert database.versions() == ["z260000000z3"]
    assert database.run("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(0,)]


def test_a_data_statement(report, database):
    table = report("data-statement-not-told")
    assert table.alembic("upgrade", "jb00000000j1").status == 0
    database.run("INSERT INTO t (a) VALUES ('X'); ALTER TABLE t ADD COLUMN b text")
    log, advice = deployed(table, 3)
    assert 'column "b" of relation "t" already exists' in log
    assert "UPDATE t SET b" in log
    assert not advice.startswith("stamp")
    (found,) = document(table)["revisions"]
    assert found["verdict"] == "partial"
    assert database.versions() == ["jb00000000j1"]

    database.run("ALTER TABLE t DROP COLUMN b")
    deployed(table, 0)
    assert database.versions() == ["jb00000000j2"]
    assert database.run("SELECT b IS NOT NULL FROM t") == [(True,)]


def test_env_never_commits(report, database):
    env = report("env-never-commits")
    log, advice = deployed(env, 3)
    assert "error[upgrade-not-kept]" in log
    assert "commit" in advice
    assert "env.py" in advice
    assert [one["code"] for one in document(env)["causes"]] == ["env-never-commits"]
    assert database.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]

    file = env.root / "alembic" / "env.py"
    lock = 'connection.execute(text("SELECT pg_advisory_lock(777)"))'
    file.write_text(file.read_text().replace(lock, f"{lock}; connection.commit()"))
    deployed(env, 0)
    assert database.versions() == ["e500000000e2"]


@pytest.mark.parametrize("form", ["plain", "guard", "ine"])
def test_invalid_index(report, database, form):
    index = report("invalid-index")
    (old,) = (index.root / "alembic" / "versions").glob("c3b0000000c2*.py")
    old.write_text(old.read_text().partition("def upgrade")[0] + (index.root / f"{form}.py").read_text())
    assert index.alembic("upgrade", "c3b0000000c1").status == 0
    database.run("INSERT INTO t (a) VALUES ('x'), ('x')")
    log, advice = deployed(index, 3)
    assert "could not create unique index" in log
    assert " may have been committed in part" in log
    assert "invalid" in log
    assert "DROP INDEX CONCURRENTLY public.ix_t_a" in advice
    assert database.versions() == ["c3b0000000c1"]

    database.run("DELETE FROM t WHERE id = 2")
    database.run("DROP INDEX CONCURRENTLY public.ix_t_a")
    deployed(index, 0)
    assert database.versions() == ["c3b0000000c2"]
    assert database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_t_a'::regclass") == [(True,)]


@pytest.mark.parametrize("form", ["guard", "ine"])
def test_an_invalid_index_that_the_next_deployment_skips(report, database, form):
    """The container is restarted: the revision finds the index of the first run, and leaves it as it is."""
    index = report("invalid-index")
    (old,) = (index.root / "alembic" / "versions").glob("c3b0000000c2*.py")
    old.write_text(old.read_text().partition("def upgrade")[0] + (index.root / f"{form}.py").read_text())
    assert index.alembic("upgrade", "c3b0000000c1").status == 0
    database.run("INSERT INTO t (a) VALUES ('x'), ('x')")
    deployed(index, 3)
    log, _ = deployed(index, 5, "--verify")
    assert "error[upgrade-not-proved]" in log
    assert "it is invalid" in log
    assert "REINDEX INDEX public.ix_t_a" in log


def test_overlapping_rows(report, database):
    records = report("overlapping-rows")
    assert records.alembic("upgrade", "i900000000i2").status == 0
    database.run("INSERT INTO alembic_version VALUES ('i900000000i1')")
    log, _ = deployed(records, 3)
    assert "i900000000i1" in log
    assert "i900000000i2" in log
    assert "locate" in log
    assert database.versions() == ["i900000000i1", "i900000000i2"]

    database.run("DELETE FROM alembic_version WHERE version_num = 'i900000000i1'")
    deployed(records, 0)
    assert database.versions() == ["i900000000i3"]


def test_a_rename_with_both_tables_present(report, database):
    renamed = report("rename-with-both-there")
    assert renamed.alembic("upgrade", "t190000000t1").status == 0
    database.run("INSERT INTO user_file (path) VALUES ('/a'), ('/b'); INSERT INTO person (name) VALUES ('Ann')")
    database.run("CREATE TABLE document (id serial PRIMARY KEY, path text); ALTER TABLE person ADD COLUMN title text")
    log, advice = deployed(renamed, 3)
    assert 'relation "document" already exists' in log
    assert "user_file" in log
    assert "stamp" not in advice
    assert database.versions() == ["t190000000t1"]

    *by_hand, last = document(renamed)["recommendation"]["steps"]
    assert last == "alembic-rescue upgrade"
    for step in by_hand:
        assert database.run(step) in ([], [(0,)])
    deployed(renamed, 0)
    assert database.versions() == ["t190000000t4"]
    assert database.run("SELECT path FROM document ORDER BY id") == [("/a",), ("/b",)]
    assert database.run("SELECT title FROM person") == [("Ann",)]


def test_a_revision_id_that_is_too_long(report, database):
    paper = report("revision-id-too-long")
    assert paper.alembic("upgrade", "g7_init").status == 0
    log, advice = deployed(paper, 3)
    widen = "ALTER TABLE public.alembic_version ALTER COLUMN version_num TYPE VARCHAR(128)"
    assert "has 36 characters" in log
    assert widen in advice
    assert database.versions() == ["g7_init"]

    database.run(widen)
    deployed(paper, 0)
    assert database.versions() == ["pc20260425_next"]


def test_an_idle_session(report, database):
    slices = report("root-blocker")
    assert slices.alembic("upgrade", "p160000000p1").status == 0
    with blocked_by(database, "SELECT * FROM slices", application="flask shell") as shell:
        began = time.monotonic()
        log, advice = deployed(slices, 4, "--lock-timeout 0.5 --retries 1")
        assert time.monotonic() - began < 60
        assert f"pid {shell.info.backend_pid} (flask shell, idle in transaction) holds" in advice
    assert "error[lock-timeout]" in log
    assert "Trying again in" in log
    assert "is at p160000000p1, as before" in log
    assert advice.startswith("rerun: ")
    assert database.versions() == ["p160000000p1"]
    assert rescue_locks(database) == []

    deployed(slices, 0)
    assert database.versions() == ["p160000000p2"]


def test_a_squashed_history(report, database):
    squashed = report("squashed-history")
    database.run(
        "CREATE TYPE item_kind AS ENUM ('a', 'b'); "
        "CREATE TABLE item (id serial PRIMARY KEY, kind item_kind, judge_model json); "
        "CREATE INDEX ix_item_kind ON item (kind)"
    )
    database.stand_at("b7c9d0e1f2a4")
    log, _ = deployed(squashed, 3)
    assert "error[unknown-current]" in log
    assert "b7c9d0e1f2a4" in log
    assert "alembic-rescue diagnose --locate" in log
    assert database.versions() == ["b7c9d0e1f2a4"]


def test_swallowed_batch(report, database):
    flow = report("swallowed-batch")
    assert flow.alembic("upgrade", "a100000000a1").status == 0
    log, advice = deployed(flow, 3)
    assert "warning[swallowed-error]" in log
    assert " left no changes" in log
    assert advice.startswith("rerun: ")
    lines = (flow.root / "alembic/versions/a100000000a2_folders_and_update_times.py").read_text().splitlines()
    swallowed = [one for one in document(flow)["causes"] if one["revision"] == "a100000000a2" and one["swallowed"]]
    assert '"component"' in lines[swallowed[0]["line"] - 1]
    assert "except Exception" in lines[swallowed[0]["handler_line"] - 1]
    assert database.versions() == ["a100000000a1"]


def test_sqlite_left_over_table(tokens):
    copy, run = tokens
    log, advice = deployed(copy, 3)
    assert "NOT NULL" in log
    assert " may have been committed in part" in log
    assert run("SELECT version_num FROM alembic_version") == [("m130000000m1",)]
    run("UPDATE api_tokens SET team = 't'")
    log, advice = deployed(copy, 3)
    assert "already exists" in log
    assert 'DROP TABLE "_alembic_tmp_api_tokens"' in advice, json.dumps(log)
    run('DROP TABLE "_alembic_tmp_api_tokens"')
    deployed(copy, 0)
    assert run("SELECT version_num FROM alembic_version") == [("m130000000m3",)]
    assert run("SELECT user, team, name FROM api_tokens") == [("u", "t", "n")]
