"""No secret leaves the tool: not on success, not on any failure, not with --debug, in no output and no file."""

from __future__ import annotations

import contextlib
import json
import string
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from alembic_rescue import redact
from tests import servers
from tests.terminal import at_a_terminal
from tests.watching import blocked_by
from tests.writing import write_env

PASSWORD = servers.PASSWORD
CORE = "pa55w0rd"
"""The part of PASSWORD that is the same in every encoding: plain, percent-encoded, doubled for an ini file."""
assert CORE in PASSWORD
assert quote(PASSWORD, safe="") != PASSWORD


def files_with_the_password(folder):
    return {file for file in folder.rglob("*") if file.is_file() and CORE in file.read_text(errors="replace").lower()}


@contextlib.contextmanager
def nothing_new_has_it(project):
    """Check that whatever is written below the project and the state folder meanwhile is free of the password."""
    before = files_with_the_password(project.root.parent)
    yield
    assert files_with_the_password(project.root.parent) <= before


def quiet(project, *arguments, status, **environment):
    """Run it with --debug, for the JSON and the traceback at once; check that no part of the password is printed."""
    with nothing_new_has_it(project):
        ran = project.rescue("--debug", "--format", "json", *arguments, **environment)
    assert ran.status == status, ran.everything
    assert CORE not in ran.everything.lower(), ran.everything
    assert ran.json["error"] or ran.json["refusals"] or status == 0
    return ran.everything


def quiet_in_both(project, *arguments, **expected):
    """Run it as `silent` does, and as text too."""
    said = quiet(project, *arguments, **expected)
    status = expected.pop("status")
    with nothing_new_has_it(project):
        ran = project.rescue(*arguments, **expected)
    assert ran.status == status, ran.everything
    assert CORE not in ran.everything.lower(), ran.everything
    return said + ran.everything


