"""The files for bash and psql, on real servers: where they lead, what they refuse, and what a kill leaves."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.handing_over import FORMS, NEW, OLD, PSQLS, Host, handed_over, statements

# --- the way there, and back -------------------------------------------------------------------------------------


@FORMS
def test_it_stamps_reads_back_and_names_the_next_step(stamped, shell):
    done = stamped.stamp(shell)
    assert done.status == 0, done.everything
    assert stamped.database.versions() == [NEW]
    assert "verified on a new connection" in done.stdout
    assert "alembic upgrade head" in done.stdout
    assert "1 revision is pending: aaaa0003" in done.stdout
    back = {"bash": r"bash \S+/stamp.bash --undo", "psql": r"sed -e '1,/\^-- ==== back/d' .* FILE \| psql"}
    assert re.search(back[shell], done.stdout), done.stdout


@FORMS
def test_if_nothing_is_pending_the_next_step_is_only_to_redeploy(host, shell):
    host.write(shell, handed_over(host.database, [OLD], [NEW], pending=()))
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert "or run" not in done.stdout
    assert {"bash": "  1. Redeploy\n     Nothing is pending.\n", "psql": "Next: redeploy. Nothing"}[
        shell
    ] in done.stdout


@FORMS
def test_at_its_target_it_says_so_whatever_became_of_the_objects(host, shell):
    host.database.run("CREATE TABLE users (id int)")
    host.write(shell, handed_over(host.database, [OLD], [NEW], ["public.users"]))
    host.database.run("DROP TABLE users")
    host.database.stand_at(NEW)
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert "Nothing to do" in done.stdout


@FORMS
def test_a_database_that_moved_on_is_refused(stamped, shell):
    stamped.database.stand_at("aaaa0003")
    done = stamped.stamp(shell)
    assert done.status == 3
    assert "The rows changed since this file was made: public.alembic_version has aaaa0003" in done.stderr
    assert stamped.database.versions() == ["aaaa0003"]


@FORMS
def test_another_row_next_to_the_old_one_is_refused(stamped, shell):
    stamped.database.stand_at(OLD, "bbbb0001")
    done = stamped.stamp(shell)
    assert (done.status, stamped.database.versions()) == (3, [OLD, "bbbb0001"]), done.everything


@FORMS
def test_a_missing_version_table_is_refused(stamped, shell):
    stamped.database.run("DROP TABLE alembic_version")
    done = stamped.stamp(shell)
    assert done.status == 3
    assert "Table public.alembic_version does not exist" in done.stderr


@FORMS
def test_it_goes_back_only_from_where_it_led(stamped, shell):
    assert stamped.stamp(shell).status == 0
    undone = stamped.back(shell)
    assert undone.status == 0, undone.everything
    assert stamped.database.versions() == [OLD]
    assert stamped.back(shell).status == 0
    assert stamped.database.versions() == [OLD]
    stamped.database.stand_at("aaaa0003")
    assert stamped.back(shell).status == 3
    assert stamped.database.versions() == ["aaaa0003"]


def test_the_command_in_the_file_for_psql_goes_back(stamped):
    text = (stamped.folder / "stamp.psql").read_text()
    (sed,) = re.findall(r"^--   (sed .*) \| psql", text, re.MULTILINE)
    done = stamped.file()
    assert done.status == 0
    assert f"  {sed} | psql" in done.stdout
    led = stamped.run("bash", "-c", f"{sed.replace('FILE', 'stamp.psql')} > back.psql")
    assert led.status == 0
    assert stamped.file("back.psql").status == 0
    assert stamped.database.versions() == [OLD]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["a"]),
        (["a"], ["a", "b"]),
        (["a", "b"], ["c"]),
        (["a", "b"], ["a", "c"]),
        (["a", "b"], ["c", "d"]),
        (["a"], ["b", "c"]),
        (["a", "b", "c"], ["d", "e"]),
    ],
    ids=lambda rows: "+".join(rows) or "empty",
)
@FORMS
def test_rows_are_added_removed_and_changed_and_restored(host, shell, before, after):
    host.database.stand_at(*before)
    host.write(shell, handed_over(host.database, before, after))
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert host.database.versions() == sorted(after)
    assert host.back(shell).status == 0
    assert host.database.versions() == sorted(before)


@FORMS
def test_a_missing_version_table_is_created_as_alembic_does(host, shell):
    made = host.database.run("SELECT pg_get_constraintdef(oid), conname::text FROM pg_constraint WHERE contype = 'p'")
    host.database.run("DROP TABLE alembic_version")
    host.write(shell, handed_over(host.database, [], [NEW], makes_table=True))
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert host.database.versions() == [NEW]
    like = "SELECT format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attname = 'version_num'"
    assert host.database.run(f"{like} AND attrelid = 'alembic_version'::regclass") == [("character varying(32)", True)]
    assert (
        host.database.run("SELECT pg_get_constraintdef(oid), conname::text FROM pg_constraint WHERE contype = 'p'")
        == made
    )
    assert host.back(shell).status == 0
    assert host.database.versions() == []


@FORMS
def test_its_key_is_named_as_alembic_names_it(host, shell):
    made = handed_over(host.database, [], [NEW], makes_table=True)
    host.write(shell, replace(made, identity=replace(made.identity, version_table="Shop's versions")))
    assert host.stamp(shell).status == 0
    named = "SELECT conname::text FROM pg_constraint WHERE conrelid = '\"Shop''s versions\"'::regclass"
    assert ("Shop's versions_pkc",) in host.database.run(named)


@FORMS
def test_a_table_that_exists_by_now_and_is_locked_is_no_separate_error(host, shell):
    """The server's notice that it already exists is not what went wrong."""
    host.database.stand_at()
    host.write(shell, handed_over(host.database, [], [NEW], makes_table=True))
    with host.database.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN SHARE MODE")
        done = host.stamp(shell)
        pid = other.info.backend_pid
    assert done.status == (4 if shell == "bash" else 3), done.everything
    assert "lock timeout. Nothing was written." in done.stderr
    assert f"SELECT pg_terminate_backend({pid})" in done.stderr
    assert "already exists" not in done.everything


