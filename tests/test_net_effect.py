"""Folding effects to what must hold in the end.  Pure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alembic_rescue.ddl import Reader
from alembic_rescue.footprint.net import Net, fold
from alembic_rescue.model_evidence import Expectation, Footprint, Statement
from tests.scratch import scratch_database  # noqa: F401 - a fixture


def footprint(revision: str, *sql: str) -> Footprint:
    reader = Reader("public")
    return Footprint(revision, tuple(Statement(revision, s, reader.read(s)) for s in sql))


def net_of(*scripts: tuple[str, ...]) -> Net:
    return fold([footprint(f"r{n}", *sql) for n, sql in enumerate(scripts, start=1)])[-1]


def present(net: Net) -> dict[str, Expectation]:
    return {str(key): e for key, e in net.expectations.items() if e.present}


def absent(net: Net) -> dict[str, Expectation]:
    return {str(key): e for key, e in net.expectations.items() if not e.present}


def test_a_drop_cancels_a_create_and_says_so() -> None:
    net = net_of(
        ("CREATE TABLE t (a int)", "CREATE INDEX i ON t (a)"), ("INSERT INTO t VALUES (1)",), ("DROP TABLE t",)
    )
    assert present(net) == {}
    assert net.cancelled == {"r1": ("r3",)}
    assert net.opaque == ()  # the rows went with the table
    assert absent(net)["t"].vacuous


def test_a_drop_of_what_was_there_before_is_an_expectation() -> None:
    net = net_of(
        ("DROP TABLE old", "ALTER TABLE t DROP COLUMN c", "DROP INDEX IF EXISTS i"),
    )
    assert {name: e.vacuous for name, e in absent(net).items()} == {"old": False, "t.c": False, "i": True}


def test_a_rename_takes_everything_along() -> None:
    net = net_of(
        (
            "CREATE TABLE a (id int PRIMARY KEY, x text CONSTRAINT ck CHECK (x <> ''))",
            "CREATE INDEX i ON a (lower(x), id DESC) WHERE x IS NOT NULL",
            "CREATE TABLE c (a_id int REFERENCES a (id))",
        ),
        ("ALTER TABLE a RENAME TO b", "ALTER TABLE b RENAME COLUMN x TO y", "ALTER TABLE b SET SCHEMA s"),
    )
    found = present(net)
    assert set(found) == {"s.b", "s.b.id", "s.b.a_pkey", "s.b.y", "s.b.ck", "s.i", "c", "c.a_id", "c.c_a_id_fkey"}
    assert found["s.b.ck"].facts["expression"] == {"column y", "operator <>", "constant "}
    assert found["s.i"].facts["columns"] == ("column y function lower", "id desc")
    assert found["s.i"].facts["table"] == "b"
    assert found["c.c_a_id_fkey"].facts["references"] == ("s", "b")
    assert found["s.b.y"].revisions == ("r1", "r2")


def test_the_last_type_counts_and_remembers_who_set_it() -> None:
    net = net_of(
        ("CREATE TABLE t (a int)",), ("ALTER TABLE t ALTER a TYPE bigint",), ("ALTER TABLE t ALTER a SET NOT NULL",)
    )
    column = present(net)["t.a"]
    assert (column.facts["type"], column.facts["nullable"]) == ("bigint", False)
    assert (column.origin["type"].revision, column.origin["nullable"].revision) == ("r2", "r3")


def test_setting_what_is_so_already_is_no_effect() -> None:
    net = net_of(("CREATE TABLE t (a int NOT NULL)",), ("ALTER TABLE t ALTER a SET NOT NULL",))
    assert present(net)["t.a"].revisions == ("r1",)


def test_unnamed_constraints_go_by_the_name_that_the_server_gives() -> None:
    net = net_of(
        ("CREATE TABLE t (a int UNIQUE, b int, CHECK (a > 0), UNIQUE (a, b))",),
        ("ALTER TABLE t DROP CONSTRAINT t_a_key", "ALTER TABLE t DROP CONSTRAINT t_a_check"),
    )
    assert set(present(net)) == {"t", "t.a", "t.b", "t.t_a_b_key"}


@pytest.mark.parametrize(
    ("columns", "made"),
    [
        ("a int PRIMARY KEY UNIQUE", {"t.t_pkey"}),
        ("a int, b int, UNIQUE (a, b), PRIMARY KEY (a, b)", {"t.t_pkey"}),
        ("a int, b int, UNIQUE (b, a), PRIMARY KEY (a, b)", {"t.t_pkey", "t.t_b_a_key"}),
        ("a int UNIQUE, UNIQUE (a)", {"t.t_a_key"}),
        ("a int PRIMARY KEY, CONSTRAINT u UNIQUE (a)", {"t.u"}),
        ("a int CONSTRAINT one UNIQUE, CONSTRAINT two UNIQUE (a)", {"t.one"}),
        ("a int PRIMARY KEY, CONSTRAINT u UNIQUE (a) DEFERRABLE", {"t.t_pkey", "t.u"}),
    ],
)
def test_a_table_has_one_index_for_constraints_that_ask_for_the_same(columns, made) -> None:
    assert {
        name for name in present(net_of((f"CREATE TABLE t ({columns})",))) if name not in {"t", "t.a", "t.b"}
    } == made


def test_enum_labels() -> None:
    net = net_of(
        ("CREATE TYPE e AS ENUM ('a', 'b')",), ("ALTER TYPE e RENAME VALUE 'a' TO 'c'", "ALTER TYPE e ADD VALUE 'd'")
    )
    assert present(net)["e"].facts["labels"] == ("c", "b")
    assert "e.d" in present(net)
    assert set(absent(net_of(("CREATE TYPE e AS ENUM ('a')", "ALTER TYPE e ADD VALUE 'd'"), ("DROP TYPE e",)))) == {"e"}


NAMES = st.sampled_from(["a", "b", "c"])
STATEMENTS = st.one_of(
    st.builds("CREATE TABLE {} (x int, y text)".format, NAMES),
    st.builds("DROP TABLE {}".format, NAMES),
    st.builds("ALTER TABLE {} RENAME TO {}".format, NAMES, NAMES),
    st.builds("ALTER TABLE {} ADD COLUMN {} int".format, NAMES, NAMES),
    st.builds("ALTER TABLE {} DROP COLUMN {}".format, NAMES, st.sampled_from(["x", "y", "a", "b"])),
    st.builds(
        "ALTER TABLE {} RENAME COLUMN {} TO {}".format, NAMES, st.sampled_from(["x", "y", "a"]), st.sampled_from("xyz")
    ),
    st.builds(
        "ALTER TABLE {} ALTER COLUMN x TYPE {}".format, NAMES, st.sampled_from(["bigint", "numeric(5, 1)", "text"])
    ),
    st.builds("ALTER TABLE {} ALTER COLUMN x {} NOT NULL".format, NAMES, st.sampled_from(["SET", "DROP"])),
    st.builds("ALTER TABLE {} ADD CONSTRAINT {} UNIQUE (x, y)".format, NAMES, st.sampled_from(["u", "v"])),
    st.builds("ALTER TABLE {} DROP CONSTRAINT {}".format, NAMES, st.sampled_from(["u", "v"])),
    st.builds("CREATE INDEX {} ON {} (y, x DESC)".format, st.sampled_from(["i", "j"]), NAMES),
    st.builds("DROP INDEX {}".format, st.sampled_from(["i", "j"])),
    st.builds("ALTER TABLE {} ADD CHECK (x > 5)".format, NAMES),
    st.just("CREATE TYPE e AS ENUM ('k', 'l')"),
    st.just("ALTER TYPE e RENAME TO f"),
    st.just("DROP TYPE e"),
    st.just("CREATE SCHEMA s"),
    st.just("CREATE VIEW v AS SELECT x FROM a"),
    st.just("DROP VIEW v"),
    st.builds("ALTER TABLE {} SET SCHEMA s".format, NAMES),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(STATEMENTS, min_size=3, max_size=25))
def test_random_sequences_equal_the_catalog_that_they_leave(scratch, statements) -> None:
    """What really ran, folded, holds on the database on which it ran; and nothing else is there."""
    ran, snapshot = scratch(["CREATE TABLE a (x int, y text)", *statements])
    net = fold([footprint(f"r{n}", sql) for n, sql in enumerate(ran)])[-1]
    from alembic_rescue.judging.comparison import assess

    for expectation in net.expectations.values():
        made = assess(expectation, snapshot)
        assert made.presence.value == ("present" if expectation.present else "absent"), (
            ran,
            str(expectation.key),
            made,
        )
    shown = {
        str(k) for k, e in net.expectations.items() if e.present and e.key.kind.value in {"table", "column", "index"}
    }
    there = {str(k).removeprefix("public.") for k in snapshot.objects if k.kind.value in {"table", "column", "index"}}
    backing = {e.key.name for e in net.expectations.values() if e.key.kind.value == "constraint"}
    assert {n for n in there - shown if n.split(".")[-1] not in backing and not n.startswith("v.")} == set(), ran
