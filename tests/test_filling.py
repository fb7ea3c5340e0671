"""Which tables a statement fills with the rows of a query."""

import pytest

from alembic_rescue.dialects.postgresql.filling import Fill, fills

FILLED = [
    "INSERT INTO z SELECT n FROM a",
    "insert into z (n, m) select n, m from a on conflict do nothing",
    "INSERT INTO z (n) (SELECT n FROM a)",
    "INSERT INTO z ((SELECT n FROM a))",
    "INSERT INTO z AS t (n) SELECT 1 UNION ALL (SELECT n FROM a)",
    "INSERT INTO z TABLE a",
    "INSERT INTO z WITH x AS (SELECT n FROM a) SELECT * FROM x",
    "WITH x AS (SELECT n FROM a) INSERT INTO z SELECT * FROM x",
    "WITH x AS (INSERT INTO z SELECT n FROM a RETURNING n) UPDATE y SET n = x.n FROM x",
    "CREATE TABLE z AS SELECT n FROM a",
    "CREATE UNLOGGED TABLE IF NOT EXISTS z (n) WITH (fillfactor = 70) AS (SELECT n FROM a) WITH DATA",
    "CREATE TABLE z AS TABLE a",
    "SELECT n INTO z FROM a",
    "SELECT n INTO UNLOGGED TABLE z FROM a",
    "DO $x$ DECLARE i int; BEGIN INSERT INTO z SELECT n FROM a; END $x$",
    "DO $$ BEGIN IF true THEN CREATE TABLE z AS SELECT n FROM a; END IF; END $$",
]
NOT_FILLED = [
    "INSERT INTO z VALUES (1, 'SELECT n FROM a')",
    "INSERT INTO z (n) VALUES ((SELECT n FROM a))",
    "INSERT INTO z DEFAULT VALUES",
    "INSERT INTO z (a) SELECT 1 WHERE NOT EXISTS (SELECT FROM a)",
    "INSERT INTO z SELECT 1, extract(year FROM now()) WHERE 1 IS DISTINCT FROM 2",
    "INSERT INTO z VALUES (1) ON CONFLICT (n) DO UPDATE SET n = 2 WHERE z.n IS DISTINCT FROM excluded.n",
    "WITH a AS (INSERT INTO z VALUES (1) RETURNING n) SELECT n FROM a",
    "CREATE TABLE z AS SELECT n FROM a WITH NO DATA",
    "CREATE TABLE z AS SELECT 1 AS n",
    "CREATE TABLE z (n int GENERATED ALWAYS AS IDENTITY)",
    "CREATE TABLE z PARTITION OF a FOR VALUES FROM (1) TO (2)",
    "CREATE TABLE z (LIKE a INCLUDING ALL)",
    "CREATE MATERIALIZED VIEW z AS SELECT n FROM a",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO z SELECT n FROM a; END",
    "CREATE RULE r AS ON INSERT TO y DO ALSO INSERT INTO z SELECT n FROM a",
    "PREPARE p AS INSERT INTO z SELECT n FROM a",
    "UPDATE z SET n = a.n FROM a",
    "DELETE FROM z USING a",
    "SELECT n FROM a",
    "INSERT INTO",
    "",
]


@pytest.mark.parametrize("sql", FILLED)
def test_tables_that_a_query_fills(sql):
    (found,) = fills(sql)
    assert (found.table, found.schema) == ("z", "")
    assert "a" in found.mentioned
    assert "z" not in found.mentioned


@pytest.mark.parametrize("sql", NOT_FILLED)
def test_tables_that_no_query_fills(sql):
    assert list(fills(sql)) == []


def test_names_are_as_in_the_catalog_and_a_table_may_be_filled_from_itself():
    (found,) = fills('INSERT INTO Shop."Z ""x" SELECT n + 1 FROM shop."Z ""x"')
    assert found == Fill('Z "x', "shop", frozenset(found.mentioned))
    assert 'Z "x' in found.mentioned


def test_each_statement_of_a_script_is_read():
    assert [
        one.table for one in fills("INSERT INTO y SELECT 1; CREATE TABLE z AS TABLE a; SELECT 1 INTO x FROM b")
    ] == [
        "z",
        "x",
    ]