@pytest.mark.parametrize("psql", sorted(PSQLS))
@FORMS
def test_with_each_psql_on_this_machine(database, tmp_path, psql, shell):
    if not PSQLS[psql].exists():
        pytest.skip(f"psql {psql} is not here")
    host = Host(tmp_path, database, psql)
    database.stand_at(OLD)
    database.run("CREATE TABLE users (id serial PRIMARY KEY, name text)")
    host.write(shell, handed_over(database, [OLD], [NEW], ["public.users"]))
    done = host.stamp(shell)
    assert (done.status, database.versions()) == (0, [NEW]), done.everything
    assert host.back(shell).status == 0
    database.run("DROP TABLE users")
    assert host.stamp(shell).status == 3


# --- the right database ------------------------------------------------------------------------------------------


@FORMS
def test_another_database_is_refused(stamped, shell, scratch):
    scratch.stand_at(OLD)
    done = replace(stamped, database=scratch).stamp(shell)
    assert done.status == 3
    assert f"This is another database: {scratch.name}" in done.stderr
    assert scratch.versions() == [OLD]


@FORMS
def test_the_same_name_and_oid_on_another_server_are_refused(host, shell):
    made = handed_over(host.database, [OLD], [NEW])
    oid = made.identity.server_id.partition("/")[2]
    host.write(shell, replace(made, identity=replace(made.identity, server_id=f"4711/{oid}")))
    assert host.stamp(shell).status == 3


@pytest.mark.parametrize(("address", "status"), [(None, 0), ("127.0.0.1:1", 3)])
@FORMS
def test_a_server_without_a_known_id_is_identified_by_its_address(host, shell, address, status):
    made = handed_over(host.database, [OLD], [NEW])
    oid = made.identity.server_id.partition("/")[2]
    address = address or made.identity.server_address
    host.write(shell, replace(made, identity=replace(made.identity, server_id=f"-/{oid}", server_address=address)))
    done = host.stamp(shell)
    assert done.status == status, done.everything
    assert done.stderr.count("The server does not tell its id") == (0 if status else 1 if shell == "bash" else 2)