@pytest.fixture
def stuck(project, database):
    linear = project("linear", database)
    database.run("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    database.run("INSERT INTO alembic_version VALUES ('aaaa0001')")
    return linear


# --- success -----------------------------------------------------------------------------------------------------


def test_no_secret_from_diagnose_to_undo(stuck, database):
    with nothing_new_has_it(stuck):
        for arguments in (
            ["--debug", "diagnose"],
            ["--format", "json", "plan", "aaaa0003", "--out", "plan.json"],
            ["--debug", "stamp", "--plan", "plan.json", "--yes", "--reason", f"stuck; it uses {database.url}"],
            ["--format", "json", "receipts"],
            ["undo", "--yes"],
        ):
            ran = stuck.rescue(*arguments)
            assert ran.status == 0, ran.everything
            assert CORE not in ran.everything.lower(), arguments
    assert len(stuck.receipts) == 2
    assert "stuck; it uses postgresql+psycopg2://rescue_app:***@" in stuck.receipts[0].read_text()


@pytest.mark.parametrize("given_by", ["--url", "ALEMBIC_RESCUE_URL", "DATABASE_URL", "PGPASSWORD"])
def test_no_secret_wherever_it_comes_from(stuck, database, given_by):
    options, environment = [], {}
    stuck.set_url("postgresql+psycopg2://nobody@localhost/nowhere")
    if given_by == "--url":
        options = ["--url", database.url]
    elif given_by == "DATABASE_URL":
        write_env(stuck, engine='create_engine(os.environ["DATABASE_URL"])')
        environment = {"DATABASE_URL": database.url}
    elif given_by == "PGPASSWORD":
        stuck.set_url(database.url.replace(":" + quote(PASSWORD, safe=""), ""))
        environment = {"PGPASSWORD": PASSWORD}
    elif given_by == "ALEMBIC_RESCUE_URL":
        environment = {"ALEMBIC_RESCUE_URL": database.url.lower()}  # %2f is %2F
    said = quiet(stuck, *options, "stamp", "aaaa0003", "--yes", "--reason", PASSWORD, status=0, **environment)
    assert database.versions() == ["aaaa0003"]
    assert '"outcome": "stamped"' in said


def test_the_list_of_processes_shows_no_secret_if_the_url_is_in_a_variable(stuck, database):
    with at_a_terminal(stuck, "stamp", "aaaa0003", ALEMBIC_RESCUE_URL=database.url) as terminal:
        terminal.wait_for("[y/N]")
        process = psutil.Process(terminal.process.pid)
        for shown in (process, *process.children(recursive=True)):
            assert CORE not in " ".join(shown.cmdline())
        terminal.type("n\n")
        terminal.end()
    assert CORE not in terminal.text


# --- failures of the connection ----------------------------------------------------------------------------------


def test_no_secret_if_the_database_is_out_of_reach(project, database):
    linear = project("linear")
    url = make_url(database.url)
    for wrong in (
        url.set(port=1),
        url.set(host="db.invalid"),
        url.set(database="sohp"),
        url.set(username="nobody"),
        url.set(host="127.1"),
    ):
        rendered = wrong.render_as_string(hide_password=False)
        said = quiet(linear, "plan", "head", status=4, ALEMBIC_RESCUE_URL=rendered)
        assert "connection to" in said or "translate" in said
        assert "Traceback" in said
    database.run(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0", role="postgres")
    quiet_in_both(linear, "--url", database.url, "plan", "head", status=4)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--url", f"postgresql://rescue_app:{PASSWORD}@localhost/shop", "plan", "head"], 2),  # not encoded
        (["plan", "head", "--url", f"postgresql://rescue_app:{PASSWORD}@localhost/shop"], 2),
        (["plan", "head", f"postgresql://rescue_app:{PASSWORD}@localhost/shop"], 2),
        (["plan", f"postgresql://rescue_app:two words {PASSWORD}@localhost/shop"], 3),
        (["--url", f"oracle+cx_oracle://rescue_app:{quote(PASSWORD, safe='')}@localhost/shop", "plan", "head"], 2),
        (["--url", f"postgresql+turbo://rescue_app:{quote(PASSWORD, safe='')}@localhost/shop", "plan", "head"], 2),
        (["-c", f"postgresql://rescue_app:{PASSWORD}@localhost/shop", "plan", "head"], 2),
    ],
)
def test_no_secret_if_a_url_is_wrong_or_in_the_wrong_place(stuck, arguments, status):
    quiet(stuck, *arguments, status=status)


def test_no_secret_if_alembic_ini_is_wrong(stuck):
    ini = stuck.root / "alembic.ini"
    sound = ini.read_text()
    ini.write_text(sound.replace("%%", "%"))  # configparser reports the rest after the first %
    assert "has a % that must be written as %%" in quiet(stuck, "plan", "head", status=2)
    ini.write_text(sound.replace("sqlalchemy.url = ", "sqlalchemy.url ~ "))
    quiet(stuck, "plan", "head", status=2)
    ini.write_text(sound.replace("sqlalchemy.url = ", "script_location = "))
    quiet(stuck, "plan", "head", status=2)


