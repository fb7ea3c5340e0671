"""``wait``: until every database is at a revision or past it, through restarts, and not for what never comes."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest
from alembic.script.revision import Revision

from alembic_rescue import errors, waiting
from alembic_rescue.cli.waiting import SAME_SECONDS, Lines
from alembic_rescue.graph import path as paths
from alembic_rescue.model import Database, Identity
from alembic_rescue.report import waiting as told_waiting
from alembic_rescue.waiting import Seen, Standing
from tests import answers, chains, servers, terminal
from tests.conftest import ProjectCopy, own_shop
from tests.pooler import pooling
from tests.replicas import replica_of
from tests.silent_proxy import between, dripping

SHOP = {f"r{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2, 3)}


def forked(number=4):
    following = [("r1", None), ("r2", "r1"), ("r3", "r2"), ("b2", "r1")]
    return paths.load(Revision(*one) for one in following[:number])


def at(*rows):
    identity = Identity(
        url="", dialect="postgresql", server_version="18", server_id="1", server_address=None, socket=None,
        host="db", port=5432, database="shop", role="shop", encrypted=False, version_table="alembic_version",
        version_table_schema=None, version_table_found_in="public",
    )  # fmt: skip
    return Database(identity, rows, True, 32, None, (), (), pooled=False)


# --- where it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "target", "ahead", "of"),
    [
        ((), "r3", ("r1", "r2", "r3"), 3),
        (("r1",), "r3", ("r2", "r3"), 3),
        (("r3",), "r3", (), 3),
        (("r3",), "r2", (), 2),
        (("b2", "r2"), "r2", (), 2),
        (("b2",), "r3", ("r2", "r3"), 3),
        (("r3",), "heads", ("b2",), 4),
        (("b2", "r3"), "heads", (), 4),
        (("r1",), "+1", None, None),
        ((), "base", (), 0),
        (("r2",), "base", (), 0),
    ],
)
def test_where_a_database_is_on_the_way(rows, target, ahead, of):
    graph = forked(3 if target == "+1" else 4)
    found = waiting.standing(graph, at(*rows), paths.targets_of(graph, rows, target))
    expected = (("r2",), 2) if ahead is None else (ahead, of)
    assert (found.ahead, found.of) == expected
    assert found.there == (not found.ahead)
    assert found.done == found.of - len(found.ahead)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (("feed",), "unknown-current"),
        (("r1", "r3"), "overlapping-current"),
        (("r1", "r1"), "doubled-row"),
        (("NULL",), "empty-row"),
    ],
)
def test_rows_that_lead_elsewhere_if_looked_at_once(rows, code):
    with pytest.raises(errors.Refusal) as refused:
        waiting.standing(forked(), at(*rows), ("r3",))
    assert (refused.value.code, refused.value.exit_status) == (code, 3)


# --- what is printed ---------------------------------------------------------------------------------------------


def test_a_line_comes_when_something_changes_or_after_a_while():
    now = [0.0]
    lines = Lines(lambda: now[0])
    assert lines.of([("a", "")]) == ["a"]
    now[0] = 20.0
    assert lines.of([("a", ", for 20 s")]) == []
    assert lines.of([("a", ", for 20 s"), ("b", "")]) == ["b"]
    now[0] = 20.0 + SAME_SECONDS
    assert lines.of([("a", ", for 50 s"), ("b", ", for 30 s")]) == ["a, for 50 s", "b, for 30 s"]
    assert lines.of([("a", ", for 51 s"), ("b", ", for 31 s")]) == []


def test_where_it_is_which_of_how_many_and_since_when():
    standing = Standing(at("r1"), ("r3",), ("r2", "r3"), 3, 12.4)
    (line,) = told_waiting.progress(Seen((standing,)))
    assert "".join(line) == ("public.alembic_version in shop at db:5432 is at r1, 1 of 3 on the way to r3, for 12 s")
    away = errors.ConnectionRefused("shop at db:5432", "connection refused")
    (line,) = told_waiting.progress(Seen((standing,), away, 0.3))
    assert "".join(line) == "no server answers for shop at db:5432: connection refused; waiting for it"


def test_what_is_printed_when_the_time_is_up():
    late = errors.WaitTimedOut(600.0, ["shop is at r1, 1 of 3 revisions on the way to r3"])
    assert (late.code, late.exit_status) == ("wait-timeout", 4)
    assert late.message == "waited for 600 s: shop is at r1, 1 of 3 revisions on the way to r3"
    gone = errors.WaitTimedOut(600.0, ["shop is at r1"], "no server answers for shop")
    assert gone.message == "waited for 600 s: no server answers for shop; last seen: shop is at r1"


# --- the whole tool ----------------------------------------------------------------------------------------------


def written(tmp_path, database, **given):
    root = chains.write(tmp_path / "project", database.url, SHOP, **given).root
    return ProjectCopy(root, tmp_path / "state", database)


@pytest.fixture
def shop(tmp_path, database):
    return written(tmp_path, database)


def ended(process, seconds=60):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def until(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_it_ends_when_the_database_is_there_and_says_where_it_was(shop):
    shop.alembic("upgrade", "r1")
    process = shop.started("wait", "--interval", "0.1")
    time.sleep(4)
    shop.alembic("upgrade", "head")
    status, out, err = ended(process)
    assert (status, "Reached" in err) == (0, False), err
    assert out.startswith("Reached: public.alembic_version in ")
    assert out.endswith("is at r3.\n")
    told = [line.partition("is at ")[2] for line in err.splitlines()]
    assert told[0] == "r1, 1 of 3 on the way to r3"
    assert told[-1] == "r3: there"
    assert len(told) == len(set(told)) <= 4  # one for each change


@pytest.mark.slow
def test_at_past_and_as_json(shop):
    shop.alembic("upgrade", "r2")
    assert shop.rescue("wait", "r2", "--timeout", "0").status == 0
    past = shop.rescue("wait", "r1", "--timeout", "0")
    assert (past.status, past.stderr, past.stdout.endswith("is at r2, past r1.\n")) == (0, "", True)
    there = shop.rescue_json("wait", "r2", "--timeout", "0")
    assert (there["command"], there["outcome"], there["target"]["revision"]) == ("wait", "reached", "r2")
    assert there["databases"][0]["current_heads"] == ["r2"]
    assert there["databases"][0]["pending_after"] == ["r3"]


@pytest.mark.slow
def test_when_the_time_is_up_it_names_who_is_in_the_way(shop, database):
    shop.alembic("upgrade", "r1")
    with database.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
        late = shop.rescue("wait", "--timeout", "0.5", "--interval", "0.1")
        document = shop.rescue_json("wait", "--timeout", "0")
    assert late.status == 4
    assert "error[wait-timeout]: waited for 0.5 s: " in late.stderr
    assert "is at r1, 1 of 3 revisions on the way to r3" in late.stderr
    assert "Sessions that hold or wait for locks" in late.stderr
    assert "SELECT pg_terminate_backend(" in late.stderr
    assert (document["outcome"], document["error"]["code"]) == ("error", "wait-timeout")
    assert document["error"]["blockers"] == document["databases"][0]["blockers"] != []


@pytest.mark.slow
def test_a_locked_version_table_is_waited_for(shop, database):
    shop.alembic("upgrade", "head")
    with database.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        process = shop.started("wait", "--interval", "0.1", "--lock-timeout", "0.3")
        time.sleep(3)
        assert process.poll() is None
        other.rollback()
        status, _, err = ended(process)
    assert status == 0, err
    assert "another session holds" in err


@pytest.mark.slow
def test_a_missing_version_table_is_reported_at_once_and_waited_for(shop):
    process = shop.started("wait", "--interval", "0.1")
    first = process.stderr.readline()
    assert first.startswith(
        "warning[version-table-missing]: version table alembic_version does not exist in rescue_test_"
    )
    assert ", schema public. If migrations have run, this is the wrong database or schema. " in first
    assert "has no version table public.alembic_version, 0 of 3 on the way to r3" in process.stderr.readline()
    assert process.poll() is None
    shop.alembic("upgrade", "head")
    status, out, err = ended(process)
    assert (status, "is at r3" in out, "warning" in err) == (0, True, False), err

    late = shop.rescue("wait", "base", "--timeout", "0")
    assert (late.status, "warning" in late.everything) == (0, False)


@pytest.mark.slow
def test_when_the_time_is_up_a_missing_version_table_is_reported(shop):
    late = shop.rescue("wait", "--timeout", "0")
    assert "has no version table public.alembic_version, 0 of 3 revisions on the way to r3\n" in late.stderr
    assert shop.rescue("wait", "base", "--timeout", "0").status == 0


@pytest.mark.slow
def test_a_rolled_back_image_is_told_that_the_database_is_ahead(shop):
    shop.alembic("upgrade", "head")
    (shop.root / "alembic" / "versions" / "r3.py").unlink()
    began = time.monotonic()
    ahead = shop.rescue("wait", "--timeout", "60")
    assert ahead.status == 3, ahead.everything
    assert "error[unknown-while-waiting]: the database is at r3, which these scripts do not have" in ahead.stderr
    assert "Whether it is past the target is unknown" in ahead.stderr
    assert "deploy the code that has r3" in ahead.stderr
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_rows_that_change_to_what_the_scripts_do_not_know(shop, database):
    shop.alembic("upgrade", "r1")
    process = shop.started("--format", "json", "wait", "--interval", "0.1")
    time.sleep(3)
    assert process.poll() is None
    database.stand_at("feed0000cafe")
    status, out, _ = ended(process)
    assert status == 3
    document = answers.document(out)
    assert (document["outcome"], document["refusals"][0]["code"]) == ("refused", "unknown-while-waiting")


@pytest.mark.slow
def test_an_unknown_revision_is_reported_at_once(shop):
    refused = shop.rescue("wait", "nowhere")
    assert (refused.status, "error[unknown-revision]" in refused.stderr) == (3, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        *(("--interval", value) for value in ("0", "-1", "inf", "nan", "1e12", "soon")),
        *(("--timeout", value) for value in ("-1", "inf", "nan", "1e12")),
        *((target,) for target in ("+1", "shop@+1")),
    ],
    ids=" ".join,
)
def test_a_target_that_nobody_can_wait_for_is_a_usage_error_with_the_commands_help(shop, arguments):
    off = shop.rescue("wait", *arguments)
    assert (off.status, "error[usage]" in off.stderr) == (2, True), off.everything
    told = "use the revision's id" if arguments[0].endswith("+1") else "alembic-rescue wait --help` lists its options"
    assert told in off.stderr.partition("help: ")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda url: url.replace("marker-pa55w0rd", "wrong"), "login-refused"),
        (lambda url: url.replace("rescue_app:", "nobody_here:"), "login-refused"),
        (lambda url: url + "_gone", "database-missing"),
    ],
    ids=["password", "role", "database"],
)
def test_what_never_comes_is_not_waited_for(shop, database, change, code):
    began = time.monotonic()
    refused = shop.rescue("--url", change(database.url), "wait", "--timeout", "60")
    assert (refused.status, f"error[{code}]" in refused.stderr) == (4, True), refused.everything
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_a_role_that_may_not_read_is_not_waited_for(shop, database):
    shop.alembic("upgrade", "r1")
    database.run("ALTER TABLE alembic_version OWNER TO postgres; REVOKE ALL ON alembic_version FROM rescue_app",
                 role="postgres")  # fmt: skip
    refused = shop.rescue("wait", "--timeout", "60")
    assert (refused.status, "error[permission-denied]" in refused.stderr) == (4, True), refused.everything


@pytest.mark.slow
def test_a_name_that_does_not_resolve_yet_is_waited_for(shop):
    late = shop.rescue(
        "--url", "postgresql://shop@no-such-host.invalid/shop", "wait", "--timeout", "1", "--interval", "0.2"
    )
    assert (late.status, "error[wait-timeout]: waited for 1 s: cannot resolve the host of" in late.stderr) == (4, True)
    assert late.stderr.count("; waiting for it") == 1
    assert "check that the server is running" in late.stderr


@pytest.mark.slow
def test_several_processes_wait_through_a_restart_and_hold_nothing(tmp_path):
    with own_shop() as database:
        shop = written(tmp_path, database)
        shop.alembic("upgrade", "r1")
        database.server.stop("fast")
        processes = [shop.started("wait", "--interval", "0.2") for _ in range(3)]
        time.sleep(4)
        database.server.start()
        time.sleep(3)
        states = [database.run(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'rescue_app' AND xact_start < now() - interval '1s' "
            "AND pid <> pg_backend_pid()", role="postgres",
        )[0][0] for _ in range(20)]  # fmt: skip
        assert states == [0] * 20
        database.server.stop("immediate")
        time.sleep(1)
        database.server.start()
        assert all(process.poll() is None for process in processes)
        assert shop.alembic("upgrade", "head").status == 0
        results = [ended(process) for process in processes]
    for status, out, err in results:
        assert status == 0, err
        assert "is at r3" in out
        assert "; waiting for it" in err
        assert "is at r1, 1 of 3 on the way to r3" in err
        assert err.count("\n") < 12


@pytest.mark.slow
def test_sigterm_ends_it_at_once(shop):
    shop.alembic("upgrade", "r1")
    for number in (signal.SIGTERM, signal.SIGINT):
        process = shop.started("wait")
        lines = []
        reader = threading.Thread(target=lambda p=process, said=lines: said.append(p.stderr.readline()))
        reader.start()
        reader.join(20)
        assert "1 of 3" in lines[0]
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 130
        assert time.monotonic() - began < 3
        assert "interrupted" in process.stderr.read()


@pytest.mark.slow
def test_at_a_terminal_it_shows_its_progress_in_one_line(shop):
    shop.alembic("upgrade", "r1")
    with terminal.at_a_terminal(shop, "wait", "--interval", "0.2", columns=200) as screen:
        screen.wait_for("is at r1, 1 of 3 on the way to r3, for 1 s")
        shop.alembic("upgrade", "head")
        assert screen.end() == 0
        assert "Reached: public.alembic_version in " in screen.text


@pytest.mark.slow
def test_what_counts_as_applied_is_proved_or_not(shop):
    shop.alembic("upgrade", "head")
    proved = shop.rescue("wait", "--applied", "--timeout", "0")
    assert proved.status == 0, proved.everything
    assert "Proved: nothing is missing from the 3 applied revisions.\n" in proved.stdout
    unproved = shop.rescue("--scratch", "none", "wait", "--applied", "--timeout", "0")
    assert (unproved.status, "error[nothing-proved]" in unproved.stderr) == (3, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "command"),
    [("DROP TABLE t2", ["complete", "r2"]), ("DROP TABLE t3", ["repair"]), ("DROP TABLE t2, t3", ["repair"])],
)
def test_the_help_for_a_missing_object_resolves_it(shop, database, lost, command):
    shop.alembic("upgrade", "head")
    database.run(lost)
    missing = shop.rescue("wait", "--applied", "--timeout", "0")
    assert (missing.status, "error[applied-missing]" in missing.stderr) == (3, True), missing.everything
    assert f"table public.{lost[11:13]}" in missing.stdout
    help_ = missing.stderr.rpartition("help: ")[2]
    assert f"alembic-rescue {' '.join(command)}\n" in help_
    assert "diagnose --applied" not in help_  # which shows the same once more
    document = shop.rescue_json("wait", "--applied", "--timeout", "0")
    assert [note["code"] for note in document["refusals"]] == ["applied-missing"]
    assert (document["command"], document["outcome"]) == ("wait", "refused")

    assert shop.rescue(*command, "--yes").status == 0
    assert shop.alembic("upgrade", "head").status == 0
    assert shop.rescue("wait", "--applied", "--timeout", "0").status == 0


@pytest.mark.slow
def test_a_query_to_a_silent_server_ends(shop, database):
    listener = socket.create_server(("127.0.0.1", 0))  # accepts connections, and never says a word
    url = database.url.replace(f":{database.server.port}/", f":{listener.getsockname()[1]}/")
    began = time.monotonic()
    late = shop.rescue("--url", f"{url}?connect_timeout=2", "wait", "--timeout", "1")
    assert (late.status, "error[wait-timeout]" in late.stderr) == (4, True), late.everything
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_server_that_goes_silent_once_is_asked_again(shop, database):
    shop.alembic("upgrade", "head")
    _in_a_hurry(shop)
    with between(_to(database), rb"version_num", all_of_it=False) as proxy:
        there = shop.rescue("--url", _through(proxy, database), "wait", "--timeout", "60", "--interval", "0.1")
        assert proxy.silent
        assert proxy.connections > 1
    assert (there.status, "; waiting for it" in there.stderr) == (0, True), there.everything


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 0.02])
def test_a_slow_trickle_does_not_delay_it_for_long(shop, database, seconds):
    shop.alembic("upgrade", "r1")
    _in_a_hurry(shop)
    with dripping(_to(database), seconds) as port:
        url = database.url.replace(f":{database.server.port}/", f":{port}/")
        began = time.monotonic()
        late = shop.rescue("--url", url, "wait", "--timeout", "2", "--interval", "0.1")
    assert (late.status, "error[wait-timeout]" in late.stderr) == (4, True), late.everything
    assert time.monotonic() - began < 2 + waiting.LAST_LOOK_SECONDS + 15


@pytest.mark.slow
def test_it_works_behind_a_pooler_and_holds_no_session_between_two_queries(shop, database):
    shop.alembic("upgrade", "r1")
    with pooling(database.server) as pooler:
        url = f"postgresql+psycopg2://{servers.ROLE}@127.0.0.1:{pooler.port}/{database.name}"
        behind = shop.started("--url", url, "wait", "--interval", "0.1")
        direct = shop.started("wait", "--interval", "4")
        assert "1 of 3" in direct.stderr.readline()
        sessions = [database.run(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'rescue_app' "
            "AND application_name LIKE '%rescue%' AND backend_type = 'client backend'", role="postgres",
        )[0][0] for _ in range(10)]  # fmt: skip
        database.run("SET lock_timeout = '2s'; ALTER TABLE alembic_version ALTER version_num TYPE varchar(64)")
        shop.alembic("upgrade", "head")
        results = [ended(process) for process in (behind, direct)]
    assert min(sessions) == 0
    for status, out, err in results:
        assert (status, "is at r3" in out) == (0, True), err


@pytest.mark.slow
def test_a_replica_that_lags_is_waited_for(tmp_path):
    with own_shop() as primary, replica_of(primary) as replica:
        shop = written(tmp_path, primary)
        shop.alembic("upgrade", "r1")
        until(lambda: replica.versions() == ["r1"])
        replica.run("SELECT pg_wal_replay_pause()", role="postgres")
        shop.alembic("upgrade", "head")
        process = shop.started("--url", replica.url, "wait", "--interval", "0.1")
        assert "is at r1, 1 of 3 on the way to r3" in process.stderr.readline()
        time.sleep(1)
        assert process.poll() is None
        replica.run("SELECT pg_wal_replay_resume()", role="postgres")
        status, out, err = ended(process)
    assert (status, "is at r3" in out) == (0, True), err


def _to(database):
    return lambda: socket.create_connection(("127.0.0.1", database.server.port))


def _through(proxy, database):
    return database.url.replace(f":{database.server.port}/", f":{proxy.port}/")


def _in_a_hurry(shop):
    ini = shop.root / "alembic.ini"
    ini.write_text(
        f"{ini.read_text()}\n[alembic_rescue]\nlock_timeout = 1\nstatement_timeout = 2\nconnect_timeout = 2\n"
    )


@pytest.mark.slow
def test_each_of_several_databases_is_waited_for_and_one_alone(tmp_path, database):
    env = """
from alembic import context
from sqlalchemy import create_engine, pool, text

for tenant in ("blue", "green"):
    engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"SET search_path TO {tenant}"))
        connection.commit()
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
    shop = written(tmp_path, database, env=env)
    for tenant in ("blue", "green"):
        database.run(f"CREATE SCHEMA {tenant}")
    shop.alembic("upgrade", "head")
    database.run("UPDATE green.alembic_version SET version_num = 'r2'")
    one = shop.rescue("wait", "--only", "blue", "--timeout", "0")
    assert (one.status, "blue.alembic_version" in one.stdout) == (0, True), one.everything
    late = shop.rescue("wait", "--timeout", "0")
    assert late.status == 4
    assert "green.alembic_version in " in late.stderr
    assert "is at r2, 2 of 3 on the way to r3\n" in late.stderr
