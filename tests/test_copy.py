"""Copies of a live database's schema on a scratch server: everything that exists, and no way out."""

import base64
import contextlib
import os
import ssl
import threading
import time
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql as pgsql

from alembic_rescue.dialects.postgresql import copy, libpq
from alembic_rescue.dialects.postgresql.copy import Dump
from alembic_rescue.dialects.scratch import Copy, Lack, ScratchServer, Unavailable
from alembic_rescue.scratch.server import provided
from tests import servers
from tests.conftest import Database

SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0);
CREATE SEQUENCE app.numbers START 5;
CREATE TABLE app.users (id serial PRIMARY KEY, mood app.mood DEFAULT 'ok', size app.positive, "odd ""name" text);
CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY, owner integer REFERENCES app.users, note text);
CREATE TABLE public.parts (day date, what text) PARTITION BY RANGE (day);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE UNIQUE INDEX orders_day ON public.orders (lower(note)) WHERE owner IS NOT NULL;
CREATE VIEW public.happy AS SELECT * FROM app.users WHERE mood = 'ok';
CREATE MATERIALIZED VIEW public.counted AS SELECT count(*) AS n FROM app.users;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON app.users USING (id > 0);
COMMENT ON TABLE app.users IS 'people';
CREATE TABLE public.alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);
INSERT INTO public.alembic_version VALUES ('r9');
INSERT INTO app.users (mood) VALUES ('sad');
"""
VERSIONS = {"public.alembic_version": ["r1"]}


@pytest.fixture(scope="module")
def scratch():
    with provided("local", "postgresql", "18", lambda _: None) as server:
        yield server


@pytest.fixture
def live(database: Database) -> Database:
    database.run(SCHEMA)
    return database


def connect(database: Database, role: str = servers.ROLE) -> dict[str, str]:
    said = {"host": "127.0.0.1", "port": str(database.server.port), "dbname": database.name, "user": role}
    return {**said, "password": servers.PASSWORD}


def as_superuser(database: Database) -> dict[str, str]:
    return libpq.of_url(
        f"postgresql://postgres@/{database.name}?host={database.server.pgdata}&port={database.server.port}"
    )


def dumped(connect: dict[str, str], scratch: ScratchServer, lock_timeout: float = 2.0) -> Dump:
    found = copy.dump(connect, scratch.programs, lock_timeout)
    assert isinstance(found, Dump), found
    return found


def restored(dump: Dump, scratch: ScratchServer, name: str, versions=VERSIONS) -> Copy:
    made = copy.restore(scratch.admin_url, scratch.programs, dump, name, versions)
    assert isinstance(made, Copy), made
    return made


def ask(scratch: ScratchServer, name: str, query: str):
    with contextlib.closing(psycopg2.connect(**libpq.of_url(scratch.admin_url, name))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def role(database: Database, name: str, words: str = "LOGIN"):
    """A role for one test, with the tests' password."""
    with contextlib.closing(psycopg2.connect(database.server.admin_dsn)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            statement = pgsql.SQL("CREATE ROLE {} {} PASSWORD {}")
            cursor.execute(statement.format(pgsql.Identifier(name), pgsql.SQL(words), pgsql.Literal(servers.PASSWORD)))
            try:
                yield
            finally:
                for one in (database.name, "postgres"):
                    with contextlib.closing(
                        psycopg2.connect(
                            host=database.server.pgdata, port=database.server.port, user="postgres", dbname=one
                        )
                    ) as there:
                        there.autocommit = True
                        with there.cursor() as dropping:
                            dropping.execute(pgsql.SQL("DROP OWNED BY {} CASCADE").format(pgsql.Identifier(name)))
                cursor.execute(pgsql.SQL("DROP ROLE {}").format(pgsql.Identifier(name)))


def test_an_invalid_index_is_invalid_on_the_copy(live, scratch):
    live.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_day'::regclass", role="postgres")
    made = restored(dumped(connect(live), scratch), scratch, "invalid")
    assert made.lacks == ()
    query = "SELECT indisvalid, indisready FROM pg_index WHERE indexrelid = 'public.orders_day'::regclass"
    assert ask(scratch, "invalid", query) == [(False, True)]


def test_a_copy_has_the_same_schema_and_only_the_version_rows(live, scratch):
    made = restored(dumped(connect(live), scratch), scratch, "whole")
    assert made == Copy("whole")
    again = dumped(libpq.of_url(scratch.admin_url, "whole"), scratch)
    assert entries(again, scratch) == entries(dumped(connect(live), scratch), scratch)
    assert ask(scratch, "whole", "SELECT * FROM public.alembic_version") == [("r1",)]
    assert ask(scratch, "whole", "SELECT count(*) FROM app.users") == [(0,)]
    assert ask(scratch, "whole", "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'orders'") == [
        (servers.ROLE,)
    ]


def entries(dump: Dump, scratch: ScratchServer) -> list[str]:
    """Return the dump as SQL, without what differs from dump to dump."""
    done = libpq.run(scratch.programs / "pg_restore", ["-f", "-"], {}, 60, base64.b64decode(dump.archive))
    return [line for line in done.stdout.decode().splitlines() if not line.startswith(("--", "\\"))]


def test_the_role_has_the_same_rights_there_as_here(live, scratch):
    restored(dumped(connect(live), scratch), scratch, "allowed")
    ask(
        scratch,
        "allowed",
        f"SET ROLE {servers.ROLE}; CREATE TABLE public.x (); CREATE SCHEMA y; DROP TABLE app.users CASCADE",
    )
    assert ask(scratch, "allowed", f"SELECT rolsuper FROM pg_roles WHERE rolname = '{servers.ROLE}'") == [(False,)]


def test_a_copy_replaces_one_with_its_name(live, scratch):
    dump = dumped(connect(live), scratch)
    restored(dump, scratch, "again")
    ask(scratch, "again", "DROP TABLE public.orders")
    restored(dump, scratch, "again")
    assert ask(scratch, "again", "SELECT to_regclass('public.orders') IS NOT NULL") == [(True,)]


def test_settings_of_the_database_and_the_role_are_copied(live, scratch):
    live.run(f"ALTER DATABASE {live.name} SET search_path TO app, public")
    live.run(f"ALTER DATABASE {live.name} SET timezone TO 'Asia/Tokyo'")
    live.run(f"ALTER ROLE {servers.ROLE} IN DATABASE {live.name} SET timezone TO 'Europe/Oslo'", role="postgres")
    live.run(f"ALTER DATABASE {live.name} SET app.tenant TO 'it''s'", role="postgres")
    assert restored(dumped(connect(live), scratch), scratch, "settings").lacks == ()
    assert ask(scratch, "settings", "SHOW search_path") == [("app, public",)]
    assert ask(scratch, "settings", "SHOW timezone") == [("Europe/Oslo",)]
    assert ask(scratch, "settings", "SHOW app.tenant") == [("it's",)]


def test_owners_and_grantees_are_created_first_and_none_is_a_superuser(live, scratch):
    with role(live, "copy boss", "SUPERUSER LOGIN"), role(live, 'copy"reader', "NOLOGIN"):
        live.run('ALTER VIEW public.happy OWNER TO "copy boss"', role="postgres")
        live.run('GRANT SELECT ON public.orders TO "copy""reader"')
        live.run(f'GRANT "copy""reader" TO {servers.ROLE}', role="postgres")
        made = restored(dumped(as_superuser(live), scratch), scratch, "roles")
    assert made.lacks == ()
    assert ask(scratch, "roles", "SELECT rolsuper FROM pg_roles WHERE rolname ~ 'copy'") == [(False,), (False,)]
    assert ask(scratch, "roles", "SELECT has_table_privilege('copy\"reader', 'public.orders', 'SELECT')") == [(True,)]
    assert ask(scratch, "roles", f"SELECT pg_has_role('{servers.ROLE}', 'copy\"reader', 'MEMBER')") == [(True,)]


def test_nothing_that_leads_elsewhere_is_copied(live, scratch):
    live.run(
        "CREATE FOREIGN DATA WRAPPER away; CREATE SERVER prod FOREIGN DATA WRAPPER away OPTIONS (host 'prod.internal');"
        "CREATE USER MAPPING FOR PUBLIC SERVER prod OPTIONS (password 'of-prod');"
        "CREATE FOREIGN TABLE public.there (id integer) SERVER prod;"
        "CREATE PUBLICATION changes FOR TABLE public.orders;",
        role="postgres",
    )
    live.run(
        "CREATE SUBSCRIPTION far CONNECTION 'host=prod.internal password=of-prod' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE)",
        role="postgres",
    )
    try:
        made = restored(dumped(as_superuser(live), scratch), scratch, "closed")
    finally:
        live.run("DROP SUBSCRIPTION far", role="postgres")
    assert made.lacks == ()
    assert ask(scratch, "closed", "SELECT srvname, srvoptions FROM pg_foreign_server") == [("prod", None)]
    assert ask(scratch, "closed", "SELECT fdwhandler::text FROM pg_foreign_data_wrapper") == [("0",)]
    assert ask(scratch, "closed", "SELECT count(*) FROM pg_user_mapping") == [(0,)]
    assert ask(scratch, "closed", "SELECT count(*) FROM pg_subscription") == [(0,)]
    assert ask(scratch, "closed", "SELECT pubname FROM pg_publication") == [("changes",)]
    assert ask(scratch, "closed", "SELECT relkind FROM pg_class WHERE relname = 'there'") == [("f",)]


def test_what_the_role_cannot_read_is_left_out_and_reported(live, scratch):
    live.run(
        'CREATE SCHEMA hidden; CREATE TABLE hidden.x (); CREATE TABLE public."Secret ""t" (id integer PRIMARY KEY)',
        role="postgres",
    )
    made = restored(dumped(connect(live), scratch), scratch, "plain")
    told = {lack.what: lack.reason for lack in made.lacks}
    assert told == dict.fromkeys(["hidden", 'public."Secret ""t"'], "the role may not read it")
    assert ask(scratch, "plain", "SELECT count(*) FROM pg_class WHERE relname IN ('orders', 'Secret \"t')") == [(1,)]


def test_what_depends_on_something_unreadable_is_reported_too(live, scratch):
    live.run(
        "CREATE TABLE public.away (id integer PRIMARY KEY); GRANT REFERENCES ON public.away TO PUBLIC", role="postgres"
    )
    live.run("ALTER TABLE public.orders ADD CONSTRAINT to_away FOREIGN KEY (owner) REFERENCES public.away")
    made = restored(dumped(connect(live), scratch), scratch, "follows")
    assert made.lacks[0] == Lack("public.away", "the role may not read it")
    what = "ALTER TABLE ONLY public.orders ADD CONSTRAINT to_away FOREIGN KEY (owner) REFERENCES public.away(id);"
    assert made.lacks[1:] == (Lack(what, 'relation "public.away" does not exist'),)


def test_a_locked_table_and_its_views_are_left_out_and_the_holder_is_named(live, scratch):
    with live.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE app.users IN ACCESS EXCLUSIVE MODE; SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
        started = time.monotonic()
        dump = dumped(connect(live), scratch, lock_timeout=0.3)
        assert time.monotonic() - started < 5
    held = f"locked by the server's process {pid}"
    assert {lack.what: lack.reason for lack in dump.left_out} == dict.fromkeys(
        ["app.users", "app.users_id_seq", "public.happy", "public.counted"], held
    )
    made = restored(dump, scratch, "locked")
    assert ask(scratch, "locked", "SELECT to_regclass('public.orders') IS NOT NULL") == [(True,)]
    assert {lack.what for lack in dump.left_out} <= {lack.what for lack in made.lacks}


def test_the_password_is_in_no_process_list(live, scratch):
    with live.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE app.users IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=copy.dump, args=(connect(live), scratch.programs, 0.3, 5.0))
        thread.start()
        seen = set()
        while thread.is_alive():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if b"pg_dump" in (line := path.read_bytes()):
                        seen.add(line)
        thread.join()
    assert seen
    assert not any(servers.PASSWORD.encode() in line for line in seen)


