"""What looks like a secret, in text and in SQL: what is hidden, what is kept, and that a long text takes no time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alembic_rescue import redact
from alembic_rescue.redact import Secrets
from alembic_rescue.worker.scratch.operations import _offered

MARK = "h0nter2"
"""In a secret's place, and in no other."""

IN_SQL = [
    "INSERT INTO users (name, password) VALUES ('x', 'h0nter2'), ('y', 'h0nter2''s')",
    'INSERT INTO "users" ("name", "password") VALUES (NULL, E\'h0nter\\\'2 h0nter2\')',
    'INSERT INTO `users` (`name`, `password`) VALUES ("x", "h0nter2")',
    "INSERT INTO users (name, password) OVERRIDING SYSTEM VALUE VALUES ('x', lower('h0nter2'))",
    "INSERT INTO users (name, password) SELECT 'x', 'h0nter2' FROM a WHERE b = 'c'",
    "INSERT INTO users (name, password) (SELECT 'x', 'h0nter2' UNION ALL SELECT 'y', 'h0nter2')",
    "INSERT INTO users (name, password) VALUES ('it\\'s', 'h0nter2')",
    "INSERT INTO users (name, password) VALUES ('x', 'y', 'h0nter2')",
    "INSERT INTO users (name, api_key) VALUES ('x', 'h0nter2') ON CONFLICT DO UPDATE SET api_key = 'h0nter2'",
    "INSERT INTO users VALUES ('x', crypt('h0nter2', gen_salt('bf')))",
    "INSERT INTO api_tokens (name, hash) VALUES ('x', 'h0nter2')",
    "INSERT INTO settings (name, value) VALUES ('smtp_password', 'h0nter2')",
    "INSERT INTO jobs (command) VALUES ('INSERT INTO users (password) VALUES (''h0nter2'')')",
    "REPLACE INTO users (password) VALUES ('h0nter2')",
    "MERGE INTO u USING v ON true WHEN NOT MATCHED THEN INSERT (a, password) VALUES (v.a, 'h0nter2')",
    "WITH x AS (INSERT INTO a (b) SELECT 'c' RETURNING b) INSERT INTO u (password) VALUES ('h0nter2')",
    "UPDATE users SET name = 'x', password = 'h0nter2' WHERE id = 1",
    "UPDATE users SET password_hash='h0nter2'",
    "SELECT * FROM users WHERE (password)::text = 'h0nter2'::text",
    "SELECT hmac(body, 'h0nter2', 'sha256'), pgp_sym_encrypt('h0nter2', 'h0nter2', 'cipher-algo=aes256')",
    "SELECT pgp_sym_decrypt(a, 'h0nter2'), encode(digest('h0nter2', 'sha1'), 'hex'), AES_ENCRYPT('x', 'h0nter2')",
    "SELECT vault.create_secret('h0nter2', 'name')",
    "SELECT set_config('app.jwt_secret', 'h0nter2', false)",
    "SELECT jsonb_build_object('name', 'x', 'password', 'h0nter2')",
    "ALTER DATABASE shop SET app.settings.jwt_secret TO 'h0nter2'",
    "SET app.token = 'h0nter2'",
    "CREATE USER MAPPING FOR shop SERVER s OPTIONS (user 'x', password 'h0nter2', api_key 'h0nter2')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=db password=h0nter2 user=x' PUBLICATION p",
    "SELECT dblink('host=db user=x password=h0nter2', 'SELECT 1')",
    "ALTER TABLE users ALTER COLUMN password SET DEFAULT 'h0nter2'",
    "CREATE TABLE u (a text DEFAULT 'x', password character varying(20) NOT NULL DEFAULT ('h0nter2'::text))",
    "ALTER TABLE u ADD COLUMN hook text DEFAULT 'https://shop:h0nter2@example.org/'",
    'ALTER TABLE u ADD COLUMN conf jsonb DEFAULT \'{"a": {"clientSecret": "h0nter2"}, "accessToken":"h0nter2"}\'',
    "DO $$ BEGIN EXECUTE 'INSERT INTO users (name, password) VALUES (''x'', ''h0nter2'')'; END $$",
    "DO $$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD ''h0nter2''', 'x'); password := 'h0nter2'; END $$",
    "-- the password=h0nter2\nSELECT 1",
    "ALTER TABLE u ADD CHECK (password <> 'h0nter2')",
    "DELETE FROM u WHERE api_key != 'h0nter2'",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT call('Authorization: Bearer h0nter2h0nter2') $$",
    "SET PASSWORD FOR 'x'@'%' = PASSWORD('h0nter2')",
    "CREATE USER x IDENTIFIED WITH mysql_native_password BY 'h0nter2'",
    "CREATE USER x IDENTIFIED VIA unix_socket USING 'h0nter2'",
    "INSERT INTO users VALUES (1, 'h0nter2'), (2, E'h0nter2')",
    "INSERT INTO public.users SELECT 1, 'h0nter2'",
    "UPDATE users SET password = 'h0nter2' || 'h0nter2', name = lower('x')",
    "UPDATE users SET password = CASE WHEN a = 1 AND b = 2 THEN 'h0nter2' ELSE lower('h0nter2') END WHERE a > 1",
    "UPDATE users SET password = U&'h0nter2', token = $$h0nter2$$, secret = $x$h0nter2$x$",
    "UPDATE users SET (login, password) = ('a', 'h0nter2')",
    "UPDATE users SET password = (SELECT 'h0nter2' LIMIT 1)",
    "DELETE FROM users WHERE password IN ('h0nter2', 'h0nter2')",
    "DELETE FROM users WHERE password = ANY (ARRAY['h0nter2'])",
    "SELECT * FROM users WHERE name = 'x' AND password LIKE 'h0nter2'",
    "WITH new (id, password) AS (VALUES (1, 'h0nter2')) INSERT INTO users SELECT * FROM new",
    "ALTER TABLE u ADD COLUMN password text DEFAULT concat('h0nter2', 'h0nter2')",
    "ALTER TABLE u ALTER COLUMN api_key SET DEFAULT COALESCE(NULL::text, 'h0nter2'::text)",
    "CREATE POLICY p ON u USING ((current_setting('app.token'::text, true) = 'h0nter2'::text))",
    "DO $$ DECLARE secret CONSTANT text := 'h0nter2'; BEGIN password := lower('h0nter2'); END $$",
    "DO $$ BEGIN EXECUTE 'UPDATE u SET password = lower(''h0nter2'')'; PERFORM set_password('x', 'h0nter2'); END $$",
    "DO $$ BEGIN EXECUTE 'SELECT 1 FROM a'; UPDATE users SET password = lower('h0nter2'); END $$",
    "INSERT INTO conf (xml) VALUES ('<user>x</user><password>h0nter2</password>')",
    "INSERT INTO keys (pem) VALUES ('-----BEGIN RSA PRIVATE KEY-----\nh0nter2\n-----END RSA PRIVATE KEY-----')",
]


