"""How the file for bash connects and asks, and what it says if it cannot."""

from __future__ import annotations

import contextlib
import shutil
import socket
from dataclasses import replace
from urllib.parse import quote

import pytest
from sqlalchemy.engine import make_url

from alembic_rescue.dialects.postgresql import scripts
from alembic_rescue.dialects.postgresql.blockers import RESCUE_LOCK
from tests import servers, silent_proxy
from tests.handing_over import FORMS, NEW, OLD, handed_over
from tests.terminal import CTRL_C, Terminal

# --- the connection ----------------------------------------------------------------------------------------------

RECORDING = """#!/bin/sh
for argument; do printf '%s\\n' "$argument"; done >> "$RECORD/arguments"
for pid in $PPID $(awk '/^PPid/ {print $2}' /proc/$PPID/status); do
  tr '\\0' '\\n' < /proc/$pid/cmdline >> "$RECORD/arguments"
done
env | grep '^PG\\|^DATABASE_URL' > "$RECORD/environment"
cat > "$RECORD/sql"
echo 'psql: error: could not connect to server: Connection refused' >&2
exit 2
"""


@pytest.fixture
def recorded(stamped):
    """What psql is given: its variables."""

    def record(*arguments, **environment):
        programs = stamped.folder / "recording"
        programs.mkdir(exist_ok=True)
        (programs / "psql").write_text(RECORDING)
        (programs / "psql").chmod(0o755)
        more = {"PATH": f"{programs}:/usr/bin:/bin", "RECORD": str(stamped.folder), **environment}
        done = stamped.bash(*arguments, **more)
        assert done.status == 4, done.everything
        lines = (stamped.folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    return record


URLS = [
    "postgresql://app@db.example.org/shop",
    "postgres://app:pw@db.example.org:6432/shop",
    "postgresql+psycopg2://app:p%40ss%2Fw%25rd%3A%21@db.example.org:5433/shop",
    "postgresql+asyncpg://us%40er:a:b@10.0.0.7/my%20shop",
    "postgresql://app:pw@[::1]:5432/shop",
    "postgresql://app:pw@db.example.org/shop?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&connect_timeout=3",
    "postgresql:///shop?host=/var/run/postgresql&user=app&port=5433",
    "postgresql://app:100%@db.example.org/shop",
    "postgresql://app:p/w?x@db.example.org/shop?options=-c%20search_path%3Dtenant",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_means_the_same_as_to_sqlalchemy(recorded, url):
    told, meant = recorded("--yes", DATABASE_URL=url), make_url(url)
    query = dict(meant.query)
    assert told.get("PGHOST") == (meant.host or query.get("host"))
    assert told.get("PGPORT") == (str(meant.port) if meant.port else query.get("port"))
    assert told.get("PGUSER") == (meant.username or query.get("user"))
    assert told.get("PGPASSWORD") == meant.password
    assert told.get("PGDATABASE") == meant.database
    assert told.get("PGOPTIONS") == query.get("options")
    assert told.get("PGSSLROOTCERT") == query.get("sslrootcert")
    assert "DATABASE_URL" not in told


def test_an_unencoded_at_sign_belongs_to_the_password(recorded):
    told = recorded("--yes", DATABASE_URL="postgresql://app:p@s@s@db.example.org/shop?options=a@b")
    assert (told["PGPASSWORD"], told["PGHOST"], told["PGOPTIONS"]) == ("p@s@s", "db.example.org", "a@b")


def test_several_hosts_are_passed_as_psql_expects_them(recorded):
    told = recorded("--yes", DATABASE_URL="postgresql://app@one:5432,two:5433/shop?target_session_attrs=read-write")
    assert (told["PGHOST"], told["PGPORT"], told["PGTARGETSESSIONATTRS"]) == ("one,two", "5432,5433", "read-write")


@pytest.mark.parametrize(
    ("url", "given", "mode"),
    [
        ("postgresql://app@db.example.org/shop", "", "require"),
        ("postgresql://app@10.0.0.7/shop", "", "require"),
        ("postgresql://app@db.example.org/shop?sslmode=verify-full", "", "verify-full"),
        ("postgresql://app@db.example.org/shop?ssl=true", "", "require"),
        ("postgresql://app@db.example.org/shop", "prefer", "prefer"),
        ("postgresql://app@localhost/shop", "", None),
        ("postgresql://app@127.0.0.1/shop", "", None),
        ("postgresql:///shop?host=/tmp", "", None),
        ("postgresql://app@localhost,db.example.org/shop", "", "require"),
        ("postgresql://app@db.example.org,localhost/shop", "", "require"),
        ("postgresql://app@localhost,127.0.0.2/shop", "", None),
        ("postgresql://app@127.evil.example.org/shop", "", "require"),
        ("postgresql://app@localhost.example.org/shop", "", "require"),
        ("postgresql://app@localhost/shop?hostaddr=10.0.0.7", "", "require"),
        ("postgresql://app@shop.internal/shop?hostaddr=127.0.0.1", "", None),
    ],
)
def test_to_another_host_it_asks_for_encryption_unless_configured(recorded, url, given, mode):
    told = recorded("--yes", DATABASE_URL=url, PGSSLMODE=given)
    assert told.get("PGSSLMODE") == mode
    assert told["PGCONNECT_TIMEOUT"] == "10"


@pytest.mark.parametrize(
    ("where", "mode"),
    [
        ({"PGHOST": "localhost", "PGHOSTADDR": "10.0.0.7"}, "require"),
        ({"PGHOST": "db.example.org", "PGHOSTADDR": "127.0.0.1"}, None),
        ({"PGHOST": "/tmp,db.example.org"}, "require"),
        ({"PGDATABASE": "shop"}, None),
        ({"PGSERVICE": "shop"}, "require"),
    ],
)
def test_variables_alone_can_name_a_host(recorded, where, mode):
    assert recorded("--yes", DATABASE_URL="", **where).get("PGSSLMODE") == mode


def test_a_host_in_the_query_is_not_overridden_by_a_variable(recorded):
    told = recorded(
        "--yes", DATABASE_URL="postgresql:///shop?host=db.example.org", PGHOSTADDR="10.0.0.1", PGSERVICE="y"
    )
    assert not {"PGSERVICE", "PGHOSTADDR"} & set(told)


def test_arguments_win_over_the_url_and_the_url_over_variables(recorded):
    told = recorded("--yes", "--host=b", "--dbname", "d", "--port", "1", "--username", "u",
                    DATABASE_URL="postgresql://a/c", PGHOST="x", PGSERVICE="y", PGHOSTADDR="10.0.0.1")  # fmt: skip
    assert (told["PGHOST"], told["PGDATABASE"], told["PGPORT"], told["PGUSER"]) == ("b", "d", "1", "u")
    assert not {"PGSERVICE", "PGHOSTADDR"} & set(told)


def test_no_password_is_in_the_list_of_processes(recorded, stamped):
    told = recorded("--yes")
    assert told["PGPASSWORD"] == servers.PASSWORD
    arguments = (stamped.folder / "arguments").read_text()
    assert "stamp.bash" in arguments, "the file's own command line is looked at"
    assert servers.PASSWORD not in arguments
    assert quote(servers.PASSWORD, safe="") not in arguments


@pytest.mark.parametrize(
    "arguments",
    [["--url", "postgresql://app:pw@a/b"], ["--url=postgresql://app@a/b?password=pw"], ["--nonsense"], ["--port"]],
)
def test_unusable_input_is_a_usage_error(stamped, arguments):
    done = stamped.bash(*arguments)
    assert done.status == 2
    assert "error[usage]: " in done.stderr


@pytest.mark.parametrize("url", ["", "mysql://a/b", "nonsense"])
def test_an_invalid_url_is_a_usage_error(stamped, url):
    done = stamped.bash("--yes", DATABASE_URL=url)
    assert done.status == 2, done.everything


@pytest.mark.slow
def test_a_url_instead_of_a_name_is_not_repeated(stamped):
    done = stamped.bash("--yes", "--dbname", "postgresql://u:rnd_test@db.example.org/x")
    assert (done.status, "rnd_test" in done.everything) == (2, False), done.everything


@pytest.mark.parametrize("words", [b"SHARE ROW EXCLUSIVE", b"COMMIT;"])
def test_it_does_not_wait_forever_for_a_silent_server(stamped, words):
    server = stamped.database.server
    made = replace(handed_over(stamped.database, [OLD], [NEW]), lock_seconds=0.5, statement_seconds=1.0)
    text = scripts.Scripts().file("bash", made)
    stamped.write("bash", made)
    assert "patience=32 #" in text
    (stamped.folder / "stamp.bash").write_text(text.replace("patience=32 #", "patience=3 #"))
    connect = lambda: socket.create_connection(("127.0.0.1", server.port))  # noqa: E731
    with silent_proxy.between(connect, words, then=silent_proxy.Then.HELD) as proxy:
        url = f"postgresql://{servers.ROLE}:{quote(servers.PASSWORD, safe='')}@127.0.0.1:{proxy.port}"
        done = stamped.bash("--yes", DATABASE_URL=f"{url}/{stamped.database.name}")
    assert done.status in {4, 5}, done.everything
    assert "did not answer for 3 seconds" in done.stderr
    assert stamped.database.versions() in ([OLD], [NEW])


def test_at_a_terminal_it_asks_for_the_password(stamped):
    url = stamped.database.url.replace(":" + quote(servers.PASSWORD, safe=""), "")
    typed = f"(sleep 5; echo '{servers.PASSWORD}'; sleep 5; echo y)"
    command = f"{typed} | script -qec 'bash {stamped.folder}/stamp.bash' /dev/null"
    done = stamped.run("bash", "-c", f"set -o pipefail; {command}", DATABASE_URL=url, TERM="dumb")
    assert (done.status, stamped.database.versions()) == (0, [NEW]), done.stdout
    assert servers.PASSWORD not in done.stdout


def test_without_a_terminal_it_needs_yes(stamped):
    done = stamped.bash()
    assert (done.status, stamped.database.versions()) == (2, [OLD])
    assert "--yes" in done.stderr


def test_its_help_says_what_it_does(stamped):
    done = stamped.bash("--help")
    assert done.status == 0
    for word in ("--undo", "--dry-run", "--yes", "DATABASE_URL", OLD, NEW, "Exit status"):
        assert word in done.stdout


# --- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says", "helps"),
    [
        ({"DATABASE_URL": "postgresql://rescue_app:wrong@127.0.0.1:{port}/{name}"}, "The login was rejected", "rotated"),  # noqa: E501
        ({"DATABASE_URL": "postgresql://rescue_app@127.0.0.1:{port}/{name}"}, "login was rejected", "percent-encoded"),
        ({"DATABASE_URL": "postgresql://rescue_app@127.0.0.1:1/{name}"}, "No server answers", "suspended"),
        ({"DATABASE_URL": "postgresql://rescue_app@nowhere.invalid/{name}"}, "Cannot resolve the host", "Internal host names"),  # noqa: E501
        ({"PGSSLMODE": "require"}, "has no TLS", "PGSSLMODE=prefer"),
        ({"DATABASE_URL": "{url}nothing"}, "database does not exist", "Compare the name"),
    ],
    ids=["wrong password", "no password", "refused", "unknown host", "no encryption", "no database"],
)  # fmt: skip
def test_an_unreachable_server_is_reported_with_the_usual_causes(stamped, change, says, helps):
    facts = {"port": stamped.database.server.port, "name": stamped.database.name, "url": stamped.database.url}
    done = stamped.bash("--yes", **{name: value.format(**facts) for name, value in change.items()})
    assert done.status == 4, done.everything
    assert says in done.stderr
    assert helps in done.stderr
    assert servers.PASSWORD not in done.everything


@pytest.mark.parametrize(
    ("said", "told", "helps"),
    [
        ('connection to server at "x" failed: timeout expired', "No answer", "suspended when they are not used"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4", no encryption', "may not connect", "list of allowed"),
        ("FATAL:  sorry, too many clients already", "no free connections", "scale its workers down"),
        ("FATAL:  the database system is starting up", "starting or stopping", "Wait a minute"),
        ("FATAL:  unsupported startup parameter: options", "A pooler", "direct URL"),
        ("something new", "Cannot reach the database: something new", "hosted database"),
    ],
)
def test_errors_of_hosted_databases_are_explained(stamped, said, told, helps):
    programs = stamped.folder / "saying"
    programs.mkdir()
    (programs / "psql").write_text(f"#!/bin/sh\necho 'psql: error: {said}' >&2\nexit 2\n")
    (programs / "psql").chmod(0o755)
    done = stamped.bash("--yes", PATH=f"{programs}:/usr/bin:/bin")
    assert done.status == 4
    assert told in done.stderr
    assert helps in done.stderr


def test_without_psql_it_says_how_to_get_it(stamped):
    programs = stamped.folder / "bare"
    programs.mkdir()
    for name in ("bash", "cat"):
        (programs / name).symlink_to(shutil.which(name))
    done = stamped.bash("--yes", PATH=str(programs))
    assert done.status == 4
    for how in ("brew install libpq", "apt-get install -y postgresql-client", "apk add postgresql-client"):
        assert how in done.stderr


def test_a_role_that_may_not_write_is_told_so(stamped):
    stamped.database.run("ALTER TABLE alembic_version OWNER TO postgres", role="postgres")
    stamped.database.run(f"GRANT SELECT ON alembic_version TO {servers.ROLE}", role="postgres")
    done = stamped.bash("--yes")
    assert done.status == 4, done.everything
    assert "lacks permission: permission denied" in done.stderr
    assert "the role that runs the migrations" in done.stderr


def test_a_read_only_database_is_reported(stamped):
    name = stamped.database.name
    stamped.database.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on", role="postgres")
    done = stamped.bash("--yes")
    assert done.status == 4, done.everything
    assert "default_transaction_read_only is on" in done.stderr
    assert "read-only replica" in done.stderr


@FORMS
def test_next_to_another_rescue_it_is_refused(stamped, shell):
    with stamped.database.session() as other, other.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({RESCUE_LOCK})")
        done = stamped.stamp(shell)
    assert done.status == 3
    assert "Another alembic-rescue is writing" in done.stderr
    assert stamped.database.versions() == [OLD]


def test_the_holder_of_the_lock_is_named(stamped):
    with stamped.database.session() as other, other.cursor() as cursor:
        cursor.execute(f"UPDATE alembic_version SET version_num = '{OLD}'")
        done = stamped.bash("--yes")
        pid = other.info.backend_pid
    assert done.status == 4
    assert "Could not get a lock in time" in done.stderr
    assert f"SELECT pg_terminate_backend({pid})" in done.stderr
    assert stamped.database.versions() == [OLD]


def test_colours_are_for_terminals(stamped):
    done = stamped.bash("--yes", "--port", "1", TERM="xterm")
    assert "\x1b" not in done.everything
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        command = f"bash {stamped.folder}/stamp.bash --yes --port 1"
        done = stamped.run("script", "-qec", command, "/dev/null", TERM="xterm", **more)
        assert ("\x1b[31merror[connection-refused]:" in done.stdout) is coloured


@pytest.mark.parametrize(("keys", "status"), [("\x04", 3), (CTRL_C, 130)], ids=["end of input", "Ctrl-C"])
def test_no_answer_is_not_a_yes(stamped, keys, status):
    command = ["bash", str(stamped.folder / "stamp.bash")]
    with contextlib.closing(Terminal(command, str(stamped.folder), stamped.environment(), 100, piped=False)) as screen:
        screen.wait_for("[y/N]: ")
        screen.type(keys)
        assert screen.end() == status, screen.text
    assert "othing was written." in screen.text.partition("[y/N]")[2]
    assert stamped.database.versions() == [OLD]


def test_without_a_temporary_folder_it_says_so(stamped):
    done = stamped.bash("--yes", TMPDIR="/nowhere")
    assert (done.status, stamped.database.versions()) == (2, [OLD])
    assert "Set TMPDIR to a folder that can be written to." in done.stderr


def test_without_stderr_it_does_the_same(stamped):
    done = stamped.run("bash", "-c", f"bash {stamped.folder}/stamp.bash --yes 2>&-")
    assert (done.status, stamped.database.versions()) == (0, [NEW]), done.everything


@pytest.mark.parametrize(("answer", "status", "rows"), [("y", 0, [NEW]), ("n", 3, [OLD]), ("", 3, [OLD])])
def test_at_a_terminal_it_asks(stamped, answer, status, rows):
    command = f"printf '{answer}\\n' | script -qec 'bash {stamped.folder}/stamp.bash' /dev/null"
    done = stamped.run("bash", "-c", f"set -o pipefail; {command}", TERM="dumb")
    assert f"Set the rows from {OLD} to {NEW}? [y/N]" in done.stdout
    assert (done.status, stamped.database.versions()) == (status, rows), done.stdout
