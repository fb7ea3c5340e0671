"""The files for bash and psql as texts: names, literals, shells, modes."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from alembic_rescue.dialects.postgresql.scripts import identifier, literal
from tests.handing_over import NEW, OLD, SCRIPTS, found_by_shellcheck, handed_over

# --- names, and texts --------------------------------------------------------------------------------------------

STRANGE = [
    "it's",
    'say "x"',
    "back\\slash",
    "$rescue$",
    "two\nlines",
    "END_OF_SQL",
    "$(touch x)",
    "`id`",
    "ä ö 漢",
    "%s",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_names(host, name):
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
def test_a_literal_has_nothing_that_ends_it(text):
    inner = literal(text).removeprefix("E").strip("'")
    assert "\n" not in literal(text)
    assert "'" not in re.sub(r"''", "", literal(text).removeprefix("E")[1:-1])
    assert inner is not None


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "psql"])
def test_what_holds_the_end_of_a_line_is_no_line_of_the_file(host, shell):
    """In its head, too: an id and a reason are whatever somebody wrote."""
    breaks = "a\ntouch PWNED\n#"
    host.write(shell, replace(handed_over(host.database, [OLD], [breaks]), reason=breaks, skipped=(breaks,)))
    done = host.stamp(shell)
    assert done.status == 0, done.everything
    assert host.database.versions() == [breaks]
    assert list(host.folder.rglob("PWNED")) == []


def test_identifiers_are_quoted_where_they_must_be():
    assert identifier("alembic_version") == "alembic_version"
    assert identifier("Shop") == '"Shop"'
    assert identifier('a"b') == '"a""b"'
    assert all(identifier(word).startswith('"') for word in RESERVED_WORDS)


def test_a_version_table_with_a_strange_name_in_a_schema_of_its_own(host):
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


@pytest.mark.slow
def test_the_file_for_bash_is_clean(host):
    host.database.run("CREATE TABLE users (id int, name text DEFAULT 'it''s $HOME')")
    path = host.write("bash", handed_over(host.database, [OLD], [NEW], ["public.users"]))
    assert found_by_shellcheck(path) == ""


def test_the_file_for_bash_has_nothing_that_bash_3_does_not_have(stamped):
    text = (stamped.folder / "stamp.bash").read_text()
    newer = [
        *(r"\bmapfile\b", r"\breadarray\b", r"declare -[Ag]", r"local -[An]", r"\|&", r"&>>", r"coproc", r"\bwait -n"),
        *(r"\$\{[^}]*(?:,,|\^\^)", r"\$\{\w+@", r";;&", r"\[\[ -v "),
    ]
    assert [pattern for pattern in newer if re.search(pattern, text)] == []


def test_modes_of_files_are_the_users_own(tmp_path):
    from alembic_rescue.records import files

    for runs, mode in ((True, 0o700), (False, 0o600)):
        files.write_text(tmp_path / "x", "text", runs=runs)
        assert stat.S_IMODE(Path(tmp_path / "x").stat().st_mode) == mode