def test_an_extension_that_the_scratch_server_lacks_is_reported(live, scratch):
    dump = dumped(connect(live), scratch)
    broken = Dump(**{**vars(dump), "settings": ("CREATE EXTENSION no_such_extension",)})
    (lack,) = restored(broken, scratch, "extension").lacks
    assert "no_such_extension" in lack.reason


def test_a_collation_that_the_scratch_server_lacks_is_reported(live, scratch):
    dump = dumped(connect(live), scratch)
    other = Dump(**{**vars(dump), "database": "LC_COLLATE 'xx_XX' LC_CTYPE 'xx_XX'"})
    (lack,) = restored(other, scratch, "collation").lacks
    assert "xx_XX" in lack.reason


def test_a_baseline_is_loaded_as_the_role_and_a_failure_is_reported(live, scratch, tmp_path):
    restored(dumped(connect(live), scratch), scratch, "based", {})
    file = tmp_path / "before.sql"
    file.write_text("CREATE TABLE public.before (id int);\nCREATE EXTENSION none;\nINSERT INTO before VALUES (1);\n")
    failed = copy.baseline(scratch.admin_url, scratch.programs, file, "based", servers.ROLE)
    assert failed == (Lack(f"{file}:2", 'extension "none" is not available'),)
    owner = "SELECT pg_get_userbyid(relowner), (SELECT count(*) FROM before) FROM pg_class WHERE relname = 'before'"
    assert ask(scratch, "based", owner) == [(servers.ROLE, 1)]
    missing = copy.baseline(scratch.admin_url, scratch.programs, tmp_path / "none.sql", "based", servers.ROLE)
    assert isinstance(missing, Unavailable)
    assert "none.sql" in missing.reason