SAID_LATER = [
    "UPDATE settings SET value = 'h0nter2' WHERE name = 'smtp_password'",
    "SELECT * FROM users WHERE 'h0nter2' = password",
    "CREATE VIEW v AS SELECT 'x'::text AS kind, 'h0nter2'::text AS api_token FROM u",
]
"""What is cut off before that is not known to be a secret."""


@pytest.mark.parametrize("statement", [*IN_SQL, *SAID_LATER])
def test_a_literal_in_a_secrets_place_is_hidden_in_sql_and_in_text(statement):
    assert MARK in statement
    assert MARK not in redact.hide_sql(statement)
    assert MARK not in redact.hide(f"failed: [SQL: {statement}]")


@pytest.mark.parametrize("statement", IN_SQL)
def test_no_part_of_a_literal_is_left_if_the_text_is_cut_off(statement):
    """In the middle of a block, a row or a literal: the rest of a literal is hidden, too."""
    for end in range(statement.index(MARK) + 1, len(statement)):
        cut = redact.hide(statement[:end])
        left = statement[statement.index(MARK) :][: end - statement.index(MARK)][:5]
        assert len(left) < 5 or left not in cut, statement[:end]


@pytest.mark.parametrize(
    "text",
    [
        "password = h0nter2",
        "db_pass: h0nter2",
        "Config(clientSecret=\"h0nter2\", apiKey='h0nter2')",
        '"{\\"password\\": \\"h0nter2\\", \\"a\\": 1}"',
        '{"smtp": {"password": "h0nter2", "a": 1}',
        '{"a": 1, "password": "h0nter2',
        "[SQL: INSERT INTO u (a, password) VALUES (%s, %s)]\n[parameters: ('x', 'h0nter2')]\n(Background",
        "[SQL: INSERT INTO u (a, password) VALUES (?, ?)]\n[parameters: [('x', 'h0nter2'), ('y', 'h0nter2')]]",
        "[parameters: {'a': 'x', 'password': 'h0nter2'}]",
        "INFO sqlalchemy.engine.Engine [generated in 0.00013s] ('x', 'h0nter2')",
        'null value in column "x" DETAIL:  Failing row contains (1, h0nter2, null).',
        "duplicate key DETAIL:  Key (api_key)=(h0nter2) already exists.",
        "CONTEXT:  SQL statement \"INSERT INTO u (password) VALUES ('h0nter2')\"",
        "trying amqp://shop:h0nter2...",
        "op.execute(\"UPDATE u SET password = 'h0nter2'\")",
    ],
)
def test_an_unknown_secret_is_hidden_in_text(text):
    assert MARK not in redact.hide(text)


