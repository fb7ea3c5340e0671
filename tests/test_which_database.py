"""The stamped database is the one that was shown: whatever env.py, the environment and --url say."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from sqlalchemy.engine import make_url

from alembic_rescue.connection import urls
from tests import servers
from tests.conftest import fresh_database
from tests.terminal import at_a_terminal
from tests.writing import write_env

pytestmark = pytest.mark.slow


@pytest.fixture
def watched(server):
    """Another database on the same server, at aaaa0001 as well: nothing may happen to it."""
    with fresh_database(server) as database:
        at_the_first_revision(database)
        yield database
        assert database.versions() == ["aaaa0001"]


@pytest.fixture
def chosen(database):
    """The intended database, at aaaa0001."""
    at_the_first_revision(database)
    return database


def at_the_first_revision(database):
    database.run("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    database.run("INSERT INTO alembic_version VALUES ('aaaa0001')")


def spelled(database, **parts):
    """The URL of a database in another spelling."""
    return make_url(database.url).set(**parts).render_as_string(hide_password=False)


# --- it is shown -------------------------------------------------------------------------------------------------


def test_the_database_is_named_in_plan_question_receipt_and_json(project, database):
    linear = project("linear", database)
    write_env(linear, options='version_table_schema="ops"')
    database.run("CREATE SCHEMA ops")
    ((system_id, oid, version),) = database.run(
        "SELECT system_identifier::text, (SELECT oid::text FROM pg_database WHERE datname = current_database()), "
        "current_setting('server_version') FROM pg_control_system()"
    )
    identity = {
        "url": re.sub(r":[^:@]+@", ":***@", database.url),
        "dialect": "postgresql",
        "server_version": version,
        "server_id": f"{system_id}/{oid}",
        "host": "127.0.0.1",
        "port": database.server.port,
        "database": database.name,
        "role": servers.ROLE,
        "encrypted": False,
        "version_table": "alembic_version",
        "version_table_schema": "ops",
    }
    shown = [
        f"Database {database.name} at 127.0.0.1:{database.server.port}",
        f"URL      {identity['url']}",
        f"Server   postgresql {version}, id {identity['server_id']}, role {servers.ROLE}, not encrypted",
        "Version  ops.alembic_version: does not exist",
    ]

    planned = linear.rescue("plan", "aaaa0003", "--out", "plan.json")
    for line in shown:
        assert line in planned.stdout.splitlines()
    document = linear.rescue_json("plan", "aaaa0003")["databases"][0]
    assert identity.items() <= document.items()
    sealed = json.loads((linear.root / "plan.json").read_text())
    assert identity.items() <= sealed["databases"][0].items()
    where, *rest = sealed["sealed"]["databases"][0]["database"]
    assert rest == ["ops.alembic_version", "ops", servers.ROLE]
    address = f"127.0.0.1:{database.server.port}"
    assert where == f"{database.name} at {address} (server id {identity['server_id']}, which names itself {address})"

    with at_a_terminal(linear, "stamp", "aaaa0003", columns=200) as terminal:
        terminal.wait_for(f"Set ops.alembic_version in {database.name} at 127.0.0.1:{database.server.port} from base")
        for line in shown:
            assert line in terminal.text
        terminal.type("y\n")
        assert terminal.end() == 0
    assert identity.items() <= json.loads(linear.receipts[0].read_text())["parts"][0]["database"].items()


def test_the_drivers_actual_address_is_shown_whatever_led_it_there(project, chosen):
    linear = project("linear")
    write_env(linear, engine='create_engine("postgresql+psycopg2:///")')
    by_variables = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(chosen.server.port),
        "PGUSER": servers.ROLE,
        "PGPASSWORD": servers.PASSWORD,
        "PGDATABASE": chosen.name,
    }
    found = linear.rescue_json("plan", "aaaa0003", DATABASE_URL="postgres://localhost", **by_variables)
    assert found["refusals"] == []
    database = found["databases"][0]
    assert (database["host"], database["port"]) == ("127.0.0.1", chosen.server.port)
    assert (database["database"], database["role"]) == (chosen.name, servers.ROLE)

    write_env(linear, engine=f'create_engine("postgresql+psycopg2://", creator=lambda: connect({chosen.dsn!r}))',
              first="from psycopg2 import connect")  # fmt: skip
    database = linear.rescue_json("plan", "aaaa0003")["databases"][0]
    assert (database["host"], database["port"]) == (None, chosen.server.port)
    assert f"host={chosen.server.pgdata}" in unquote(database["url"])
    assert (database["database"], database["role"]) == (chosen.name, "postgres")


# --- --url wins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", ["alembic.ini", "own engine", "own connection arguments", "variable"])
def test_url_wins_whatever_env_py_opens(project, chosen, watched, env):
    linear = project("linear", watched)
    if env == "own engine":
        write_env(linear, engine=f"create_engine({watched.url!r})")
    elif env == "own connection arguments":
        url = make_url(watched.url)
        write_env(
            linear,
            engine='create_engine("postgresql+psycopg2://", connect_args='
            f"dict(host={url.host!r}, port={url.port}, user={url.username!r}, password={url.password!r}, "
            f'dbname={url.database!r}, application_name="shop"))',
            connected='assert connection.execute(text("SHOW application_name")).scalar() == "shop"',
        )
    elif env == "variable":
        write_env(linear, engine='create_engine(os.environ["SHOP_URL"])')

    plain = chosen.url.replace("postgresql+psycopg2://", "postgres://")
    stamped = linear.rescue("stamp", "aaaa0003", "--yes", ALEMBIC_RESCUE_URL=plain, SHOP_URL=watched.url)
    assert stamped.status == 0, stamped.stderr
    assert f"Database {chosen.name} at 127.0.0.1" in stamped.stderr
    assert chosen.versions() == ["aaaa0003"]
    undone = linear.rescue("--url", plain, "undo", "--yes", SHOP_URL=watched.url)
    assert undone.status == 0, undone.stderr
    assert chosen.versions() == ["aaaa0001"]


def not_heeded(ran, reason):
    assert ran.status == 2, ran.stderr
    assert f"error[url-not-heeded]: --url cannot be applied to this env.py: {reason}" in ran.stderr
    assert "help: omit --url and set the URL where env.py reads it" in ran.stderr


def test_a_url_of_another_kind_than_env_pys_engine_is_ignored_and_reported(project, watched, tmp_path):
    linear = project("linear", watched)
    write_env(linear, engine=f"create_engine({watched.url!r})")
    (tmp_path / "shop.db").touch()
    ran = linear.rescue("--url", f"sqlite:///{tmp_path}/shop.db", "stamp", "aaaa0003", "--yes")
    not_heeded(ran, "env.py opens a postgresql database, but the URL is for sqlite")


@pytest.mark.parametrize("opened_before", ["", "create_engine(config.get_main_option('sqlalchemy.url')).connect()"])
def test_a_url_cannot_override_a_function_that_connects(project, chosen, watched, opened_before):
    linear = project("linear", watched)
    write_env(
        linear,
        first=f"from psycopg2 import connect\nopened = {opened_before or None}",
        engine=f'create_engine("postgresql+psycopg2://", creator=lambda: connect({watched.dsn!r}))',
    )
    ran = linear.rescue("--url", chosen.url, "stamp", "aaaa0003", "--yes")
    not_heeded(ran, "it opens its connection with a function of its own")
    assert chosen.versions() == ["aaaa0001"]


# --- DATABASE_URL ------------------------------------------------------------------------------------------------


def test_a_database_url_that_names_another_database_is_refused(project, chosen, watched):
    linear = project("linear", chosen)
    assert linear.rescue("stamp", "aaaa0002", "--yes").status == 0
    port = chosen.server.port
    fact = (
        f"DATABASE_URL points to {watched.name} at 127.0.0.1:{port}, but env.py opens {chosen.name} at 127.0.0.1:{port}"
    )
    choice = 'choose: --url "$DATABASE_URL" for the first, or `env -u DATABASE_URL alembic-rescue ...` for the second'

    for command in (["plan", "aaaa0003"], ["stamp", "aaaa0003", "--yes"], ["undo", "--yes"]):
        ran = linear.rescue(*command, DATABASE_URL=watched.url)
        assert ran.status == 3, command
        assert f"error[other-database]: {fact}\nhelp: {choice}\n" in ran.stderr
        assert "Nothing was written." in ran.stdout
    refused = linear.rescue_json("stamp", "aaaa0003", "--yes", DATABASE_URL=watched.url)
    assert (refused["outcome"], refused["refusals"][0]["code"]) == ("refused", "other-database")
    assert chosen.versions() == ["aaaa0002"]

    diagnosed = linear.rescue("diagnose", DATABASE_URL=watched.url)
    assert f"[other-database]: {fact}" in diagnosed.stdout
    (advice,) = (line for line in diagnosed.stdout.splitlines() if line.startswith("Recommendation: stop"))
    assert fact in advice

    as_told = linear.rescue("--url", chosen.url, "plan", "aaaa0003", DATABASE_URL=watched.url)
    assert as_told.status == 0, as_told.stderr


def test_the_same_database_in_another_spelling_is_not_refused(project, chosen):
    linear = project("linear", chosen)
    for spelling in (
        spelled(chosen, drivername="postgres", host="localhost"),
        spelled(chosen, drivername="postgresql+asyncpg", username="somebody", password="else"),
        spelled(chosen, host=None, query={"host": str(chosen.server.pgdata), "sslmode": "disable"}),
        "not a URL at all",
    ):
        ran = linear.rescue("plan", "aaaa0003", DATABASE_URL=spelling)
        assert ran.status == 0, f"{spelling}: {ran.stderr}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://localhost/shop", "postgresql://127.0.0.1:5432/shop", True),
        ("postgresql://[::1]/shop", "postgresql:///shop", True),
        ("postgresql://DB.example.org/shop", "postgresql://db.example.org./shop?sslmode=require", True),
        ("postgresql://a:b@db.example.org/shop", "postgresql+asyncpg://c@db.example.org:5432/shop", True),
        ("postgresql:///shop?host=/run/postgresql", "postgresql://localhost/shop", True),
        ("postgresql:///shop?host=db.example.org&port=6543", "postgresql://db.example.org:6543/shop", True),
        ("sqlite:///shop.db", "sqlite:///./shop.db", True),
        ("postgresql://localhost/shop", "postgresql://localhost/shop2", False),
        ("postgresql://localhost/shop", "postgresql://localhost:6543/shop", False),
        ("postgresql://localhost/shop", "postgresql://db.example.org/shop", False),
        ("postgresql://localhost/shop", "mysql://localhost:5432/shop", False),
        ("sqlite:///shop.db", "sqlite:///other/shop.db", False),
        ("postgresql:///shop?host=db1,db2&port=1,2", "postgresql://db2:2/shop", True),
        ("postgresql:///shop?host=db1:1&host=db2:2", "postgresql://db1:1/shop", True),
        ("postgresql:///shop?host=db1,db2&port=1,2", "postgresql://db2:1/shop", False),
    ],
)
def test_whether_two_urls_name_the_same_database(one, other, same):
    assert urls.same_database(urls.parse(one), urls.parse(other)) is same
    assert urls.same_database(urls.parse(other), urls.parse(one)) is same


# --- encryption --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "given", "variables", "asked"),
    [
        ("postgresql://db.example.org/shop", {}, {}, "require"),
        ("postgresql:///shop?host=db.example.org", {}, {}, "require"),
        ("postgresql://203.0.113.7/shop", {}, {}, "require"),
        ("postgresql://localhost/shop", {}, {}, None),
        ("postgresql://127.0.0.2/shop", {}, {}, None),
        ("postgresql://[::1]/shop", {}, {}, None),
        ("postgresql:///shop?host=/run/postgresql", {}, {}, None),
        ("postgresql://db.example.org/shop", {"sslmode": "verify-full"}, {}, "verify-full"),
        ("postgresql://db.example.org/shop", {"sslmode": "disable"}, {}, "disable"),
        ("postgresql://db.example.org/shop", {}, {"PGSSLMODE": "prefer"}, None),
    ],
)
def test_encryption_is_requested_if_nothing_is_configured(url, given, variables, asked):
    for driver, argument in (("psycopg2", "sslmode"), ("psycopg", "sslmode"), ("asyncpg", "ssl")):
        arguments = dict.fromkeys([argument] if given else [], given.get("sslmode"))
        urls.require_encryption(urls.parse(url), driver, arguments, variables)
        assert arguments == ({argument: asked} if asked else {})


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("postgresql:///shop?host=127.0.0.1,localhost&port=1,2", None),
        ("postgresql:///shop?host=127.0.0.1:1&host=127.0.0.1:2", None),
        ("postgresql:///shop?host=/run/postgresql,localhost", None),
        ("postgresql:///shop?host=127.0.0.1,db.example.org&port=1,2", "require"),
    ],
)
def test_of_several_hosts_each_counts(url, asked):
    arguments: dict[str, object] = {}
    urls.require_encryption(urls.parse(url), "psycopg2", arguments, {})
    assert arguments.get("sslmode") == asked


@pytest.mark.parametrize("hosts", ["host=127.0.0.1,127.0.0.1&port=1,{port}", "host=127.0.0.1:1&host=127.0.0.1:{port}"])
@pytest.mark.parametrize("given", ["--url", "DATABASE_URL"])
def test_several_servers_in_a_url_are_tried_one_after_the_other(project, chosen, given, hosts):
    url = make_url(chosen.url)
    several = f"postgresql://{url.username}@/{url.database}?{hosts.format(port=url.port)}"
    linear = project("linear", chosen)
    more = ("--url", several) if given == "--url" else ()
    variables = {"PGPASSWORD": servers.PASSWORD, **({} if more else {"DATABASE_URL": several})}
    ran = linear.rescue(*more, "plan", "aaaa0003", **variables)
    assert ran.status == 0, ran.everything
    assert f"Database {chosen.name} at 127.0.0.1:{url.port}" in ran.stdout


def test_a_host_that_is_not_local_is_not_reached_without_encryption(project, chosen, watched):
    linear = project("linear", watched)
    elsewhere = spelled(chosen, host="127.1")  # resolves to this host, and its name does not say so
    refused = linear.rescue("--url", elsewhere, "plan", "aaaa0003")
    assert refused.status == 4
    assert f"error[encryption-failed]: no TLS connection to {chosen.name} at 127.1" in refused.stderr
    assert "server does not support SSL, but SSL was required" in refused.stderr
    assert "--url '...?sslmode=disable'" in refused.stderr

    assert linear.rescue("--url", f"{elsewhere}?sslmode=disable", "plan", "aaaa0003").status == 0
    assert linear.rescue("--url", elsewhere, "plan", "aaaa0003", PGSSLMODE="prefer").status == 0
    linear.set_url(elsewhere)  # env.py's own URL is its author's business
    assert linear.rescue("plan", "aaaa0003").status == 0


# --- the database changes meanwhile ------------------------------------------------------------------------------


def switching(project, first, then, run):
    """A project whose env.py opens `first`, and from the given run on `then`."""
    linear = project("linear")
    write_env(
        linear,
        first="count = os.path.exists('count') and int(open('count').read()) or 0\n"
        "import sys\n"
        "live = 'upgrade' not in sys.argv  # as on a scratch database\n"
        "open('count', 'w').write(str(count + live))",
        engine=f"create_engine({first.url!r} if not live or count + 1 < {run} else {then.url!r})",
    )
    return linear


PLAN, COPY, LOOK_AGAIN, WRITE, READ_BACK = range(1, 6)
"""The runs of env.py on the live database; the copy of its schema is for the rehearsal of what is then pending."""


@pytest.mark.parametrize("run", [LOOK_AGAIN, WRITE])
def test_a_database_that_changes_before_the_write_is_refused(project, chosen, watched, run):
    linear = switching(project, chosen, watched, run)
    ran = linear.rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 3, ran.stderr
    assert f"error[database-changed]: the plan was made for {chosen.name} at 127.0.0.1" in ran.stderr
    assert "nothing was written" in ran.stderr
    assert "env.py opens a different database from one run to the next" in ran.stderr
    assert chosen.versions() == ["aaaa0001"]
    assert len(linear.receipts) == (run == WRITE)  # none if it got no further than the second inspection


def test_no_version_table_is_created_in_a_database_that_appears_meanwhile(project, chosen, server):
    with fresh_database(server) as empty:
        ran = switching(project, chosen, empty, WRITE).rescue("stamp", "aaaa0003", "--yes")
        assert ran.status == 3, ran.stderr
        assert "error[database-changed]" in ran.stderr
        assert empty.run("SELECT to_regclass('alembic_version')") == [(None,)]
    assert chosen.versions() == ["aaaa0001"]


def test_another_database_does_not_verify_the_write(project, chosen, server):
    with fresh_database(server) as other:
        at_the_first_revision(other)
        other.run("UPDATE alembic_version SET version_num = 'aaaa0003'")
        ran = switching(project, chosen, other, READ_BACK).rescue("stamp", "aaaa0003", "--yes")
    assert ran.status == 5, ran.stderr
    assert "error[not-verified]" in ran.stderr
    assert f"but env.py now connects to {other.name}" in ran.stderr
    assert "    alembic-rescue undo\n  Or by hand:\n    UPDATE public.alembic_version" in ran.stderr
    assert chosen.versions() == ["aaaa0003"]


def test_a_plan_sealed_for_one_database_is_not_carried_out_in_another(project, chosen, watched):
    linear = project("linear", chosen)
    assert linear.rescue("plan", "aaaa0003", "--out", "plan.json").status == 0
    ran = linear.rescue("--url", watched.url, "stamp", "--plan", "plan.json", "--yes")
    assert ran.status == 3, ran.stderr
    assert "error[plan-changed]: plan.json was sealed for a different state: the database changed from" in ran.stderr
    assert chosen.versions() == ["aaaa0001"]
