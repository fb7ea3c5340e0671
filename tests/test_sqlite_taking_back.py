"""The statements that revert what was created on SQLite: run there, they lead back to the previous catalog."""

from __future__ import annotations

import pytest

from alembic_rescue.dialects.sqlite.catalog import READER
from alembic_rescue.dialects.sqlite.taking_back import taken_back
from tests.test_sqlite_catalog import database, run

BEFORE = (
    'CREATE TABLE t (a INT, "order" TEXT)',
    "CREATE INDEX kept ON t (a)",
    "CREATE VIEW seen AS SELECT a FROM t",
)


@pytest.mark.parametrize(
    ("statements", "back"),
    [
        (["CREATE INDEX ix ON t (a)"], ['DROP INDEX "ix";']),
        (
            ["CREATE TABLE b (id INTEGER PRIMARY KEY, t INT UNIQUE)", "CREATE INDEX ix_b ON b (t)"],
            ['DROP TABLE "b";'],
        ),
        (
            ['ALTER TABLE t ADD COLUMN "group" TEXT', 'CREATE INDEX "of a" ON t ("group")'],
            ['DROP INDEX "of a";', 'ALTER TABLE "t" DROP COLUMN "group";'],
        ),
        (
            [
                "CREATE TABLE b (id INTEGER)",
                "CREATE VIEW v AS SELECT id FROM b",
                "CREATE TRIGGER tr AFTER INSERT ON t BEGIN DELETE FROM b; END",
            ],
            ['DROP TRIGGER "tr";', 'DROP VIEW "v";', 'DROP TABLE "b";'],
        ),
        (
            ["DROP INDEX kept", "DROP VIEW seen"],
            ['CREATE INDEX "kept" ON t(a);', 'CREATE VIEW "seen" AS SELECT a FROM t;'],
        ),
        ([], []),
    ],
)
def test_it_leads_back(statements, back):
    with database(*BEFORE) as connection:
        before, watch = READER.everything(connection), READER.watch(connection)
        run(connection, *statements)
        found, stays = taken_back(watch.step(connection)[0])
        assert (sorted(found), stays) == (sorted(back), ())
        run(connection, *found)
        assert READER.everything(connection) == before


@pytest.mark.parametrize(
    ("statement", "stays"),
    [
        ("DROP TABLE t", ("the values of t",)),
        ('ALTER TABLE t DROP COLUMN "order"', ("the values of t.order",)),
        ("PRAGMA user_version = 3", ("database current",)),
    ],
)
def test_what_no_statement_brings_back_is_reported(statement, stays):
    with database(BEFORE[0], BEFORE[1]) as connection:
        watch = READER.watch(connection)
        run(connection, statement)
        assert taken_back(watch.step(connection)[0]) == ((), stays)
