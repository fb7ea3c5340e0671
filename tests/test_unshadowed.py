"""Every function, type and operator that the tool's own queries use is the server's."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

import pytest


from alembic_rescue.dialects import postgresql
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from tests import shadows


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("SELECT f(x)", "SELECT pg_catalog.f(x)"),
        ("SELECT app.f(x)", "SELECT app.f(x)"),
        ("SELECT coalesce(count(*), 0)", "SELECT coalesce(pg_catalog.count(*), 0)"),
        ("SELECT l.* FROM pg_class l", "SELECT l.* FROM pg_catalog.pg_class l"),
        ("WHERE a = 'b = f(c)::d'", "WHERE a OPERATOR(pg_catalog.=) 'b = f(c)::d'"),
        ("WHERE a !~ '^pg_'", "WHERE a OPERATOR(pg_catalog.!~) '^pg_'"),
        ("SELECT :table::text[]", "SELECT :table::pg_catalog.text[]"),
        ('SELECT x::"char"', 'SELECT x::pg_catalog."char"'),
        ("WITH here AS (SELECT 1)", "WITH here AS (SELECT 1)"),
        ("x = ANY (SELECT 1) -- so = what", "x OPERATOR(pg_catalog.=) ANY (SELECT 1) -- so = what"),
        ("FORMAT {names} = 1", "FORMAT {names} OPERATOR(pg_catalog.=) 1"),
    ],
)
def test_what_the_server_has_is_named_as_its_own(query, written):
    assert unshadowed(query) == written
    assert unshadowed(written) == written


@pytest.mark.parametrize(
    "query",
    [
        "x IN (1, 2)",
        "nullif(a, b)".upper(),
        "a BETWEEN 1 AND 2",
        "a IS DISTINCT FROM b",
        "CASE a WHEN 1 THEN 2 END",
        "a JOIN b USING (c)",
        "a LIKE 'x'",
    ],
)
def test_what_takes_its_operator_from_the_path_without_saying_so_is_refused(query):
    with pytest.raises(ValueError, match="search path"):
        unshadowed(query)


def _queries() -> dict[str, str]:
    found = {}
    for module in iter_modules(postgresql.__path__):
        values = vars(import_module(f"{postgresql.__name__}.{module.name}"))
        for name, value in values.items():
            for number, query in enumerate(value.values() if isinstance(value, dict) else [value]):
                if isinstance(query, str) and re.search(r"^\s*(SELECT|WITH)\b", query) and "(pg_catalog." in query:
                    found[f"{module.name}.{name}.{number}"] = query
    return found


QUERIES = _queries()


@pytest.mark.parametrize("name", QUERIES)
def test_the_server_reads_a_query_as_it_would_without(database, name):
    """Another precedence of an operator would be another tree."""
    query = re.sub(r"(?<!:):\w+", "NULL", QUERIES[name].replace("{pid}", "1").replace("{names}", "'x'"))
    query = re.sub(r"\{\w+\}", "'x'", query)
    plain = re.sub(r"OPERATOR\(pg_catalog\.(\S+?)\)", r"\1", query)
    plain = re.sub(r"('(?:[^']|'')*')|\bpg_catalog\.", lambda found: found[1] or "", plain)
    assert plain != query
    with database.session() as connection, connection.cursor() as cursor:
        read = []
        for one in (query, plain):
            cursor.execute(f"EXPLAIN (VERBOSE, COSTS off) {one}")
            read.append(cursor.fetchall())
        assert read[0] == read[1]


def test_nobody_elses_functions_and_operators_run_in_the_place_of_the_servers(project, database):
    database.run("GRANT CREATE ON SCHEMA public TO PUBLIC", role="postgres")
    database.stand_at("b354d12d1e7d")
    ours = project("incident", database)
    assert shadows.put_shadows(database) > 300
    began = database.server.log.stat().st_size
    for command in (["diagnose"], ["diagnose", "--applied"], ["plan", "65e4b4ef883d"]):
        assert ours.rescue(*command).status in {0, 3}
    with pytest.raises(AssertionError), database.session() as other, other.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('pg_class'::regclass, 'SELECT'::text)")
        assert not shadows.uses(database, began), "they do come first"
    assert [one for one in shadows.uses(database, began) if "has_table_privilege('pg_class'" not in one] == []