RUNNABLE = [
    "ALTER TABLE u ADD CONSTRAINT c CHECK (api_key = lower(api_key))",
    "ALTER TABLE u ADD CONSTRAINT c CHECK (((password)::text = (again)::text) AND (length(password) > 8))",
    "ALTER TABLE u ADD CONSTRAINT c CHECK ((token = ANY (ARRAY['a'::text, 'b'::text])) AND password <> ''::text)",
    (
        "CREATE TABLE u (\n    password text DEFAULT ''::text,\n    has_password text DEFAULT 'false'::text,\n    kind "
        "text DEFAULT 'plain'::text NOT NULL,\n    token uuid DEFAULT gen_random_uuid()\n)"
    ),
    "CREATE TYPE k AS ENUM ('password', 'token', 'api_key')",
    "ALTER TYPE k ADD VALUE 'password' AFTER 'token'",
    "COMMENT ON COLUMN u.password IS 'the hash; token: opaque'",
    "CREATE INDEX i ON u (md5(((name || ' '::text) || note)), digest(note, 'sha256'::text))",
    "CREATE INDEX i ON u (token) WHERE (token IS NOT NULL)",
    "CREATE POLICY p ON u USING ((token = current_setting('app.token'::text)))",
    "CREATE VIEW v AS SELECT password AS token, 'plain'::text AS kind FROM u WHERE secret = other.secret",
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN -- don't\n IF NEW.token = OLD.token THEN "
        "NEW.password := crypt(NEW.password, gen_salt('bf')); INSERT INTO log (kind, password) VALUES "
        "('new', NEW.password)"
        "; END IF; RETURN NEW; END $$"
    ),
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit SELECT 'DELETE', now(), "
        "OLD.*; IF TG_OP = 'INSERT' THEN INSERT INTO audit VALUES ('INSERT', now(), NEW.*); END IF; END $$"
    ),
    "CREATE OR REPLACE VIEW v AS SELECT 'x' AS kind FROM u",
    "CREATE VIEW v AS SELECT CASE WHEN a = 'x' THEN 'y' END AS kind, (SELECT token FROM t WHERE k = 'z') FROM u",
    "CREATE TABLE u (a timestamp with time zone DEFAULT '2020-01-01', CHECK (token = ANY (ARRAY['a', 'b'])))",
    "ALTER TABLE u ADD FOREIGN KEY (token) REFERENCES t (token) ON UPDATE SET NULL, ALTER kind SET DEFAULT 'plain'",
    "GRANT SELECT (password) ON u TO postgres",
    'ALTER TABLE "password" RENAME TO "token"',
    "ALTER TABLE u ALTER COLUMN secret SET DEFAULT NULL, ALTER COLUMN kind SET DEFAULT 'plain'",
]


@pytest.mark.parametrize("statement", RUNNABLE)
def test_sql_without_a_secret_is_unchanged(statement):
    secrets = Secrets()
    secrets.add("postgres", "another-s3cret")
    assert secrets.hide_sql(statement) == statement
    assert secrets.net(f"    {statement}\n") == f"    {statement}\n"
    assert redact.hide_value("public.u", statement) == statement


@pytest.mark.parametrize("text", [*IN_SQL, *RUNNABLE])
def test_hiding_in_sql_twice_is_hiding_once(text):
    once = redact.hide_sql(text)
    assert redact.hide_sql(once) == once


def test_all_values_of_a_secret_column_are_hidden():
    told = "default is 'h0nter2'::text, expected 'true'"
    assert redact.hide_value("public.users.password", told) == "default is '***'::text, expected 'true'"
    assert redact.hide_value("public.users.name", told) == told


@pytest.mark.parametrize(
    ("name", "value", "is_hidden"),
    [
        ("DB_PASS", "h0nter2-and-more", True),
        ("MYSQL_PWD", "h0nter2-and-more", True),
        ("FERNET_KEY", "h0nter2-and-more", True),
        ("WEBHOOK_SECRET", "https://hooks.example.org/h0nter2", True),
        ("SSL_KEY", "/etc/ssl/h0nter2.pem", False),
        ("TOKEN_URL", "https://example.org/h0nter2", False),
        ("OLDPWD", "/srv/h0nter2-1.2.3", False),
        ("SECRET_WORD", "password", False),
    ],
)
def test_a_variable_with_a_secret_sounding_name_is_known(name, value, is_hidden):
    secrets = Secrets()
    secrets.add_environment({name: value})
    for hide in (secrets.hide, secrets.hide_sql, secrets.net):
        assert (value not in hide(f"with <{value}>.")) is is_hidden