def test_without_the_programs_there_is_no_copy(live, scratch):
    assert isinstance(copy.dump(connect(live), None, 1.0), Unavailable)
    assert isinstance(copy.dump(connect(live), Path("/nowhere"), 1.0), Unavailable)
    assert isinstance(copy.restore(scratch.admin_url, None, dumped(connect(live), scratch), "x", {}), Unavailable)


def test_a_server_that_refuses_is_reported(live, scratch):
    made = copy.dump({**connect(live), "password": "wrong"}, scratch.programs, 1.0)
    assert isinstance(made, Unavailable)
    assert "password authentication failed" in made.reason


def test_a_dump_that_takes_too_long_is_ended(live, scratch):
    with live.session() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE app.users IN ACCESS EXCLUSIVE MODE")
        made = copy.dump(connect(live), scratch.programs, lock_timeout=60, seconds=1.0)
    assert isinstance(made, Unavailable)
    assert live.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'") == [(0,)]
    assert "1 seconds" in made.reason


def test_preparing_a_copy_writes_nothing(live, scratch):
    query = "SELECT xact_commit >= 0, tup_inserted, tup_updated, tup_deleted FROM pg_stat_database WHERE datname = %s"
    query = query.replace("%s", f"'{live.name}'")
    before = live.run(query)
    dumped(connect(live), scratch)
    assert live.run(query) == before


