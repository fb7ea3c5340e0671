"""The catalog's snapshot: a constant number of queries, and SQLite's own catalog."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import create_engine, event

from alembic_rescue import catalog

MANY = """
DO $$ BEGIN
  FOR n IN 1..{count} LOOP
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text NOT NULL DEFAULT '''', b int CHECK (b > 0))', n);
    EXECUTE format('CREATE INDEX ix_t%s ON t%s (lower(a))', n, n);
    EXECUTE format('CREATE TYPE e%s AS ENUM (''x'', ''y'')', n);
    EXECUTE format('CREATE VIEW v%s AS SELECT a FROM t%s', n, n);
  END LOOP;
END $$
"""


def _queries_for(database, count):
    """How many statements a snapshot sends, and how many objects it holds, with `count` of everything."""
    database.run(MANY.format(count=count))
    sent = []
    engine = create_engine(database.url)
    with engine.connect() as connection:
        event.listen(engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
        snapshot = catalog.read(connection)
    engine.dispose()
    return len(sent), len(snapshot.objects)


def test_ten_objects_and_ten_thousand_take_the_same_number_of_queries(any_server, any_database):
    from tests.conftest import fresh_database

    few, held = _queries_for(any_database, 2)
    with fresh_database(any_server) as other:
        many, held_too = _queries_for(other, 1000)
    assert few == many
    assert few <= 15
    assert held < 40
    assert held_too > 8000


@pytest.fixture
def orders(project, tmp_path):
    """The orders on SQLite, applied, with the version lost."""
    file = tmp_path / "orders.db"
    sqlite3.connect(file).close()
    orders = project("orders", url=f"sqlite:///{file}")
    (orders.root / "alembic" / "versions" / "0004_view.py").write_text(
        '''"""view and indexes"""

import sqlalchemy as sa
from alembic import op

revision = "0dd40004"
down_revision = "0cc30003"


def upgrade():
    op.execute("CREATE VIEW old_orders AS SELECT id FROM orders WHERE state = 'old'")
    op.create_index("ix_orders_lower", "orders", [sa.text("lower(state)")])
    op.create_index("ix_orders_late", "orders", ["state"], sqlite_where=sa.text("id > 5"))
    with op.batch_alter_table("orders") as batch:
        batch.add_column(sa.Column("note", sa.String(50)))
'''
    )
    assert orders.alembic("upgrade", "head").status == 0
    orders.file = file
    _run(file, "DELETE FROM alembic_version")
    return orders


def _run(file, statement):
    connection = sqlite3.connect(file)
    with connection:
        connection.execute(statement)
    connection.close()


def _verdicts(orders):
    document = orders.rescue_json("diagnose")
    return {found["revision"]: found for found in document["databases"][0]["revisions"]}


def test_sqlite_proves_tables_keys_indexes_and_views(orders):
    found = {revision: evidence["verdict"] for revision, evidence in _verdicts(orders).items()}
    assert found == {
        "0aa10001": "applied",
        "0bb20002": "unverifiable",
        "0cc30003": "applied",
        "0dd40004": "applied",
    }
    stamped = orders.rescue("stamp", "head", "--yes", "--accept", "0bb20002")
    assert stamped.status == 0, stamped.stderr
    assert "0dd40004 (head)" in orders.alembic("current").stdout


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        ("DROP VIEW old_orders", "old_orders"),
        ("DROP INDEX ix_orders_lower", "ix_orders_lower"),
        ("DROP INDEX ix_orders_late", "ix_orders_late"),
        ("ALTER TABLE orders DROP COLUMN note", "orders.note"),
    ],
)
def test_sqlite_names_what_is_missing(orders, damage, name):
    _run(orders.file, damage)
    evidence = _verdicts(orders)["0dd40004"]
    assert evidence["verdict"] == "partial"
    assert [found["name"] for found in evidence["objects"] if found["presence"] == "absent"] == [name]
