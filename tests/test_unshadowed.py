"""Every function, type and operator in the tool's own queries is the server's."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

import pytest

from alembic_rescue.dialects import postgresql
from alembic_rescue.dialects.postgresql import copy
from alembic_rescue.dialects.postgresql.scratch import best
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
def test_what_the_server_has_is_qualified(query, written):
    assert unshadowed(query) == written


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
def test_syntax_that_implicitly_takes_its_operator_from_the_path_is_refused(query):
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
def test_the_server_parses_a_query_as_it_would_without(database, name):
    """Another precedence of an operator would be another tree."""
    query = re.sub(r"\{pids?\}", "1", re.sub(r"(?<!:):\w+", "NULL", QUERIES[name]))
    query = re.sub(r"\{\w+\}", "'1'", query)
    plain = re.sub(r"OPERATOR\(pg_catalog\.(\S+?)\)", r"\1", query)
    plain = re.sub(r"('(?:[^']|'')*')|\bpg_catalog\.", lambda found: found[1] or "", plain)
    assert plain != query
    with database.session() as connection, connection.cursor() as cursor:
        read = []
        for one in (query, plain):
            cursor.execute(f"EXPLAIN (VERBOSE, COSTS off) {one}")
            read.append(cursor.fetchall())
        assert read[0] == read[1]


@pytest.mark.slow
def test_nobody_elses_functions_and_operators_run_instead_of_the_servers(project, database):
    database.stand_at("aaaa0001")
    database.run("CREATE TABLE users (id int, name text)")
    ours = project("linear", database)
    (before,) = ours.rescue_json("plan", "aaaa0003")["databases"]

    assert shadows.put_shadows(database) > 300
    began = database.server.log.stat().st_size
    (after,) = ours.rescue_json("plan", "aaaa0003")["databases"]
    assert {**after, "findings": []} == {**before, "findings": []}
    assert ours.rescue("diagnose", "--applied").status == 0
    assert ours.rescue("diagnose", "--locate").status == 0
    assert ours.rescue_json("stamp", "aaaa0003", "--yes")["outcome"] == "stamped"
    assert ours.rescue_json("undo", "--yes")["outcome"] == "undone"
    connect = {"host": str(database.server.pgdata), "port": str(database.server.port), "dbname": database.name}
    programs = best(str(database.server.version))
    assert programs is not None
    assert isinstance(copy.dump({**connect, "user": "postgres"}, programs.folder, 1.0), copy.Dump)

    assert shadows.uses(database, began) == []
    database.run("SELECT has_table_privilege('pg_class'::regclass, 'SELECT'::text)")
    (used,) = shadows.uses(database, began)
    assert used.startswith("shadowed by has_table_privilege")