@FORMS
def test_a_server_that_no_longer_reports_its_id_is_identified_by_its_address(host, shell):
    host.write(shell, handed_over(host.database, [OLD], [NEW]))
    host.database.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", role="postgres")
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert "The server does not tell its id" in done.stderr


@FORMS
def test_the_same_id_at_another_address_is_refused_until_somebody_vouches_for_it(host, shell):
    """A promoted replica and a restored snapshot have the original's id: so `stamp` refuses another address, too."""
    made = handed_over(host.database, [OLD], [NEW])
    host.write(shell, replace(made, identity=replace(made.identity, server_address="10.0.0.7:5432")))
    address = made.identity.server_address
    refused = host.stamp(shell)
    assert refused.status == 3, refused.everything
    assert f"its address is {address}. It was 10.0.0.7:5432" in refused.stderr
    assert f"--address {address} (psql: -v address={address})" in refused.stderr
    assert host.vouched(shell, "10.0.0.7:5432").status == 3
    assert host.database.versions() == [OLD]
    assert host.vouched(shell, address).status == 0
    assert host.database.versions() == [NEW]


@pytest.mark.parametrize("vouched", [False, True])
@FORMS
def test_a_socket_is_an_address_too(host, shell, vouched):
    """Without a known id, nobody can vouch for it either."""
    made = handed_over(host.database, [OLD], [NEW])
    oid = made.identity.server_id.partition("/")[2]
    for system, address in (("-", None), (None, None)):
        server_id = f"{system}/{oid}" if system else made.identity.server_id
        host.write(shell, replace(made, identity=replace(made.identity, server_id=server_id, server_address=address)))
        done = host.vouched(shell, made.identity.server_address) if vouched else host.stamp(shell)
        assert done.status == (0 if vouched and system is None else 3), done.everything


def test_through_a_socket_it_is_recognised(host):
    made = handed_over(host.database, [OLD], [NEW])
    host.write("psql", replace(made, identity=replace(made.identity, server_address=None)))
    by_socket = {"PGHOST": str(host.database.server.pgdata), "PGUSER": "postgres"}
    assert host.file(**by_socket).status == 0
    host.database.stand_at(OLD)
    host.write("psql", made)
    refused = host.file(**by_socket)
    assert refused.status == 3
    assert "its address is socket" in refused.stderr


# --- killed ------------------------------------------------------------------------------------------------------

KILL = "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());"
KILLING = """#!/usr/bin/env bash
# Ends the server's process after the statement of that number, counted over all calls.
sql=$(cat) out='' within=no number=$(cat "$COUNT" 2>/dev/null || echo 0)
while IFS= read -r line; do
  out+=$line$'\\n'
  case $line in 'DO $rescue$'*) within=yes ;; '$rescue$;'*) within=no ;; esac
  if [[ $within == no && $line == *';' && $line != --* ]]; then
    number=$((number + 1))
    if [[ $number == "$KILL_AT" ]]; then out+="KILL"$'\\n'; fi
  fi
done <<<"$sql"
printf '%s' "$number" > "$COUNT"
exec PSQL "$@" <<<"$out"
"""


@pytest.mark.slow
def test_a_file_for_psql_that_is_killed_after_any_statement_can_be_run_again(host):
    host.database.run("CREATE TABLE users (id int)")
    host.database.stand_at("a", "b")
    text = host.write("psql", handed_over(host.database, ["a", "b"], ["c"], ["public.users"])).read_text()
    lines = text.splitlines()
    ends = [number for number in statements(text) if number < lines.index("-- ==== back")]
    assert len(ends) > 12
    outcomes = set()
    for end in ends:
        (host.folder / "killed.psql").write_text("\n".join([*lines[: end + 1], KILL, *lines[end + 1 :]]))
        assert host.file("killed.psql").status != 0
        outcomes.add(tuple(host.database.versions()))
        assert outcomes <= {("a", "b"), ("c",)}
        assert host.file().status == 0
        assert host.database.versions() == ["c"]
        host.database.stand_at("a", "b")
    assert outcomes == {("a", "b"), ("c",)}


