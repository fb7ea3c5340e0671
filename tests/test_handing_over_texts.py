"""The files for bash and psql as texts: names, literals, shells, modes."""

from __future__ import annotations

import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from alembic_rescue.cli.handing_over import running
from alembic_rescue.dialects.postgresql.scripts import identifier, literal
from tests.handing_over import NEW, OLD, SCRIPTS, found_by_shellcheck, handed_over

# --- names, and texts --------------------------------------------------------------------------------------------

STRANGE = [
    "it's",
    'say "x"',
    "back\\slash",
    "$rescue$",
    "a$rescue$b",
    "two\nlines",
    "END_OF_SQL",
    "$(touch x)",
    "`id`",
    "ä ö 漢",
    "%s",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGE)
def test_unusual_names_stay_names(host, name):
    quoted = '"' + name.replace('"', '""') + '"'
    host.database.run(f"CREATE TABLE {quoted} ({quoted} int DEFAULT 1)".replace("%", "%"))
    (there,) = {one.name for one in _read(host) if one.kind == "table" and one.name != "public.alembic_version"}
    made = handed_over(host.database, [OLD], [NEW], [there], reason=name, skipped=(name,), not_asked=(name,))
    assert {one.kind for one in made.there} == {"table", "column"}
    for shell in SCRIPTS.shells:
        host.write(shell, made)
    assert host.bash("--dry-run").status == 0
    assert found_by_shellcheck(host.folder / "stamp.bash") == ""
    assert host.file().status == 0
    assert host.database.versions() == [NEW]
    assert not (host.folder / "x").exists()


def _read(host):
    names = [row[0] for row in host.database.run("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
                                                 " AND relnamespace = 'public'::regnamespace")]  # fmt: skip
    return handed_over(host.database, [OLD], [NEW], [f"public.{name}" for name in names]).there


@pytest.mark.parametrize("text", [*STRANGE, "", "\x7f\u0085", "'''", "\\'", "$$"])
def test_a_literal_is_that_text_on_one_line(database, text):
    sql = literal(text)
    assert "\n" not in sql
    assert "$rescue$" not in sql
    with database.session() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT " + sql)
        assert cursor.fetchone() == (text,)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_a_literal_contains_nothing_that_ends_it(text):
    inner = literal(text).removeprefix("E").strip("'")
    assert "\n" not in literal(text)
    assert "'" not in re.sub(r"''", "", literal(text).removeprefix("E")[1:-1])
    assert inner is not None


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "psql"])
def test_a_text_with_a_line_end_does_not_add_a_line_to_the_file(host, shell):
    """In its head, too: an id and a reason can be any text."""
    breaks = "a\ntouch PWNED\n#"
    host.write(shell, replace(handed_over(host.database, [OLD], [breaks]), reason=breaks, skipped=(breaks,)))
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert host.database.versions() == [breaks]
    assert list(host.folder.rglob("PWNED")) == []


def test_identifiers_are_quoted_if_they_must_be():
    assert identifier("alembic_version") == "alembic_version"
    assert identifier("Shop") == '"Shop"'
    assert identifier('a"b') == '"a""b"'
    assert all(identifier(word).startswith('"') for word in RESERVED_WORDS)


def test_a_version_table_with_an_unusual_name_in_its_own_schema(host):
    host.database.run('CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."user" (version_num varchar(32));'
                      f"""INSERT INTO "My Shop"."user" VALUES ('{OLD}')""")  # fmt: skip
    made = handed_over(host.database, [OLD], [NEW])
    at = replace(made.identity, version_table="user", version_table_schema="My Shop")
    for shell in SCRIPTS.shells:
        host.write(shell, replace(made, identity=at))
        done = host.stamp(shell)
        assert done.status == 0, done.everything
        assert host.database.run('SELECT * FROM "My Shop"."user"') == [(NEW,)]
        assert host.back(shell).status == 0


@pytest.mark.parametrize("makes_table", [False, True])
def test_a_version_table_whose_name_ends_a_block(host, makes_table):
    name = 'a$rescue$b\\"c'
    quoted = '"' + name.replace('"', '""') + '"'
    made = handed_over(host.database, [] if makes_table else [OLD], [NEW], makes_table=makes_table)
    for shell in SCRIPTS.shells:
        host.database.run(f"DROP TABLE IF EXISTS {quoted}")
        if not makes_table:
            host.database.run(f"CREATE TABLE {quoted} (version_num varchar(32)); INSERT INTO {quoted} VALUES ('{OLD}')")
        host.write(shell, replace(made, identity=replace(made.identity, version_table=name)))
        done = host.stamp(shell)
        assert done.status == 0, done.everything
        assert host.database.run(f"SELECT * FROM {quoted}") == [(NEW,)]
        assert host.back(shell).status == 0