# --- what env.py says and does -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "status"),
    [
        ({"first": "print('opening', config.get_main_option('sqlalchemy.url'))"}, 0),
        ({"first": "import logging; logging.warning('url %s', config.get_main_option('sqlalchemy.url'))"}, 0),
        ({"first": "import warnings; warnings.warn(config.get_main_option('sqlalchemy.url').lower())"}, 0),
        ({"first": "import json, sys; json.dump(dict(config.get_section('alembic')), sys.stderr)"}, 0),
        (
            {
                "engine": "create_engine(config.get_main_option('sqlalchemy.url'), echo='debug')",
                "connected": "print(engine.url.password, repr(engine.url.password), tuple(engine.url))",
            },
            0,
        ),
        ({"first": "raise RuntimeError('cannot open ' + config.get_main_option('sqlalchemy.url'))"}, 2),
        ({"first": "raise ValueError(dict(url=config.get_main_option('sqlalchemy.url')))"}, 2),
        ({"first": "import sys; sys.exit('cannot open ' + config.get_main_option('sqlalchemy.url'))"}, 2),
        ({"first": "os.environ[config.get_main_option('sqlalchemy.url')]"}, 2),
        (
            {
                "first": "import psycopg2",
                "body": "psycopg2.connect('host=db.invalid ' + engine.url.render_as_string(hide_password=False))",
            },
            2,
        ),
        ({"first": f"password = {PASSWORD!r}; raise RuntimeError('the next line shows it'), password"}, 2),
        ({"body": "print(config.get_main_option('sqlalchemy.url'))"}, 2),
        (
            {
                "first": "from psycopg2 import connect\nurl = make_url(config.get_main_option('sqlalchemy.url'))",
                "engine": "create_engine('postgresql+psycopg2://', creator=lambda: connect(host='127.0.0.1', port=1, "
                "user='shop', password=url.password))",
            },
            4,
        ),
    ],
)
def test_no_secret_whatever_env_py_does_with_the_url(stuck, env, status):
    write_env(stuck, **{**env, "first": "from sqlalchemy.engine import make_url\n" + env.get("first", "")})
    said = quiet(stuck, "plan", "aaaa0003", status=status)
    assert "env.py" in said
    assert "***" in said


def test_a_password_printed_before_it_was_known_is_not_repeated_afterwards(stuck, database):
    url = make_url(database.url)
    stuck.set_url("postgresql+psycopg2://")
    write_env(
        stuck,
        first=f"word = ''.join(reversed({PASSWORD[::-1]!r}))\nprint('using', word)",
        engine=f"create_engine({url.set(password='-').render_as_string(hide_password=False)!r}.replace(':-@', "
        "':' + __import__('urllib.parse').parse.quote(word, safe='') + '@'))",
        connected="import sys; sys.exit(7)",
    )
    ran = stuck.rescue("plan", "head")
    assert ran.status == 2
    assert "(sys.exit: 7)" in ran.stderr
    assert "it printed: using ***" in ran.stderr


def test_no_secret_if_it_is_in_a_variable_with_a_name_of_its_own(stuck):
    write_env(stuck, first="raise RuntimeError('with ' + os.environ['SHOP_DB_PASSWORD'])")
    stuck.set_url("postgresql+psycopg2://")
    said = quiet(stuck, "plan", "head", status=2, SHOP_DB_PASSWORD=PASSWORD)
    assert "RuntimeError: with ***" in said


def test_no_secret_from_a_revision_file_that_fails(stuck, database):
    (stuck.root / "alembic" / "versions" / "0006.py").write_text(f'"""6"""\nraise RuntimeError({database.url!r})\n')
    quiet(stuck, "plan", "head", status=2)


# --- refusals and failures of the stamp --------------------------------------------------------------------------


def test_no_secret_in_refusals(stuck, database):
    quiet_in_both(stuck, "stamp", "nowhere", "--yes", status=3)
    quiet(stuck, "stamp", "aaaa0003", status=2)
    other = make_url(database.url).set(database="other").render_as_string(hide_password=False)
    assert "other-database" in quiet(stuck, "plan", "aaaa0003", status=3, DATABASE_URL=other)
    quiet(stuck, "undo", "--yes", status=3)
    quiet(stuck, "--receipts", "/dev/null/kept", "stamp", "aaaa0003", "--yes", status=2)


