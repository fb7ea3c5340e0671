"""One revision was stamped over, or one object damaged, and the others ran: who is named, and which SQL is offered.

Each case is a chain of SQL.  The offered SQL is run, and must neither fail nor revert what another revision did.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chains import told, write
from tests.conftest import Database
from tests.observed import observe

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    name: str
    bodies: tuple[str, ...]
    verdicts: str
    """The first letters, one for each revision."""
    left_out: tuple[int, ...] = ()
    live: str = ""
    """What somebody did afterwards."""
    offered: bool = True
    """After the printed SQL, everything is as the chain leaves it."""


T = "CREATE TABLE t (a int, b int)"
DROP_B = "ALTER TABLE t DROP COLUMN b"
ADD_S = "ALTER TABLE t ADD s text; CREATE INDEX i_s ON t (s)"
OTHER = "CREATE TABLE other (id int)"
CASES = (
    # a dropped object has gone along with what it belonged to
    Case("column, table renamed", (T, DROP_B, "ALTER TABLE t RENAME TO u"), "ana", (2,), offered=False),
    Case(
        "column, table moved",
        (f"CREATE SCHEMA s; {T}", DROP_B, "ALTER TABLE t SET SCHEMA s"),
        "ana",
        (2,),
        offered=False,
    ),
    Case(
        "constraint, table renamed",
        (
            "CREATE TABLE t (a int CONSTRAINT c CHECK (a > 0))",
            "ALTER TABLE t DROP CONSTRAINT c",
            "ALTER TABLE t RENAME TO u",
        ),
        "ana",
        (2,),
        offered=False,
    ),
    Case(
        "default, column renamed",
        ("CREATE TABLE t (a int DEFAULT 1)", "ALTER TABLE t ALTER a DROP DEFAULT", "ALTER TABLE t RENAME a TO b"),
        "ana",
        (2,),
    ),
    Case(
        "table, schema renamed",
        (
            "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE TABLE s.k (a int)",
            "DROP TABLE s.t",
            "ALTER SCHEMA s RENAME TO s2",
        ),
        "ana",
        (2,),
        offered=False,
    ),
    Case(
        "constraint, domain renamed",
        (
            "CREATE DOMAIN d AS text CONSTRAINT c CHECK (VALUE <> '')",
            "ALTER DOMAIN d DROP CONSTRAINT c",
            "ALTER DOMAIN d RENAME TO e",
        ),
        "ana",
        (2,),
        offered=False,
    ),
    # what a later revision does stays its own
    Case(
        "default dropped since",
        (T, "ALTER TABLE t ADD g int DEFAULT 1", ADD_S, "ALTER TABLE t ALTER g DROP DEFAULT"),
        "aana",
        live="ALTER TABLE t DROP s",
    ),
    Case(
        "nullable since",
        (T, "ALTER TABLE t ADD g int NOT NULL", ADD_S, "ALTER TABLE t ALTER g DROP NOT NULL"),
        "aana",
        live="ALTER TABLE t DROP s",
    ),
    Case(
        "widened since",
        (T, "ALTER TABLE t ADD g varchar(5)", ADD_S, "ALTER TABLE t ALTER g TYPE text"),
        "aana",
        live="ALTER TABLE t DROP s",
    ),
    Case(
        "index of a renamed column",
        (T, "CREATE INDEX ia ON t (a)", "ALTER TABLE t RENAME a TO c"),
        "ana",
        live="DROP INDEX ia",
    ),
    Case(
        "policy altered since",
        (
            f"{T}; {OTHER}",
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true)",
            "ALTER POLICY p ON t USING (a > 5)",
        ),
        "apn",
        live="DROP POLICY p ON t",
    ),
    Case(
        "sequence altered since",
        (T, "CREATE SEQUENCE s", "ALTER SEQUENCE s INCREMENT 10"),
        "ann",
        live="DROP SEQUENCE s",
    ),
    # the application's objects are left alone
    Case(
        "type with CASCADE",
        ("CREATE TYPE st AS ENUM ('a')", "DROP TYPE st CASCADE"),
        "an",
        (2,),
        live="CREATE TABLE app (s st)",
        offered=False,
    ),
    Case(
        "column of an index made by hand",
        (T, DROP_B),
        "an",
        (2,),
        live="CREATE INDEX by_hand ON t (a, b)",
        offered=False,
    ),
    Case(
        "NOT NULL by hand",
        (f"CREATE TABLE t (a int); {OTHER}",),
        "p",
        live="ALTER TABLE t ALTER a SET NOT NULL",
        offered=False,
    ),
    Case(
        "a view's option by hand",
        (T, "CREATE VIEW v AS SELECT a FROM t", "CREATE OR REPLACE VIEW v AS SELECT a, b FROM t"),
        "apn",
        (3,),
        live="ALTER VIEW v SET (security_invoker = true)",
        offered=False,
    ),
    Case(
        "settings by hand",
        (T, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 77', current_database()); END $$"),
        "aa",
        live="DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 9000', current_database()); END $$",
    ),
    # the offered SQL runs
    Case(
        "constraint made anew",
        (
            "CREATE TABLE t (a int CONSTRAINT c CHECK (a > 0))",
            "ALTER TABLE t DROP CONSTRAINT c|ALTER TABLE t ADD CONSTRAINT c CHECK (a > 9)",
        ),
        "an",
        (2,),
    ),
    Case("index made anew", (f"{T}; CREATE INDEX i ON t (a)", "DROP INDEX i|CREATE INDEX i ON t (a, b)"), "an", (2,)),
    Case(
        "key on another column",
        (
            f"{T}; ALTER TABLE t ADD PRIMARY KEY (a)",
            "ALTER TABLE t DROP CONSTRAINT t_pkey|ALTER TABLE t ADD PRIMARY KEY (b)",
        ),
        "an",
        (2,),
    ),
    Case("reserved words", (f'{OTHER}; CREATE TABLE t ("user" text, "order" int)',), "p", live="DROP TABLE t"),
    Case("serial", (f"{OTHER}; CREATE TABLE t (id serial, a int)",), "p", live="ALTER TABLE t DROP id"),
    Case(
        "partition",
        (
            "CREATE TABLE m (a int) PARTITION BY LIST (a); CREATE TABLE m1 PARTITION OF m FOR VALUES IN (1)",
            f"ALTER TABLE m ADD z int DEFAULT 1; {OTHER}",
        ),
        "ap",
        live="ALTER TABLE m DROP z",
    ),
    # several changes of one object, some of them reverted
    Case(
        "an index made anew, its table renamed since",
        (
            f"{T}; CREATE INDEX i ON t (a)",
            "DROP INDEX i|CREATE INDEX i ON t (a, b)",
            "ALTER TABLE t RENAME TO u",
            OTHER,
        ),
        "anaa",
        (2,),
        offered=False,
    ),
    Case(
        "type and not null",
        (T, "ALTER TABLE t ALTER a TYPE bigint|ALTER TABLE t ALTER a SET NOT NULL", OTHER),
        "ana",
        (2,),
    ),
    Case(
        "default and not null",
        (T, "ALTER TABLE t ALTER a SET DEFAULT 1|ALTER TABLE t ALTER a SET NOT NULL", OTHER),
        "apa",
        live="ALTER TABLE t ALTER a DROP DEFAULT",
    ),
    Case(
        "not null and default",
        (T, "ALTER TABLE t ALTER a SET NOT NULL|ALTER TABLE t ALTER a SET DEFAULT 1", OTHER),
        "apa",
        live="ALTER TABLE t ALTER a DROP DEFAULT",
    ),
    Case(
        "granted, and one taken back since",
        (T, "GRANT SELECT, INSERT ON t TO pg_monitor", "REVOKE INSERT ON t FROM pg_monitor", OTHER),
        "anaa",
        (2,),
    ),
    Case(
        "not null, and one taken back since",
        (T, "ALTER TABLE t ALTER a SET NOT NULL, ALTER b SET NOT NULL", "ALTER TABLE t ALTER b DROP NOT NULL", OTHER),
        "anaa",
        (2,),
    ),
    Case(
        "one of two labels",
        ("CREATE TYPE st AS ENUM ('a', 'b')", "ALTER TYPE st ADD VALUE 'e'", "ALTER TYPE st ADD VALUE 'f'", OTHER),
        "anaa",
        (2,),
    ),
    Case(
        "one left out, and what the next one dropped",
        (f"{T}; CREATE INDEX ia ON t (a)", "ALTER TABLE t ADD CONSTRAINT u UNIQUE (b)", "DROP INDEX ia"),
        "una",
        (2,),
    ),
    Case(
        "default privileges",
        (
            "CREATE SCHEMA s",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO pg_monitor",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO PUBLIC",
            OTHER,
        ),
        "apaa",
        (2,),
        offered=False,
    ),
    Case(
        "search path",
        (
            f"CREATE SCHEMA ta; {OTHER}",
            "SET LOCAL search_path TO ta, public|CREATE TABLE x (id int)|CREATE TABLE y (id int)",
        ),
        "ap",
        live="DROP TABLE ta.x",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_is_named_and_what_is_offered(database: Database, scratch: Database, tmp_path: Path, case: Case) -> None:
    bodies = ["\n".join(f"op.execute({sql!r})" for sql in body.split("|")) for body in case.bodies]
    chain = write(tmp_path / "project", database.url, bodies)
    observed = observe(chain.root, chain.revisions, scratch)
    ran = ["pass" if number in case.left_out else body for number, body in enumerate(bodies, start=1)]
    write(tmp_path / "live", database.url, ran).upgrade("head")
    if case.live:
        database.run(case.live)
    found = observed.judged(database)
    assert "".join(one.verdict.value[0] for one in found) == case.verdicts, "\n".join(map(told, found))
    after = found
    for _ in range(2):  # what changes it again is offered once it exists
        for sql in [o.sql for one in after for o in one.missing if o.sql]:
            database.run(sql)
        after = observed.judged(database)
    if case.offered:
        assert [one.verdict.value for one in after] == ["applied"] * len(bodies), "\n".join(map(told, after))
    else:
        assert after == found, "nothing was offered"
