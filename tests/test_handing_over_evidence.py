"""What the files for bash and psql check about the proved objects: each kind is broken once."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from alembic_rescue.dialects.handover import Standing
from alembic_rescue.dialects.postgresql import standing
from tests import servers
from tests.conftest import fresh_database, server_of
from tests.handing_over import FORMS, NEW, OLD, PSQLS, SCRIPTS, Host, handed_over, of_debian

# --- the evidence ------------------------------------------------------------------------------------------------

BASE = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE SCHEMA more;
CREATE SEQUENCE numbers;
CREATE TABLE users (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', other text COLLATE "C");
CREATE INDEX ix_name ON users (name);
ALTER TABLE users ADD CONSTRAINT ck CHECK (id > 0);
CREATE VIEW names AS SELECT name FROM users;
CREATE MATERIALIZED VIEW kept AS SELECT name FROM users;
CREATE FUNCTION double(x int) RETURNS int LANGUAGE sql AS 'SELECT x * 2';
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE POLICY own ON users USING (name = current_user);
CREATE RULE quiet AS ON INSERT TO names DO INSTEAD NOTHING;
CREATE RULE silent AS ON DELETE TO users DO ALSO NOTHING;
CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, of int REFERENCES counted);
CREATE TYPE span AS RANGE (subtype = int);
CREATE STATISTICS together ON id, name FROM users;
CREATE COLLATION simple FROM "C";
CREATE TEXT SEARCH CONFIGURATION plain (PARSER = default);
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple);
CREATE OPERATOR ==> (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int);
CREATE CAST (mood AS int) WITH INOUT;
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
ALTER DEFAULT PRIVILEGES IN SCHEMA more GRANT SELECT ON TABLES TO PUBLIC;
CREATE PUBLICATION told FOR TABLE users;
"""
BROKEN = [
    ("table", "public.users", "DROP TABLE users CASCADE"),
    ("table", "public.users", "ALTER TABLE users ENABLE ROW LEVEL SECURITY"),
    ("table", "public.users", "ALTER TABLE users SET UNLOGGED"),
    ("table", "public.users", "GRANT SELECT ON users TO PUBLIC"),
    ("table", "public.users", "COMMENT ON TABLE users IS 'no more'"),
    ("table", "public.part1", "ALTER TABLE parts DETACH PARTITION part1"),
    ("column", "public.users.name", "ALTER TABLE users DROP name CASCADE"),
    ("column", "public.users.name", "ALTER TABLE users ALTER name DROP NOT NULL"),
    ("column", "public.users.name", "ALTER TABLE users ALTER name DROP DEFAULT"),
    ("column", "public.users.name", "ALTER TABLE users RENAME name TO called"),
    ("column", "public.users.other", "ALTER TABLE users ALTER other TYPE varchar(40)"),
    ("column", "public.users.other", 'ALTER TABLE users ALTER other TYPE text COLLATE "POSIX"'),
    ("attribute", "public.pair.b", "ALTER TYPE pair DROP ATTRIBUTE b"),
    ("index", "public.ix_name", "DROP INDEX ix_name"),
    ("index", "public.ix_name", "DROP INDEX ix_name; CREATE INDEX ix_name ON users (name, id)"),
    ("index", "public.ix_name", "ALTER TABLE users CLUSTER ON ix_name"),
    ("column", "public.users.other", "ALTER TABLE users ALTER other SET (n_distinct = 5)"),
    ("constraint", "ck on public.users", "ALTER TABLE users DROP CONSTRAINT ck"),
    (
        "constraint",
        "ck on public.users",
        "ALTER TABLE users DROP CONSTRAINT ck; ALTER TABLE users ADD CONSTRAINT ck CHECK (id > 1)",
    ),
    ("constraint", "above on public.positive", "ALTER DOMAIN positive DROP CONSTRAINT above"),
    ("enum", "public.mood", "DROP TYPE mood CASCADE"),
    ("enum", "public.mood", "ALTER TYPE mood ADD VALUE 'glad'"),
    ("enum-label", "public.mood.ok", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"),
    ("type", "public.positive", "ALTER DOMAIN positive SET NOT NULL"),
    ("sequence", "public.numbers", "ALTER SEQUENCE numbers INCREMENT 2"),
    ("view", "public.names", "CREATE OR REPLACE VIEW names AS SELECT name FROM users WHERE id > 1"),
    ("materialized-view", "public.kept", "DROP MATERIALIZED VIEW kept"),
    (
        "function",
        "public.double(integer)",
        "CREATE OR REPLACE FUNCTION double(x int) RETURNS int LANGUAGE sql AS 'SELECT 3 * x'",
    ),
    ("procedure", "public.nothing()", "DROP PROCEDURE nothing"),
    ("aggregate", "public.total(integer)", "DROP AGGREGATE total(int)"),
    ("trigger", "touched on public.users", "DROP TRIGGER touched ON users"),
    ("trigger", "touched on public.users", "ALTER TABLE users DISABLE TRIGGER touched"),
    ("policy", "own on public.users", "ALTER POLICY own ON users USING (true)"),
    ("rule", "quiet on public.names", "DROP RULE quiet ON names"),
    ("statistics-object", "public.together", "DROP STATISTICS together"),
    ("schema", "more", "DROP SCHEMA more"),
    ("collation", "public.simple", "DROP COLLATION simple"),
    ("text-search-configuration", "public.plain", "DROP TEXT SEARCH CONFIGURATION plain"),
    ("text-search-dictionary", "public.words", "DROP TEXT SEARCH DICTIONARY words"),
    ("operator", "public.==>(integer,integer)", "DROP OPERATOR ==> (int, int)"),
    ("cast", "(public.mood AS integer)", "DROP CAST (mood AS int)"),
    (
        "default-acl",
        "for role rescue_app in schema more on tables",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA more GRANT INSERT ON TABLES TO PUBLIC",
    ),
    ("publication", "told", "DROP PUBLICATION told"),
    ("publication-relation", "public.users in publication told", "ALTER PUBLICATION told DROP TABLE users"),
    ("sequence", "public.numbers", "ALTER SEQUENCE numbers CYCLE"),
    ("sequence", "public.numbers", "ALTER SEQUENCE numbers CACHE 5"),
    ("sequence", "public.numbers", "ALTER SEQUENCE numbers OWNED BY users.id"),
    ("sequence", "public.counted_id_seq", "ALTER TABLE counted ALTER id SET INCREMENT 3"),
    ("column", "public.counted.id", "ALTER TABLE counted ALTER id SET INCREMENT 3"),
    ("column", "public.counted.id", "ALTER TABLE counted ALTER id SET GENERATED BY DEFAULT"),
    (
        "text-search-configuration",
        "public.plain",
        "ALTER TEXT SEARCH CONFIGURATION plain ADD MAPPING FOR word WITH words",
    ),
    ("text-search-dictionary", "public.words", "ALTER TEXT SEARCH DICTIONARY words (accept = false)"),
    ("publication", "told", "ALTER PUBLICATION told SET (publish_via_partition_root)"),
    (
        "publication-relation",
        "public.users in publication told",
        "ALTER PUBLICATION told SET TABLE users WHERE (id > 1)",
    ),
    ("publication-relation", "public.users in publication told", "ALTER PUBLICATION told SET TABLE users (id)"),
    ("rule", "silent on public.users", "ALTER TABLE users DISABLE RULE silent"),
    ("table", "public.users", "ALTER TABLE users REPLICA IDENTITY FULL"),
    ("index", "public.users_pkey", "ALTER TABLE users REPLICA IDENTITY USING INDEX users_pkey"),
    ("table", "public.users", "ALTER TABLE users SET (toast.autovacuum_enabled = false)"),
    ("type", "public.span", "DROP TYPE span; CREATE TYPE span AS RANGE (subtype = bigint)"),
    (
        "operator",
        "public.==>(integer,integer)",
        "DROP OPERATOR ==> (int, int); CREATE OPERATOR ==> (FUNCTION = int4mi, LEFTARG = int, RIGHTARG = int)",
    ),
    (
        "aggregate",
        "public.total(integer)",
        "DROP AGGREGATE total(int); CREATE AGGREGATE total(int) (sfunc = int4mi, stype = int)",
    ),
    ("cast", "(public.mood AS integer)", "DROP CAST (mood AS int); CREATE CAST (mood AS int) WITH INOUT AS ASSIGNMENT"),
    ("policy", "own on public.users", "COMMENT ON POLICY own ON users IS 'theirs'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "broken"), BROKEN, ids=[f"{k}: {b[:40]}" for k, _, b in BROKEN])
def test_it_refuses_once_an_object_is_gone_or_changed(host, kind, name, broken):
    host.database.run(BASE.replace("CREATE PUBLICATION told FOR TABLE users;", ""))
    if "ublication" in kind:
        host.database.run(f"GRANT CREATE ON DATABASE {host.database.name} TO {servers.ROLE}", role="postgres")
        host.database.run("CREATE PUBLICATION told FOR TABLE users")
    made = handed_over(host.database, [OLD], [NEW], [name])
    there = tuple(one for one in made.there if one[:2] == (kind, name))
    assert len(there) == 1, made.there
    host.write("bash", replace(made, there=there))
    assert host.bash("--dry-run").status == 0

    for statement in broken.split("; "):
        host.database.run(statement)
    refused = host.bash("--dry-run")
    assert refused.status == 3, refused.everything
    assert f"What was proved does not hold any more: {kind} {name} is not " in refused.stderr


def test_each_kind_that_it_can_check_was_broken():
    needs_c = {"transform"}
    assert {kind for kind, *_ in (*BROKEN, *AS_SUPERUSER)} | needs_c == standing.KINDS


AS_SUPERUSER = [
    (
        "operator-family",
        "public.family USING btree",
        "CREATE OPERATOR FAMILY family USING btree",
        "DROP OPERATOR FAMILY family USING btree",
    ),
    ("access-method", "mine", "CREATE ACCESS METHOD mine TYPE INDEX HANDLER bthandler", "DROP ACCESS METHOD mine"),
    (
        "event-trigger",
        "seen",
        (
            "CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
            "CREATE EVENT TRIGGER seen ON sql_drop EXECUTE FUNCTION see()"
        ),
        "DROP EVENT TRIGGER seen",
    ),
    ("foreign-data-wrapper", "far", "CREATE FOREIGN DATA WRAPPER far", "DROP FOREIGN DATA WRAPPER far"),
    (
        "server",
        "away",
        "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far",
        "DROP SERVER away",
    ),
    (
        "foreign-table",
        "public.there",
        (
            "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER away FOREIGN DATA WRAPPER far;"
            "CREATE FOREIGN TABLE there (id int) SERVER away"
        ),
        "DROP FOREIGN TABLE there",
    ),
    (
        "conversion",
        "public.conv",
        "CREATE CONVERSION conv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
        "DROP CONVERSION conv",
    ),
    (
        "operator-class",
        "public.cls USING btree",
        "CREATE OPERATOR CLASS cls FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int)",
        "DROP OPERATOR CLASS cls USING btree",
    ),
    (
        "text-search-parser",
        "public.prs",
        (
            "CREATE TEXT SEARCH PARSER prs (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,"
            " LEXTYPES = prsd_lextype)"
        ),
        "DROP TEXT SEARCH PARSER prs",
    ),
    (
        "text-search-template",
        "public.tmpl",
        "CREATE TEXT SEARCH TEMPLATE tmpl (LEXIZE = dsimple_lexize)",
        "DROP TEXT SEARCH TEMPLATE tmpl",
    ),
    ("language", "lang", "CREATE LANGUAGE lang HANDLER plpgsql_call_handler", "DROP LANGUAGE lang"),
    ("extension", "vector", "CREATE EXTENSION vector", "DROP EXTENSION vector"),
]


@pytest.mark.parametrize(("kind", "name", "made", "broken"), AS_SUPERUSER, ids=[kind for kind, *_ in AS_SUPERUSER])
def test_objects_that_only_a_superuser_creates_are_checked_too(host, kind, name, made, broken):
    for statement in made.split(";"):
        host.database.run(statement, role="postgres")
    over = handed_over(host.database, [OLD], [NEW], [name])
    there = tuple(one for one in over.there if one[:2] == (kind, name))
    assert len(there) == 1, over.there
    host.write("bash", replace(over, there=there))
    assert host.bash("--dry-run").status == 0
    host.database.run(broken, role="postgres")
    refused = host.bash("--dry-run")
    assert refused.status == 3, refused.everything
    assert f"{kind} {name} is not there any more" in refused.stderr


CHANGED_BY_SUPERUSER = [
    ("language", "ALTER LANGUAGE lang OWNER TO rescue_app", "lanowner"),
    ("server", "ALTER SERVER away OPTIONS (ADD host 'elsewhere')", "srvoptions"),
    ("foreign-table", "ALTER FOREIGN TABLE there OPTIONS (ADD path 'elsewhere')", "foreign options"),
    ("foreign-data-wrapper", "ALTER FOREIGN DATA WRAPPER far OPTIONS (ADD debug 'on')", "fdwoptions"),
    ("event-trigger", "ALTER EVENT TRIGGER seen DISABLE", "evtenabled"),
    ("extension", "ALTER EXTENSION vector SET SCHEMA pg_catalog", "extnamespace"),
    ("operator-class", "ALTER OPERATOR CLASS cls USING btree OWNER TO rescue_app", "opcowner"),
]


@pytest.mark.parametrize(("kind", "changed", "fact"), CHANGED_BY_SUPERUSER, ids=[k for k, *_ in CHANGED_BY_SUPERUSER])
def test_changes_that_only_a_superuser_makes_are_seen_too(host, kind, changed, fact):
    ((_, name, made, _),) = (one for one in AS_SUPERUSER if one[0] == kind)
    for statement in made.split(";"):
        host.database.run(statement, role="postgres")
    over = handed_over(host.database, [OLD], [NEW], [name])
    host.write("bash", replace(over, there=tuple(one for one in over.there if one[:2] == (kind, name))))
    assert host.bash("--dry-run").status == 0
    host.database.run(changed, role="postgres")
    refused = host.bash("--dry-run")
    assert refused.status == 3, refused.everything
    assert f"{kind} {name} is not as it was ({fact})" in refused.stderr


def test_disabled_triggers_of_a_foreign_key_are_seen(host):
    host.database.run(BASE.replace("CREATE PUBLICATION told FOR TABLE users;", ""))
    host.write("bash", handed_over(host.database, [OLD], [NEW], ["public.counted"]))
    host.database.run("ALTER TABLE counted DISABLE TRIGGER ALL", role="postgres")
    refused = host.bash("--dry-run")
    assert refused.status == 3, refused.everything
    assert "constraint counted_of_fkey on public.counted is not as it was (triggers)" in refused.stderr


GRANTED = [
    ("TABLE users", "SELECT", "table public.users"),
    ("SEQUENCE numbers", "USAGE", "sequence public.numbers"),
    ("FUNCTION double(int)", "EXECUTE", "function public.double(integer)"),
    ("TYPE mood", "USAGE", "enum public.mood"),
    ("SCHEMA more", "USAGE", "schema more"),
]


@pytest.mark.parametrize(("what", "privilege", "told"), GRANTED, ids=[what for what, *_ in GRANTED])
def test_a_grant_that_is_revoked_again_leaves_it_as_it_was(host, what, privilege, told):
    host.database.run(BASE.replace("CREATE PUBLICATION told FOR TABLE users;", ""))
    host.write("bash", handed_over(host.database, [OLD], [NEW], [told.split()[1]]))
    host.database.run(f"GRANT {privilege} ON {what} TO pg_monitor")
    refused = host.bash("--dry-run")
    assert refused.status == 3
    assert f"{told} is not as it was (privileges)" in refused.stderr
    host.database.run(f"REVOKE {privilege} ON {what} FROM pg_monitor")
    assert host.bash("--dry-run").status == 0
    host.database.run(f"REVOKE ALL ON {what} FROM PUBLIC; REVOKE ALL ON {what} FROM {servers.ROLE}")
    assert host.bash("--dry-run").status != 0


@FORMS
def test_it_reports_which_fact_of_an_object_differs_but_no_value(host, shell):
    host.database.run("CREATE TABLE users (id int, token text)")
    host.write(shell, handed_over(host.database, [OLD], [NEW], ["public.users"]))
    host.database.run("GRANT SELECT ON users TO PUBLIC")
    host.database.run("COMMENT ON TABLE users IS 'people'")
    host.database.run("ALTER TABLE users ALTER token SET DEFAULT 'rnd_test'")
    refused = host.stamp(shell)
    assert refused.status == 3
    assert "table public.users is not as it was (comment, privileges)" in refused.stderr
    assert "column public.users.token is not as it was (default)" in refused.stderr
    assert "Nothing was written." in refused.stderr
    assert "make the file anew" in refused.stderr
    assert "rnd_test" not in refused.everything


def test_what_belongs_to_a_table_is_checked_with_it(host):
    host.database.run(BASE.replace("CREATE PUBLICATION told FOR TABLE users;", ""))
    there = handed_over(host.database, [OLD], [NEW], ["public.users"]).there
    assert {kind for kind, *_ in there} == {"table", "column", "constraint", "index", "trigger", "policy"}
    there = handed_over(host.database, [OLD], [NEW], ["public.counted"]).there
    assert {kind for kind, *_ in there} == {"table", "column", "constraint", "index", "sequence"}


@FORMS
def test_an_object_that_must_be_gone_is_refused_if_it_is_back(host, shell):
    gone = [Standing("table", "public.old", None), Standing("enum", "public.mood", None)]
    host.write(shell, handed_over(host.database, [OLD], [NEW], gone=gone))
    host.database.run("CREATE TYPE mood AS ENUM ('sad')")
    refused = host.stamp(shell)
    assert refused.status == 3
    assert "enum public.mood is there again" in refused.stderr
    host.database.run("DROP TYPE mood")
    assert host.stamp(shell).status == 0


def test_a_long_definition_is_compared_by_its_digest(host):
    body = "SELECT " + " + ".join(["1"] * 200)
    host.database.run(f"CREATE VIEW long AS {body} AS x")
    text = host.write("bash", handed_over(host.database, [OLD], [NEW], ["public.long"])).read_text()
    assert "'sha256:" in text
    assert "1 + 1 + 1" not in text
    assert host.bash("--dry-run").status == 0
    host.database.run(f"CREATE OR REPLACE VIEW long AS {body} + 1 AS x")
    assert host.bash("--yes").status == 3


def test_kinds_that_no_file_checks_are_known():
    assert SCRIPTS.unasked_kinds({"table", "role", "settings", "user-mapping"}) == {"role", "settings", "user-mapping"}


@pytest.mark.slow
@pytest.mark.parametrize("version", [15, 16])
def test_all_of_it_on_older_servers_with_their_own_psql(tmp_path, version):
    if not PSQLS[version].exists():
        pytest.skip(f"PostgreSQL {version} is not here")
    of_version = of_debian() if version == 15 else contextlib.nullcontext(server_of(version))
    with of_version as server, fresh_database(server) as database:
        database.stand_at(OLD)
        database.run(BASE, role="postgres")
        database.run(f"GRANT ALL ON alembic_version TO {servers.ROLE}", role="postgres")
        names = [name for _, name, _ in BROKEN]
        made = handed_over(database, [OLD], [NEW], names)
        assert {one[:2] for one in made.there} >= {(kind, name) for kind, name, _ in BROKEN if kind != "default-acl"}
        for shell in SCRIPTS.shells:
            host = Host(tmp_path, database, version)
            host.write(shell, made)
            done = host.stamp(shell)
            assert done.status == 0, done.everything
            assert database.versions() == [NEW]
            assert host.back(shell).status == 0
        database.run("ALTER TYPE mood ADD VALUE 'glad'", role="postgres")
        for shell in SCRIPTS.shells:
            assert host.stamp(shell).status == 3