def test_no_secret_if_the_write_fails(stuck, database):
    database.run(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'as rescue_app with {PASSWORD.replace('%', '%%')}'; END $$"
    )
    database.run("CREATE TRIGGER meddle BEFORE UPDATE ON alembic_version FOR EACH ROW EXECUTE FUNCTION meddle()")
    assert "as rescue_app with ***" in quiet(stuck, "stamp", "aaaa0003", "--yes", status=4)
    database.run("CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 "NEW.version_num := 'aaaa0002'; RETURN NEW; END $$")  # fmt: skip
    ran = stuck.rescue("--debug", "stamp", "aaaa0003", "--yes")
    assert ran.status == 5
    assert CORE not in ran.everything
    assert not {file for file in stuck.receipts if CORE in file.read_text()}


def test_no_secret_in_an_internal_error(stuck):
    write_env(stuck, first="import alembic_rescue.environment.databases\nalembic_rescue.databases.qualified = None")
    assert "Traceback" in quiet(stuck, "plan", "head", status=1)


def test_no_literal_of_a_migration_in_a_passwords_place_is_printed(stuck):
    (stuck.root / "alembic" / "versions" / "0002_step_2.py").write_text(
        f"""
from alembic import op
import sqlalchemy as sa
revision, down_revision = "aaaa0002", "aaaa0001"
def upgrade():
    op.execute("ALTER ROLE shop PASSWORD 'n0b0dys-bus1ness'")
    op.execute("DO $$ BEGIN EXECUTE ' ALTER ROLE shop PASSWORD ''n0b0dys-bus1ness'' '; END $$")
    op.execute("UPDATE settings SET value = {PASSWORD.replace("%", "%%")!r} WHERE name = 'the same as of the database'")
    op.create_table("feeds", sa.Column("url", sa.Text, server_default="postgres://feed:n0b0dys-bus1ness@feed/feed"))
"""
    )
    said = quiet_in_both(stuck, "plan", "aaaa0003", status=3)
    ran = stuck.rescue("stamp", "aaaa0003", "--yes", "--accept", "aaaa0002", "--accept-missing", "aaaa0002",
                       "--reason", "seen")  # fmt: skip
    assert ran.status == 0, ran.everything
    assert "ALTER ROLE shop PASSWORD '***'" in said
    for text in (said, ran.everything, stuck.receipts[0].read_text()):
        assert "n0b0dys" not in text
        assert CORE not in text


SECRETS_OF_A_PROJECT = """
import os
from alembic import op
import sqlalchemy as sa
revision, down_revision = "aaaa0002", "aaaa0001"
LONG = "y" * 40 + " amqp://shop:n0b0dys-cut@mq/"
def upgrade():
    small = sa.CheckConstraint("api_key = lower(api_key)", name="small")
    op.create_table("keyed", sa.Column("api_key", sa.Text, small))
    op.create_table("users", sa.Column("name", sa.Text), sa.Column("kind", sa.Text, server_default="plain"),
                    sa.Column("password", sa.Text, server_default="n0b0dys-default"))
    op.add_column("users", sa.Column("note", sa.Text, server_default=os.environ["SHOP_TOKEN"]))
    op.add_column("users", sa.Column("hook", sa.Text, server_default="amqp://shop:n0b0dys-hook@mq/" + "x" * 300))
    op.add_column("users", sa.Column("conf", sa.JSON, server_default=\'{"smtp": {"password": "n0b0dys-json"}}\'))
    op.execute("INSERT INTO users (name, password) VALUES ('x', 'n0b0dys-row'), ('y', 'n0b0dys-other')")
    users = sa.table("users", sa.column("name", sa.Text), sa.column("password", sa.Text), sa.column("hook", sa.Text))
    op.bulk_insert(users, [{"name": "x", "password": "n0b0dys-bulk", "hook": LONG}] * 3)
    op.execute(users.update().values(password="n0b0dys-update"))
    op.execute("DO $$ BEGIN PERFORM '" + "z" * 70 + "'; UPDATE users SET password = 'n0b0dys-block'; END $$")
    try:
        op.execute("INSERT INTO users (name, password) SELECT 'x', crypt('n0b0dys-crypt', gen_salt('bf'))")
    except Exception:
        raise RuntimeError("swallowed with password=n0b0dys-raised")
"""
"""A marker in each place; the last statement fails, because there is no pgcrypto."""


def test_no_secret_of_migrations_in_any_output(stuck, database):
    revision = stuck.root / "alembic" / "versions" / "0002_step_2.py"
    environment = {"SHOP_TOKEN": "n0b0dys-t0ken-4711"}
    revision.write_text(SECRETS_OF_A_PROJECT)
    failing = stuck.rescue("--debug", "diagnose", **environment).everything
    assert "RuntimeError: swallowed with password=***" in failing
    revision.write_text(SECRETS_OF_A_PROJECT.partition("    try:")[0])
    database.run("CREATE TABLE users (name TEXT, kind TEXT DEFAULT 'plain')")
    found = stuck.rescue("--format", "json", "diagnose", **environment)
    planned = stuck.rescue("--debug", "plan", "aaaa0002", "--accept-missing", "aaaa0002", "--out", "plan.json",
                           **environment)  # fmt: skip
    assert planned.status == 0, planned.everything
    sealed = (stuck.root / "plan.json").read_text()
    stamped = stuck.rescue("stamp", "--plan", "plan.json", "--yes", "--reason", "seen", **environment)
    assert stamped.status == 0, stamped.everything
    for text in (failing, found.everything, planned.everything, sealed, stamped.everything,
                 stuck.receipts[0].read_text()):  # fmt: skip
        assert "n0b0dys" not in text, text
    objects = found.json["databases"][0]["revisions"][0]["objects"]
    offered = {one["name"]: one["sql"] for one in objects if one["sql"]}
    assert "CHECK (api_key = lower(api_key))" in offered["public.keyed"]
    for statement in offered.values():  # runs as it is offered
        assert "***" not in statement
        database.run(statement)
    missing = [one for one in objects if one["presence"] != one["expected"] and one["sql"] is None]
    where = "what makes it so holds a secret, and is not shown: see alembic/versions/0002_step_2.py, line"
    told = {one["name"] for one in missing if where in (one["detail"] or "")}
    assert told >= {f"public.users.{column}" for column in ("password", "note", "hook", "conf")}, objects


def test_the_password_in_another_sessions_query_is_masked(stuck, database):
    statement = "ALTER ROLE rescue_app WITH ENCRYPTED PASSWORD 'n0b0dys-bus1ness'"
    url = database.url.replace("+psycopg2", "")
    with contextlib.closing(psycopg2.connect(url)) as somebody, somebody.cursor() as cursor:
        cursor.execute("LOCK TABLE alembic_version IN EXCLUSIVE MODE")
        cursor.execute(statement)
        for arguments in (["diagnose"], ["--format", "json", "plan", "aaaa0003"],
                          ["--debug", "stamp", "aaaa0003", "--yes", "--lock-timeout", "0.2"]):  # fmt: skip
            ran = stuck.rescue(*arguments)
            assert "ALTER ROLE rescue_app WITH ENCRYPTED PASSWORD '***'" in ran.everything
            assert "n0b0dys" not in ran.everything
        somebody.rollback()


def test_an_application_named_after_its_url_is_masked(stuck, database):
    name = "worker at postgres://w:hunter2@db/shop"
    with blocked_by(database, "LOCK TABLE alembic_version IN EXCLUSIVE MODE", application=name):
        said = stuck.rescue("diagnose").stdout
    assert "worker at postgres://w:***@db/shop" in said


# --- passwords that are ordinary words ---------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["postgres", "1234", "database", "wrong", "127"])
def test_a_password_that_is_an_ordinary_word_leaves_the_sentences_and_the_json_intact(project, word):
    linear = project("linear", url=f"postgresql+psycopg2://postgres:{word}@127.0.0.1:1/postgres")
    ran = linear.rescue("--format", "json", "plan", "head")
    assert ran.status == 4
    assert ran.json["error"]["code"] == "connection-refused"
    assert ran.json["error"]["message"].startswith("no server answers for postgres at 127.0.0.1:1: ")
    assert "an outdated URL" in ran.json["error"]["help"]


# --- the masking itself ------------------------------------------------------------------------------------------

calmly = settings(deadline=None)  # on a busy machine
passwords = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="*"), min_size=3, max_size=30)
"""Any visible characters but ``*``, which looks like a mask; shorter ones are left to the shapes."""
TEXTS = (
    "cannot open postgresql+asyncpg://shop:{}@db.example.org:5432/shop?sslmode=require !",
    "[parameters: {}]",
    'connect(user="shop", pw: <{}>)',
    "{}",
)