def test_the_head_has_a_url_without_a_driver_and_says_how_psql_finds_the_server(host):
    made = handed_over(host.database, [OLD], [NEW])
    identity = replace(made.identity, url="postgresql+asyncpg://app:***@db.example.org/my shop", role="owner",
                       host="db.example.org", port=6432, database="my shop", encrypted=True)  # fmt: skip
    run = SCRIPTS.run("psql", identity)
    way = "PGHOST=db.example.org PGPORT=6432 PGUSER=app PGDATABASE='my shop' PGSSLMODE=require"
    assert run == f"{way} psql -X -v ON_ERROR_STOP=1 -f FILE"
    for shell in SCRIPTS.shells:
        text = host.write(shell, replace(made, identity=identity)).read_text()
        assert "asyncpg" not in text
        assert "postgresql://app:***@db.example.org/my shop" in text
    assert way in text
    assert "psql asks for the password" in text
    by_socket = replace(identity, url="postgresql:///shop", socket="/run/postgresql", host=None, encrypted=False)
    assert SCRIPTS.run("psql", by_socket).startswith("PGHOST=/run/postgresql PGPORT=6432 PGUSER=owner PGDATABASE=")


def test_each_code_in_a_file_is_explained(stamped):
    document = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text("utf-8")
    known = {*re.findall(r"^### (\S+)$", document, re.MULTILINE), "psql-is-missing"}
    for shell in SCRIPTS.shells:
        text = (stamped.folder / f"stamp.{shell}").read_text()
        codes = {*re.findall(r"'\[([a-z-]+)\] ", text), *re.findall(r"fail \S+ ([a-z]+(?:-[a-z]+)*) \"", text),
                 *re.findall(r"lost_code=([a-z-]+)", text)}  # fmt: skip
        assert len(codes) > 4
        assert codes <= known
    assert "## psql is missing" in document


@pytest.mark.parametrize("program", ["dash", "sh"])
def test_without_bash_it_says_so(stamped, program):
    if not (found := shutil.which(program)):
        pytest.skip(f"{program} is not here")
    done = stamped.run(found, str(stamped.folder / "stamp.bash"), "--yes")
    if "bash" in str(Path(found).resolve()):
        assert done.status == 0, "bash by another name does"
    else:
        assert (done.status, stamped.database.versions()) == (2, [OLD]), done.everything
        assert "error[usage]: This needs bash. Nothing was written." in done.stderr
        assert "help: Run it with: bash " in done.stderr


def test_bash_called_as_sh_works(stamped):
    (stamped.folder / "sh").symlink_to(shutil.which("bash"))
    done = stamped.run(str(stamped.folder / "sh"), str(stamped.folder / "stamp.bash"), "--yes")
    assert (done.status, stamped.database.versions()) == (0, [NEW]), done.everything


@pytest.mark.slow
def test_the_file_for_bash_is_clean(host):
    host.database.run("CREATE TABLE users (id int, name text DEFAULT 'it''s $HOME')")
    path = host.write("bash", handed_over(host.database, [OLD], [NEW], ["public.users"]))
    assert found_by_shellcheck(path) == ""


def test_the_file_for_bash_uses_nothing_that_bash_3_lacks(stamped):
    text = (stamped.folder / "stamp.bash").read_text()
    newer = [
        *(r"\bmapfile\b", r"\breadarray\b", r"declare -[Ag]", r"local -[An]", r"\|&", r"&>>", r"coproc", r"\bwait -n"),
        *(r"\$\{[^}]*(?:,,|\^\^)", r"\$\{\w+@", r";;&", r"\[\[ -v "),
    ]
    assert [pattern for pattern in newer if re.search(pattern, text)] == []


def test_files_are_private_to_the_user(tmp_path):
    from alembic_rescue.records import files

    for runs, mode in ((True, 0o700), (False, 0o600)):
        files.write_text(tmp_path / "x", "text", runs=runs)
        assert stat.S_IMODE(Path(tmp_path / "x").stat().st_mode) == mode


@pytest.mark.parametrize(
    ("command", "name", "told"),
    [
        ("PGDATABASE=FILES psql -f FILE", "a b.sql", "PGDATABASE=FILES psql -f 'a b.sql'"),
        ("DATABASE_URL=... bash FILE", "-x", "DATABASE_URL=... bash ./-x"),
        ("bash FILE", "FILE", "bash FILE"),
    ],
)
def test_the_command_that_runs_a_file_has_only_its_name_filled_in(command, name, told):
    assert running(command, name) == told