def test_from_the_sql_that_would_be_sent_a_statement_with_a_secret_is_left_out():
    statements = ["CREATE TABLE keyed (CHECK (api_key = lower(api_key)))", "ALTER ROLE shop PASSWORD 'h0nter2'"]
    script = ";\n\n".join(["BEGIN", *statements, "COMMIT"]) + ";\n\n"
    assert _offered(script, Secrets().hide_sql) == (
        f"{statements[0]};\n-- a statement that holds a secret is not shown;"
    )


# --- a long text takes no time -----------------------------------------------------------------------------------

KNOWN = ["a" * 20 + "7aZ", "pass'wörd 7%@", "aaaaa-aaaaa-aaaaa", "x" * 3000 + "1", "postgres"]
SOME_BYTES = 25_000
SECONDS = 2.5
"""CPU seconds.  The worst case takes a fifth of it on a slow machine; quadratic time takes minutes."""
PIECES = [
    *[
        "a",
        "A1.",
        "a-b_",
        "_",
        "é",
        "1",
        "0x",
        "12.",
        ".",
        "...",
        "*",
        " ",
        "\n",
        "%",
        "%25",
        "%C3",
        "=",
        "@",
        "(",
        "((",
    ],
    *[
        "'",
        "''",
        '"',
        "$",
        "$$",
        "$a$",
        "$a",
        "\\",
        "\\'",
        "E'\\",
        "U&'",
        "/*",
        "/* ",
        "--",
        "-- \n",
        "'a',",
        "('a','b'),",
    ],
    *[
        "://",
        "x://a:b",
        "x://a:",
        "x://a@",
        "password",
        "password=",
        "password ",
        "password: ",
        "PASSWORD '",
        "password'",
    ],
    *[
        "password DEFAULT ",
        "token DEFAULT (",
        "token(a)(b)",
        "token::",
        "token to ",
        "token)))",
        "token''''",
        "token\\\\",
    ],
    *['\\"token\\": \\"x', "token:='x", "password$a$", "crypt(", "crypt('", "crypt($a$ ", "md5(", "set_config('"],
    *["INSERT ", "INSERT (", "INSERT INTO t (a) VALUES (", "INSERT INTO t (password) VALUES ('", "UNION SELECT "],
    *["INSERT INTO t (password) SELECT ", "INSERT INTO t SELECT 'a', ", "REPLACE (a,b) ", "UPDATE 'a", "VALUES ("],
    *["UPDATE 'x_password' ", "[parameters: (", "Failing row contains (", "Key (", "Key (a)=(", "Key (token)=("],
    *[
        "SELECT ",
        "SELECT (",
        "SELECT 'a', ",
        "SELECT (token, ",
        "WITH a AS (",
        "UPDATE a SET (",
        "SELECT 'x' AS token, ",
    ],
    *["password = (", "password := '", "token <> a ", "SELECT ''", "SELECT CASE ", "SELECT $%d$ ", "'SELECT ''"],
    *[
        "DELETE FROM a WHERE token IN ('a'); ",
        "<password>",
        "<a",
        "password for a",
        "identified with ",
        "token IS DISTINCT FROM ",
    ],
    *["aaaaaaa7aZ", "aaaaa", "password $%d$ ", "crypt($%d$ ", "INSERT INTO t (token) VALUES ($%d$ "],
]
"""What a pattern may begin with, continue with, or wait for in vain."""


@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_linearly_with_the_text(piece):
    number = SOME_BYTES // len(piece)
    text = "".join(piece % one for one in range(number)) if "%d" in piece else piece * number
    secrets = Secrets()
    secrets.add(*KNOWN)
    began = time.process_time()
    for hide in (secrets.hide, secrets.hide_sql, secrets.net):
        hide(text)
        hide(text + "!")
    secrets.add_url(text)
    assert time.process_time() - began < SECONDS


def test_a_word_of_a_megabyte_takes_less_than_a_second():
    """Base64 in a default, a printed line, an exception."""
    word = "QUJDREVGRw+/" * 85_000
    secrets = Secrets()
    secrets.add(*KNOWN)
    for hide, text in ((secrets.hide, word), (secrets.hide_sql, f"DEFAULT '{word}'"), (secrets.net, word)):
        began = time.process_time()
        assert hide(text) == text
        assert time.process_time() - began < 1


@given(st.lists(st.sampled_from([*PIECES, MARK, f"'{MARK}'", ")", ";", " AS ", "FROM ", "CASE ", "END "]), max_size=12))
def test_no_text_breaks_it(pieces):
    text = "".join(pieces)
    for hide in (redact.hide, redact.hide_sql):
        assert isinstance(hide(text), str)