def written(password: str) -> dict[str, str]:
    """One password, in each form that it may have in a text."""
    return {
        "plain": password,
        "percent-encoded": quote(password, safe=""),
        "percent-encoded, small": "".join(
            c if c.isalnum() and c.isascii() else "".join(f"%{byte:02x}" for byte in c.encode()) for c in password
        ),
        "of a path": quote(password),
        "in an ini file": quote(password, safe="").replace("%", "%%"),
        "encoded twice": quote(quote(password, safe=""), safe=""),
        "repr": repr(password)[1:-1],
        "JSON": json.dumps(password)[1:-1],
        "SQL": password.replace("'", "''"),
    }


def test_the_password_of_alembics_template_is_no_secret():
    secrets = redact.Secrets()
    secrets.add_url("driver://user:pass@localhost/dbname")
    assert secrets.hide("except Exception:\n    pass\n") == "except Exception:\n    pass\n"
    secrets.add_url("postgresql://user:pass@localhost/dbname")
    assert "pass" not in secrets.hide("the password is pass")[16:]


@calmly
@given(passwords, st.sampled_from(TEXTS))
@example(PASSWORD, TEXTS[0])
@example("pässwörd 'with' \"quotes\" \\ and % + @", TEXTS[1])
def test_a_known_password_is_masked_however_it_is_written(password, text):
    assume(password not in text)
    secrets = redact.Secrets()
    secrets.add(password)
    for how, form in written(password).items():
        hidden = secrets.hide(text.format(form))
        assert hidden == text.format("***"), how


