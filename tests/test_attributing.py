"""Which statement made which change, if several changed a catalog.  On values alone."""

from __future__ import annotations

import pytest

from alembic_rescue.evidence.observation import CatalogObject, Change, Statement, StatementKind
from alembic_rescue.worker.observer.attributing import attributed


def statement_of(kind, name, sqls, *, parent="", before=None, after=None):
    change = Change(
        CatalogObject(kind, name, parent), before, {"a": "b"} if after is None and before is None else after
    )
    statements = [Statement(sql, sql_kind, "r.py", 1) for sql, sql_kind in sqls]
    return attributed([change], statements)[0].statement


def sent(*sqls):
    return [(sql, StatementKind.CATALOG) for sql in sqls]


TWO = sent("CREATE TABLE orders (id serial, total int)", "CREATE TABLE lines (id serial, total int)")
GONE = {"a": "b"}


@pytest.mark.parametrize(
    ("kind", "name", "parent", "sqls", "expected"),
    [
        ("table", "public.lines", "", TWO, 1),
        ("table column", "public.lines.total", "public.lines", TWO, 1),
        ("table column", "public.orders.total", "public.orders", TWO, 0),
        ("sequence", "public.lines_id_seq", "", TWO, 1),
        ("table constraint", "orders_pkey on public.orders", "public.orders", TWO, 0),
        ("function", "public.f(integer)", "", sent("CREATE FUNCTION g()", "CREATE FUNCTION f(i int)"), 1),
        ("table", 'public."Mixed Case"', "", sent("CREATE TABLE x ()", 'CREATE TABLE "Mixed Case" ()'), 1),
        ("table", "public.made_by_a_loop", "", sent("DO $$ 1 $$"), 0),
        ("table", "public.nobody", "", sent("CREATE TABLE a ()", "CREATE TABLE b ()"), None),
        (
            "index",
            "public.i",
            "public.t",
            sent("CREATE TABLE t ()", "CREATE INDEX i ON t (a)", "COMMENT ON INDEX i"),
            1,
        ),
    ],
)
def test_an_object_was_created_by_the_first_statement_that_names_it(kind, name, parent, sqls, expected):
    assert statement_of(kind, name, sqls, parent=parent) == expected


def test_an_object_was_changed_or_dropped_by_the_last_statement_that_names_it():
    sqls = sent("ALTER TABLE t ADD a int", "ALTER TABLE t ALTER a TYPE text", "ALTER TABLE u ADD a int")
    assert statement_of("table column", "public.t.a", sqls, parent="public.t", before=GONE, after={"a": "c"}) == 1


def test_a_failed_statement_made_no_change_and_a_data_statement_only_if_no_other_did():
    failed = Statement("DROP TABLE t", StatementKind.CATALOG, "r.py", 1, error="no")
    call = Statement("CALL make()", StatementKind.DATA, "r.py", 2)
    change = Change(CatalogObject("table", "public.t"), None, {"a": "b"})
    assert attributed([change], [failed, call])[0].statement == 1
    assert attributed([change], [failed])[0].statement is None
    other = Statement("CREATE TABLE t ()", StatementKind.CATALOG, "r.py", 3)
    assert attributed([change], [failed, call, other])[0].statement == 2


def test_of_two_statements_on_a_column_each_made_the_change_that_it_names():
    two = sent("ALTER TABLE t ALTER COLUMN c SET NOT NULL", "ALTER TABLE t ALTER COLUMN c SET DEFAULT ''")
    for sqls, not_null in ((two, 0), ([*reversed(two)], 1)):
        column = {"parent": "public.t", "before": {"type": "text"}, "after": {"type": "text", "not null": "true"}}
        assert statement_of("table column", "public.t.c", sqls, **column) == not_null
        assert statement_of("default value", "for public.t.c", sqls, parent="public.t") == 1 - not_null