@pytest.mark.slow
@pytest.mark.parametrize("way", [("--yes",), ("--undo", "--yes")], ids=["stamp", "undo"])
def test_a_file_for_bash_that_is_killed_after_any_statement_can_be_run_again(host, way):
    rows = {"stamp": ["a", "b"], "undo": ["c"]}
    before, after = (["c"], ["a", "b"]) if "--undo" in way else (["a", "b"], ["c"])
    host.database.run("CREATE TABLE users (id int)")
    host.write("bash", handed_over(host.database, rows["stamp"], rows["undo"], ["public.users"]))
    programs = host.folder / "killing"
    programs.mkdir()
    (programs / "psql").write_text(KILLING.replace("PSQL", str(PSQLS[15])).replace('"KILL"', f'"{KILL}"'))
    (programs / "psql").chmod(0o755)
    seen, number = set(), 0
    while True:
        number += 1
        host.database.stand_at(*before)
        count = host.folder / f"count{number}"
        done = host.bash(*way, PATH=f"{programs}:/usr/bin:/bin", KILL_AT=str(number), COUNT=str(count))
        if int(count.read_text()) < number:
            break
        found = host.database.versions()
        assert found in (before, after)
        assert done.status in ((4, 0, 5) if found == after else (4,)), done.everything
        seen.add((done.status, tuple(found)))
        assert host.bash(*way).status == 0
        assert host.database.versions() == after
    assert number > 20
    assert {(4, tuple(before)), (5, tuple(after)), (0, tuple(after))} == seen


@FORMS
def test_a_row_that_changes_in_the_middle_is_not_overwritten(host, shell):
    made = handed_over(host.database, [OLD], [NEW])
    path = host.write(shell, made)
    update = f"  UPDATE public.alembic_version SET version_num = '{NEW}' WHERE version_num = '{OLD}';"
    assert path.read_text().count(update) == 1
    path.write_text(path.read_text().replace(update, update.replace(f"= '{OLD}'", "= 'gone meanwhile'")))
    done = host.stamp(shell)
    assert done.status == 3
    assert "The rows have changed: 0 matched instead of 1" in done.stderr
    assert host.database.versions() == [OLD]


@FORMS
def test_a_row_that_comes_in_the_middle_is_seen(host, shell):
    path = host.write(shell, handed_over(host.database, [OLD], [NEW]))
    lock = "  LOCK TABLE public.alembic_version"
    meanwhile = "  INSERT INTO public.alembic_version VALUES ('bbbb0001');"
    first, rest = path.read_text().split(lock, 1)
    path.write_text(f"{first}{meanwhile}\n{lock}{rest}")
    done = host.stamp(shell)
    assert done.status == 3
    assert "others are there besides" in done.stderr
    assert host.database.versions() == [OLD]


@FORMS
def test_a_row_that_comes_while_it_waits_is_seen_whatever_the_roles_isolation(host, shell):
    database = host.database
    database.run(f"ALTER DATABASE {database.name} SET default_transaction_isolation = serializable", role="postgres")
    host.write(shell, handed_over(database, [OLD], [NEW], lock_seconds=20.0))
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor() as beside, database.session() as other:
        other.cursor().execute("INSERT INTO alembic_version VALUES ('bbbb0001')")
        running = beside.submit(host.stamp, shell)
        while not database.run(waits, role="postgres"):
            assert not running.done(), running.result().everything
            time.sleep(0.05)
        other.commit()
        done = running.result()
    assert (done.status, database.versions()) == (3, [OLD, "bbbb0001"]), done.everything


@FORMS
def test_an_endless_statement_is_ended(host, shell):
    host.database.run("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                      " 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'")  # fmt: skip
    host.database.run("CREATE TRIGGER slow BEFORE UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION slow()")
    host.write(shell, handed_over(host.database, [OLD], [NEW], statement_seconds=0.3))
    done = host.stamp(shell)
    assert done.status == (4 if shell == "bash" else 3)
    assert "canceling statement due to statement timeout" in done.stderr
    assert host.database.versions() == [OLD]