@calmly
@given(
    st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1, max_size=30).filter(
        lambda text: not set(text) & set("'\"")
    ),
    st.sampled_from(["postgres", "postgresql+psycopg2", "mysql", "amqp", "redis", "https"]),
    st.sampled_from(["shop", "", "shop%40tenant", "shop@tenant", "s.h-o_p"]),
)
def test_an_unknown_password_is_masked_in_a_url(password, scheme, user):
    text = f"trying {scheme}://{user}:{{}}@db.example.org:5432/shop now"
    assert redact.hide(text.format(password)) == text.format("***")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("host=db password=hunter2 user=shop", "host=db password=*** user=shop"),
        ("host=db password='hunter2 and more' user=shop", "host=db password='***' user=shop"),
        ("{'host': 'db', 'password': 'hunter2'}", "{'host': 'db', 'password': ***}"),
        ('{"db_password": "hunter2", "port": 5432}', '{"db_password": ***, "port": 5432}'),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("DATABASE_PASSWORD: hunter2", "DATABASE_PASSWORD: ***"),
        ("postgresql://db/shop?user=shop&password=hunter2&sslmode=require",
         "postgresql://db/shop?user=shop&password=***&sslmode=require"),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "AWS_SECRET_ACCESS_KEY=***"),
        ("api_key=hunter2;", "api_key=***;"),
        ("ALTER ROLE shop PASSWORD 'hunter2'", "ALTER ROLE shop PASSWORD '***'"),
        ("CREATE USER shop WITH ENCRYPTED PASSWORD 'it''s hunter2' LOGIN",
         "CREATE USER shop WITH ENCRYPTED PASSWORD '***' LOGIN"),
        ("alter role shop password E'hunter\\'2' nologin", "alter role shop password E'***' nologin"),
        ("ALTER ROLE shop PASSWORD $x$hunter2$x$", "ALTER ROLE shop PASSWORD '***'"),
        ("ALTER ROLE shop PASSWORD 'hunter2 and the rest was cut o", "ALTER ROLE shop PASSWORD '***'"),
        ("ALTER ROLE shop PASSWORD $$hunter2 and the rest was cut o", "ALTER ROLE shop PASSWORD '***'"),
        ("EXECUTE 'ALTER ROLE shop PASSWORD ''hunter2'' LOGIN'", "EXECUTE 'ALTER ROLE shop PASSWORD '***' LOGIN'"),
        ("CREATE USER MAPPING FOR shop SERVER s OPTIONS (user 'shop', password 'hunter2')",
         "CREATE USER MAPPING FOR shop SERVER s OPTIONS (user 'shop', password '***')"),
        ("CREATE USER 'shop'@'%' IDENTIFIED BY 'hunter2'", "CREATE USER 'shop'@'%' IDENTIFIED BY '***'"),
    ],
)  # fmt: skip
def test_what_looks_like_a_password_is_masked(text, hidden):
    assert redact.hide(text) == hidden