def test_the_environment_cannot_redirect_the_programs(monkeypatch):
    monkeypatch.setenv("PGSERVICE", "prod")
    monkeypatch.setenv("PGHOST", "prod.internal")
    told = libpq.environment({"port": "1"})
    assert {name for name in told if name.startswith("PG")} == {"PGPORT", "PGAPPNAME", "PGCLIENTENCODING"}
    assert told["PATH"] == os.environ["PATH"]


def test_a_keys_password_cannot_be_passed_to_a_program():
    with pytest.raises(libpq.UntoldError):
        libpq.environment({"sslpassword": "x"})


def test_urls_are_read_as_libpq_reads_them():
    assert libpq.of_url("postgresql://a%40b:p%2F@h:1/d?sslmode=require&host=/s", "e") == {
        "sslmode": "require",
        "host": "h",
        "port": "1",
        "user": "a@b",
        "password": "p/",
        "dbname": "e",
    }
    assert libpq.of_url("postgresql://postgres@/postgres?host=/s&port=2") == {
        "host": "/s",
        "port": "2",
        "user": "postgres",
        "dbname": "postgres",
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "h", "port": 1, "dbname": "d", "user": "u", "password": "p"}, {"dbname": "d", "port": "1"}),
        ({"host": "h", "database": "d"}, {"dbname": "d"}),
        ({"unix_sock": "/s/.s.PGSQL.5432", "user": "u"}, {"host": "/s"}),
        ({"ssl": "verify-full"}, {"sslmode": "verify-full"}),
        ({"ssl": ssl.create_default_context()}, {"sslmode": "verify-full", "sslrootcert": "system"}),
        ({"ssl": True, "timeout": 3, "server_settings": {"a": "b"}}, {"sslmode": "require"}),
    ],
)
def test_driver_arguments_are_translated_for_libpq(given, told):
    assert told.items() <= libpq.of_driver(given).items()


def test_a_password_from_a_function_cannot_be_passed_on():
    with pytest.raises(libpq.UntoldError):
        libpq.of_driver({"host": "h", "password": lambda: "x"})