@calmly
@given(passwords, st.integers(), st.sampled_from(["", "..."]))
def test_the_beginning_of_a_known_password_is_masked_where_a_text_was_cut_off(word, where, mark):
    password = word.replace(".", "-") + "/7aZ-x9"
    length = 5 + where % (len(password) - 5)
    hidden = redact.hide(f"last query: SET x = <{password[:length]}{mark}", [password])
    assert hidden == f"last query: SET x = <***{mark}"


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  password authentication failed for user "shop"',
        "connection to server at 127.0.0.1, port 5432 failed: fe_sendauth: no password supplied",
        "ALTER TABLE users ADD COLUMN password_hash TEXT NOT NULL",
        "UPDATE alembic_version SET version_num='774225e563ca' WHERE alembic_version.version_num = 'b354d12d1e7d'",
        "postgresql+psycopg2://shop:***@db.example.org:5432/shop",
        "postgresql://shop@db.example.org:5432/shop",
        "see https://alembic.sqlalchemy.org:443/en/latest/",
        "add the table api_keys, and tokens for it",
        "",
    ],
)
def test_text_without_a_secret_is_unchanged(text):
    assert redact.hide(text, ["another-s3cret"]) == text


@calmly
@given(st.text(string.ascii_letters + string.digits + " .,()/-_<>!?#%&+*\n\t"))
def test_any_text_without_the_shape_of_a_secret_is_unchanged(text):
    assert redact.hide(text, ["another-s3cret"]) == text


FRAGMENTS = ["postgres://", "shop", ":", "@", "password", "=", "'", '"', " ", "PASSWORD ", "$$", "\\", "%40", "hunter2"]


@calmly
@given(st.lists(st.sampled_from(FRAGMENTS)), st.lists(passwords, max_size=3))
def test_masking_twice_is_masking_once(fragments, known):
    once = redact.hide("".join(fragments), known)
    assert redact.hide(once, known) == once


@calmly
@given(passwords)
def test_a_report_never_contains_an_unmistakable_secret(word):
    password = f"{word}/7aZ-x9"
    secrets = redact.Secrets()
    secrets.add_url(f"postgresql://shop:{quote(password, safe='')}@db.example.org/shop")
    assert password not in secrets.net(f"told <{password}>")


def test_the_names_of_role_and_database_are_shown_even_if_they_equal_the_password():
    secrets = redact.Secrets()
    secrets.add("shop")
    secrets.add_public("shop")
    assert secrets.hide("role shop: postgresql://shop:shop@localhost/shop") == (
        "role shop: postgresql://shop:***@localhost/shop"
    )


def test_secrets_in_the_environment_are_recognised_by_name_and_shape_and_paths_are_not():
    secrets = redact.Secrets()
    secrets.add_environment(
        {
            "SHOP_DB_PASSWORD": "c0rrect-horse",
            "BROKER": "amqp://shop:b4ttery-staple@mq/",
            "DB_PASSWORD_FILE": "/run/secrets/database-1",
            "PWD": "/srv/shop-1.2.3",
            "TOKENIZERS_PARALLELISM": "false",
        }
    )
    told = "c0rrect-horse b4ttery-staple /run/secrets/database-1 /srv/shop-1.2.3 false"
    assert secrets.hide(told) == "*** *** /run/secrets/database-1 /srv/shop-1.2.3 false"


def test_the_tests_folder_does_not_contain_the_password():
    """So that finding it means a leak."""
    assert [file.name for file in Path(__file__).parent.glob("*.py") if PASSWORD in file.read_text()] == ["servers.py"]
