"""``rehearse``: the next upgrade on a copy of the schema, and what only the live rows decide (promise 9)."""

# ruff: noqa: E501, ISC004 - bodies of revisions

from __future__ import annotations

from dataclasses import replace

import pytest

from alembic_rescue.evidence.rehearsal import Rehearsal
from tests import chains
from tests.conftest import ProjectCopy

BASE = """
op.execute('''
  CREATE TABLE parents (id integer PRIMARY KEY);
  CREATE TABLE orders (
    id integer PRIMARY KEY, email text, note text, code text, size bigint, price numeric(12,4), parent integer,
    state text NOT NULL DEFAULT 'new')
''')
"""
ROWS = """
INSERT INTO parents VALUES (1);
INSERT INTO orders VALUES
  (1, 'a@x', 'n', '12', 5, 1.5, 1, 'new'),
  (2, 'a@x', NULL, 'abc', 3000000000, 12345678.5, 7, 'done'),
  (3, NULL, 'a longer note', '7', NULL, NULL, NULL, 'odd'),
  (4, NULL, NULL, NULL, 2, 2, 1, 'new');
CREATE TABLE elders (id integer); CREATE TABLE heirs () INHERITS (elders);
INSERT INTO elders VALUES (1); INSERT INTO heirs VALUES (1);
CREATE TABLE parted (id integer) PARTITION BY LIST (id); CREATE TABLE rest PARTITION OF parted DEFAULT;
CREATE TABLE lone (id integer); INSERT INTO lone VALUES (1), (2); INSERT INTO parted VALUES (7);
CREATE DOMAIN positive AS integer; CREATE TABLE held (p positive); INSERT INTO held VALUES (-1)
"""
DECIDED = {
    "set not null": ("op.alter_column('orders', 'note', nullable=False)", 2, ["2", "4"]),
    "a new column without default": ("op.add_column('orders', sa.Column('x', sa.Integer, nullable=False))", 4, None),
    "unique": ("op.create_unique_constraint('uq', 'orders', ['email'])", 2, ["1", "2"]),
    "unique index on an expression": (
        "op.execute('CREATE UNIQUE INDEX ix ON orders (lower(state)) WHERE size < 9')",
        2,
        None,
    ),
    "nulls not distinct": ("op.execute('CREATE UNIQUE INDEX ix ON orders (email) NULLS NOT DISTINCT')", 4, None),
    "primary key": (
        "op.drop_constraint('orders_pkey', 'orders'); op.create_primary_key('pk', 'orders', ['state'])",
        2,
        ["1", "4"],
    ),
    "foreign key": ("op.create_foreign_key('fk', 'orders', 'parents', ['parent'], ['id'])", 1, ["2"]),
    "check": ("op.create_check_constraint('ck', 'orders', \"length(note) < 10 AND state LIKE 'n%'\")", 2, None),
    "text becomes integer": (
        "op.alter_column('orders', 'code', type_=sa.Integer, postgresql_using='code::integer')",
        1,
        ["2"],
    ),
    "bigint becomes integer": ("op.alter_column('orders', 'size', type_=sa.Integer)", 1, ["2"]),
    "shorter": ("op.alter_column('orders', 'note', type_=sa.String(5))", 1, ["3"]),
    "numeric": ("op.alter_column('orders', 'price', type_=sa.Numeric(6, 2))", None, None),
    "enum": (
        "sa.Enum('new', 'done', name='state').create(op.get_bind()); op.execute('ALTER TABLE orders ALTER state DROP DEFAULT');"
        "op.alter_column('orders', 'state', type_=sa.Enum(name='state'), postgresql_using='state::state')",
        1,
        ["3"],
    ),
    "after a rename": (
        "op.rename_table('orders', 'sales'); op.alter_column('sales', 'note', new_column_name='remark');"
        "op.create_check_constraint('ck', 'sales', 'length(remark) < 100'); op.alter_column('sales', 'remark', nullable=False)",
        2,
        ["2", "4"],
    ),
    "in a second step": (
        "op.execute(\"ALTER TABLE orders ADD CONSTRAINT ck CHECK (state <> 'odd') NOT VALID\"); "
        "op.execute('ALTER TABLE orders VALIDATE CONSTRAINT ck')",
        1,
        ["3"],
    ),
}
"""What fails on these rows: a revision, how many do not fit the last demand (None: not counted), and their keys."""
DECIDED |= {
    "a default that comes later": (
        "op.add_column('orders', sa.Column('x', sa.Integer, nullable=False)); op.alter_column('orders', 'x', server_default='0')",
        4,
        None,
    ),
    "a default of another column": (
        "op.execute('ALTER TABLE orders ADD COLUMN x integer NOT NULL, ADD COLUMN y integer DEFAULT 1')",
        4,
        None,
    ),
    "shorter, in parentheses": ("op.execute('ALTER TABLE orders ALTER note TYPE varchar(5) USING (note)')", 1, ["3"]),
}
DECIDED |= {
    "a demand that is dropped again": (
        "op.create_check_constraint('ck', 'orders', \"state <> 'odd'\"); op.drop_constraint('ck', 'orders')",
        1,
        ["3"],
    ),
    "a default that goes before the key": (
        "op.add_column('orders', sa.Column('x', sa.Integer, server_default='0'));"
        "op.alter_column('orders', 'x', server_default=None); op.create_unique_constraint('u', 'orders', ['x'])",
        4,
        None,
    ),
    "an index on an expression": (
        "op.execute('CREATE INDEX ix ON orders ((1 / (size - 5))) WHERE size > 3')",
        None,
        None,
    ),
    "a generated column": (
        "op.execute('ALTER TABLE orders ADD x bigint GENERATED ALWAYS AS (1 / (size - 2)) STORED')",
        None,
        None,
    ),
    "unique, and then rounded": (
        "op.execute('CREATE UNIQUE INDEX ux ON orders (price)'); op.alter_column('orders', 'price', type_=sa.Integer)",
        2,
        None,
    ),
    "match full": (
        "op.execute('ALTER TABLE parents ADD b integer; CREATE UNIQUE INDEX k ON parents (id, b);"
        "ALTER TABLE orders ADD b integer; ALTER TABLE orders ADD FOREIGN KEY (parent, b) REFERENCES parents (id, b) MATCH FULL')",
        3,
        ["1", "2", "4"],
    ),
}
DECIDED |= {
    "a primary key of the same name": (
        "op.drop_constraint('orders_pkey', 'orders'); op.create_primary_key('orders_pkey', 'orders', ['state'])",
        2,
        ["1", "4"],
    ),
    "unique of the same name": (
        "op.create_unique_constraint('u', 'orders', ['id', 'email']); op.drop_constraint('u', 'orders');"
        "op.create_unique_constraint('u', 'orders', ['email'])",
        2,
        ["1", "2"],
    ),
    "the same name, and another expression": (
        "op.execute('CREATE UNIQUE INDEX u ON orders ((id + 1))'); op.drop_index('u', 'orders');"
        "op.execute('CREATE UNIQUE INDEX u ON orders ((id / 2))')",
        2,
        None,
    ),
    "the same name, and unique now": (
        "op.execute('CREATE INDEX u ON orders (lower(email))'); op.drop_index('u', 'orders');"
        "op.execute('CREATE UNIQUE INDEX u ON orders (lower(email))')",
        2,
        ["1", "2"],
    ),
    "the same name, and NULLs not distinct": (
        "op.execute('CREATE UNIQUE INDEX u ON orders (parent)  WHERE id <> 1'); op.drop_index('u', 'orders');"
        "op.execute('CREATE UNIQUE INDEX u ON orders (note) NULLS NOT DISTINCT')",
        2,
        ["2", "4"],
    ),
}
FIT = {
    "a key of the same name that fits": "op.drop_constraint('orders_pkey', 'orders');"
    "op.create_primary_key('orders_pkey', 'orders', ['id', 'state'])",
    "an index that a new type makes again": "op.execute('CREATE UNIQUE INDEX u ON orders (lower(id::text)) WHERE id > 0');"
    "op.execute('DROP INDEX u; CREATE UNIQUE INDEX u ON orders (lower(id::text))');"
    "op.alter_column('orders', 'id', type_=sa.Text)",
    "an index on a column that is called otherwise": "op.create_index('u', 'orders', ['id'], unique=True);"
    "op.alter_column('orders', 'id', new_column_name='number'); op.alter_column('orders', 'number', type_=sa.BigInteger)",
    "unique on a parent of inherited tables": "op.create_unique_constraint('u', 'elders', ['id'])",
    "a serial": "op.execute('ALTER TABLE orders ADD COLUMN x serial NOT NULL')",
    "cast by way of another type": "op.alter_column('orders', 'price', type_=sa.BigInteger, postgresql_using='price::text::numeric::bigint')",
    "not null": "op.execute('ALTER TABLE orders ALTER state DROP NOT NULL'); op.alter_column('orders', 'state', nullable=False)",
    "a new column with a default": "op.add_column('orders', sa.Column('x', sa.Integer, nullable=False, server_default='1'))",
    "whose default goes": "op.add_column('orders', sa.Column('x', sa.Uuid, nullable=False, "
    "server_default=sa.text('gen_random_uuid()'))); op.alter_column('orders', 'x', server_default=None)",
    "a new nullable column": "op.add_column('orders', sa.Column('x', sa.Integer)); op.create_unique_constraint('u', 'orders', ['x'])",
    "unique over two": "op.create_unique_constraint('uq', 'orders', ['email', 'id'])",
    "unique but for some": "op.execute('CREATE UNIQUE INDEX ix ON orders (state) WHERE size = 5')",
    "an index on an expression": "op.execute('CREATE INDEX ix ON orders ((1 / (size - 5))) WHERE size < 4')",
    "a generated column": "op.execute('ALTER TABLE orders ADD x bigint GENERATED ALWAYS AS (1 / (size - 6)) STORED')",
    "a key of another type": "op.alter_column('orders', 'id', type_=sa.Numeric);"
    "op.alter_column('orders', 'id', type_=sa.Integer, postgresql_using='(id * 2)::integer')",
    "a key as text": "op.alter_column('orders', 'id', type_=sa.Text)",
    "check": "op.create_check_constraint('ck', 'orders', 'size > 0')",
    "not validated": "op.execute('ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parents NOT VALID')",
    "longer": "op.alter_column('orders', 'note', type_=sa.String(50)); op.alter_column('orders', 'note', type_=sa.Text)",
    "cut off": "op.alter_column('orders', 'note', type_=sa.String(5), postgresql_using='note::varchar(5)')",
    "wider": "op.alter_column('orders', 'parent', type_=sa.BigInteger)",
    "converted": "op.alter_column('orders', 'code', type_=sa.Integer, "
    "postgresql_using=\"NULLIF(regexp_replace(code, '[^0-9]', '', 'g'), '')::integer\")",
    "a new table": "op.create_table('n', sa.Column('id', sa.Integer, primary_key=True), sa.Column('x', sa.Text, unique=True))",
}


def made(database, tmp_path, *bodies, rows=ROWS):
    revisions = {"r1": BASE, **{f"r{n}": body for n, body in enumerate(bodies, 2)}}
    root = chains.write(tmp_path / "project", database.url, revisions).root
    copy = ProjectCopy(root, tmp_path / "state", database)
    assert copy.alembic("upgrade", "r1").status == 0
    database.run(rows)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("case", DECIDED)
def test_a_requirement_that_the_rows_do_not_fit_fails_as_the_upgrade_does(case, database, tmp_path):
    body, count, keys = DECIDED[case]
    project = made(database, tmp_path, body)
    answer = project.rescue("--format", "json", "rehearse")
    (part,) = answer.json["databases"]
    told = part["rehearsal"]
    assert (answer.status, answer.json["outcome"], told["fails_at"]) == (3, "fails", "r2"), told
    assert told["error"] == ""
    (one,) = [one for one in told["answers"] if one["violated"]]
    assert one["count"] == count
    if keys is not None:
        assert list(one["keys"]) == keys
    assert one["fix"]
    if one["query"]:
        assert len(database.run(one["query"])) == count
    assert one["path"].endswith(".py")
    assert one["line"]
    assert project.alembic("upgrade", "head").status != 0, "it really fails"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "places"),
    [
        ("CREATE MATERIALIZED VIEW m AS SELECT 1 / (size - 5) AS x FROM orders", 1),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1 / (size - 5) AS x FROM orders WITH NO DATA", 0),
        ("CREATE TABLE m AS (SELECT * FROM orders); ALTER TABLE m ADD PRIMARY KEY (email)", 1),
        ("CREATE VIEW m AS SELECT 1 / (size - 5) AS x FROM orders", 0),
    ],
)
def test_what_a_query_makes_of_rows_is_unknown(body, places, database, tmp_path):
    _, _, told, _ = rehearsed(made(database, tmp_path, f"op.execute('{body}')"))
    assert len(told["unrehearsed"]) == places


PARTED = {
    "attached": ("op.execute('ALTER TABLE parted ATTACH PARTITION lone FOR VALUES IN (1)')", "fails"),
    "beside the default": ("op.execute('CREATE TABLE p7 PARTITION OF parted FOR VALUES IN (7)')", "fails"),
    "attached and fitting": ("op.execute('ALTER TABLE parted ATTACH PARTITION lone FOR VALUES IN (1, 2)')", "passes"),
    "beside the default and fitting": ("op.execute('CREATE TABLE p8 PARTITION OF parted FOR VALUES IN (8)')", "passes"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PARTED)
def test_rows_of_partitions_are_checked(case, database, tmp_path):
    body, wanted = PARTED[case]
    project = made(database, tmp_path, body)
    _, outcome, told, _ = rehearsed(project)
    assert outcome == wanted, told
    assert (project.alembic("upgrade", "head").status == 0) == (wanted == "passes")


@pytest.mark.slow
def test_a_domains_requirement_is_not_called_passing(database, tmp_path):
    project = made(database, tmp_path, "op.execute('ALTER DOMAIN positive ADD CHECK (VALUE > 0)')")
    status, outcome, told, document = rehearsed(project)
    assert (status, outcome, document["error"]["code"]) == (2, "error", "rows-not-told"), told
    assert "domain" in document["error"]["message"]
    assert project.alembic("upgrade", "head").status != 0, "it really fails"


@pytest.mark.slow
@pytest.mark.parametrize("case", FIT)
def test_a_requirement_that_the_rows_fit_passes_as_the_upgrade_does(case, database, tmp_path):
    project = made(database, tmp_path, FIT[case])
    answer = project.rescue("--format", "json", "rehearse")
    told = answer.json["databases"][0]["rehearsal"]
    assert (answer.status, answer.json["outcome"], told["sure"]) == (0, "passes", not told["unrehearsed"]), told
    assert not [one for one in told["answers"] if one["unknown"]], told
    assert project.alembic("upgrade", "head").status == 0, "it really passes"


def rehearsed(project, *options, globals_=()):
    answer = project.rescue("--format", "json", *globals_, "rehearse", *options)
    document = answer.json
    return answer.status, document["outcome"], document["databases"][0]["rehearsal"], document


BACKFILL = """
op.add_column('orders', sa.Column('total', sa.Integer))
op.execute('UPDATE orders SET total = 0')
op.alter_column('orders', 'total', nullable=False)
op.execute("UPDATE orders SET state = 'x'")
op.alter_column('orders', 'note', nullable=False)
"""


@pytest.mark.slow
def test_what_the_run_itself_fixes_is_reported_and_fails_nothing(database, tmp_path):
    """An UPDATE of another column fixes nothing."""
    status, outcome, told, _ = rehearsed(made(database, tmp_path, BACKFILL))
    assert (status, outcome) == (3, "fails")
    mended = {answer["demand"]["about"]: answer["mended_by"] for answer in told["answers"]}
    (place,) = mended["total"]
    assert place.endswith("r2.py:10")
    assert mended["note"] == []
    assert told["unrehearsed"]


FAILS = {
    "an error": ("op.execute('DROP TABLE nowhere')", 'table "nowhere" does not exist', 9),
    "swallowed": (
        "try:\n    op.execute('DROP TABLE nowhere')\nexcept Exception:\n    pass\nop.create_table('z')",
        "current transaction is aborted",
        10,
    ),
    "Python's own": ("raise NotImplementedError('later')", "NotImplementedError: later", 9),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAILS)
def test_if_the_run_fails_the_place_is_named(case, database, tmp_path):
    body, error, line = FAILS[case]
    project = made(database, tmp_path, "op.create_table('y')", body)
    status, outcome, told, document = rehearsed(project)
    assert (status, outcome, told["failed"]) == (3, "fails", "r3")
    assert told["error"].startswith(error)
    assert (told["path"], told["line"]) == ("alembic/versions/r3.py", line)
    if case == "swallowed":
        (cause,) = told["causes"]
        assert (cause["line"], cause["swallowed"], cause["handler_line"]) == (10, True, 11)
    assert document["databases"][0]["recommendation"]["action"] == "stop"
    assert rehearsed(project, "r2")[:2] == (0, "passes"), "up to the one before"


@pytest.mark.slow
def test_a_failure_for_lack_of_rows_is_unknown(database, tmp_path):
    body = "op.get_bind().execute(text('SELECT id FROM orders WHERE id = 1')).scalar_one()"
    status, outcome, told, document = rehearsed(made(database, tmp_path, body))
    assert (status, outcome, document["error"]["code"]) == (2, "error", "not-rehearsed")
    assert "NoResultFound" in document["error"]["message"]
    assert (told["passes"], told["fails"], told["sure"]) == (False, False, False)


def test_a_run_that_ends_for_lack_of_rows_leaves_something_unknown():
    ended = Rehearsal(("r2",), failed="r2", error="NoResultFound")
    assert ended.is_sure
    assert not replace(ended, undecided=True).is_sure


VOLATILE = """
op.execute("ALTER TABLE orders ADD CONSTRAINT ck CHECK (lo_create(4711) > 0) NOT VALID")
op.execute("ALTER TABLE orders VALIDATE CONSTRAINT ck")
op.execute("CREATE FUNCTION own(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'")
op.create_check_constraint('ck2', 'orders', 'own(id)')
"""


@pytest.mark.slow
def test_no_function_of_the_migrations_runs_on_the_live_database(database, tmp_path):
    database.run(
        "CREATE FUNCTION own(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'", role="postgres"
    )
    project = made(database, tmp_path, VOLATILE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    _, _, told, _ = rehearsed(project)
    assert told["failed"] is None or "own" in told["error"]
    assert all("change nothing" in answer["unknown"] for answer in told["answers"]), told["answers"]
    assert database.run("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


OWN_NAMES = """
op.create_check_constraint('ck', 'orders', 'jsonb_is_good(id)')
op.execute('ALTER TABLE orders ADD CONSTRAINT ck2 CHECK (pg_advisory_lock(id) IS NOT NULL) NOT VALID')
op.execute('ALTER TABLE orders VALIDATE CONSTRAINT ck2')
"""


@pytest.mark.slow
def test_a_function_is_harmless_by_what_it_is_and_not_by_its_name(database, tmp_path):
    project = made(database, tmp_path, OWN_NAMES)
    database.run(
        "CREATE FUNCTION jsonb_is_good(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN PERFORM pg_advisory_lock(4711); RETURN true; END $$"
    )
    _, _, told, _ = rehearsed(project)
    assert [answer["unknown"] for answer in told["answers"]] == ["it calls a function that may change data"] * 2


NOT_KNOWN = {
    "a loop in Python": (
        "op.add_column('orders', sa.Column('slug', sa.Text))\nb = op.get_bind()\n"
        "for (i,) in b.execute(text('SELECT id FROM orders')).fetchall():\n"
        "    b.execute(text('UPDATE orders SET slug = :i WHERE id = :i2'), {'i': str(i), 'i2': i})\n"
        "op.alter_column('orders', 'slug', nullable=False)"
    ),
    "mended, then renamed": (
        "op.execute(\"UPDATE orders SET note = 'z' WHERE note IS NULL\")\n"
        "op.alter_column('orders', 'note', new_column_name='remark')\nop.alter_column('orders', 'remark', nullable=False)"
    ),
    "a cascade": ("op.execute('TRUNCATE orders, parents CASCADE')\nop.alter_column('orders', 'note', nullable=False)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NOT_KNOWN)
def test_what_the_run_may_fix_is_not_called_failing(case, database, tmp_path):
    project = made(database, tmp_path, NOT_KNOWN[case])
    _, outcome, told, _ = rehearsed(project)
    assert outcome == "passes", told
    assert any(answer["violated"] and answer["mended_by"] for answer in told["answers"])
    assert "Some of it is unknown" in project.rescue("rehearse").stdout
    assert project.alembic("upgrade", "head").status == 0, "it really passes"


FILLED = {
    "a new table with a key": (
        "op.create_table('z', sa.Column('n', sa.Text, primary_key=True))\nop.execute('INSERT INTO z SELECT email FROM orders')",
        ["r2.py:10"],
        "public.z is filled by a query and must satisfy z_pkey, n NOT NULL",
    ),
    "a key for what a query made": (
        "op.execute('CREATE TABLE z AS SELECT email AS n FROM orders')\nop.create_unique_constraint('u', 'z', ['n'])",
        ["r2.py:9"],
        "public.z is filled by a query and must satisfy u",
    ),
    "an old table": (
        "op.execute('INSERT INTO parents SELECT parent FROM orders')\nop.create_index('ix', 'parents', ['id'])",
        ["r2.py:9"],
        "public.parents is filled by a query and must satisfy parents_pkey, id NOT NULL",
    ),
    "a copy that takes its place": (
        "op.create_table('z', sa.Column('n', sa.Text, unique=True))\nop.execute('INSERT INTO z SELECT email FROM orders')\n"
        "op.rename_table('orders', 'old')\nop.rename_table('z', 'orders')",
        ["r2.py:10"],
        "public.z is filled by a query and must satisfy z_n_key",
    ),
    "by way of another": (
        "op.execute('CREATE TEMP TABLE t AS SELECT email FROM orders')\n"
        "op.create_table('z', sa.Column('n', sa.Text), sa.CheckConstraint(\"n <> 'a@x'\", 'ck'))\n"
        "op.execute('INSERT INTO z SELECT email FROM t')",
        ["r2.py:11"],
        "public.z is filled by a query and must satisfy ck",
    ),
}
"""What the run fills: the lines that are named, and what is reported."""


@pytest.mark.slow
@pytest.mark.parametrize("case", FILLED)
def test_a_table_that_the_run_fills_from_a_query_is_not_called_passing(case, database, tmp_path):
    body, lines, told = FILLED[case]
    project = made(database, tmp_path, body)
    status, outcome, found, document = rehearsed(project)
    assert (status, outcome, document["error"]["code"]) == (2, "error", "rows-not-told"), found
    answers = [one for one in found["answers"] if one["demand"]["kind"] == "filled"]
    assert [f"{one['path']}:{one['line']}".rpartition("/")[2] for one in answers] == lines
    assert [(one["demand"]["what"], one["unknown"]) for one in answers] == [
        (told, "the values that the run writes are not checked")
    ]
    assert not found["sure"]
    assert project.alembic("upgrade", "head").status != 0, "it really fails"


@pytest.mark.slow
def test_a_key_that_comes_later_is_reported_where_it_comes(database, tmp_path):
    bodies = (
        "op.execute('CREATE TABLE z AS SELECT email AS n, id FROM orders')",
        "op.rename_table('z', 'y')",
        "op.create_primary_key('pk', 'y', ['id'])\nop.create_table('x')",
        "op.create_unique_constraint('u', 'y', ['n'])",
    )
    project = made(database, tmp_path, *bodies)
    assert rehearsed(project, "r3")[1] == "passes", "nothing is demanded of its rows yet"
    found = rehearsed(project)[2]
    assert [(one["demand"]["revision"], one["demand"]["what"], one["line"]) for one in found["answers"]] == [
        ("r4", "public.y is filled by a query and must satisfy pk, id NOT NULL", 9),
        ("r5", "public.y is filled by a query and must satisfy u", 9),
    ]
    shown = project.rescue("rehearse").stdout
    assert "not known: the rows could not be checked: the values that the run writes are not checked" in " ".join(
        shown.split()
    )


NOT_FILLED = {
    "constants": "op.execute(\"INSERT INTO z SELECT 'x' WHERE NOT EXISTS (SELECT FROM orders)\")",
    "rows that the run itself has": "op.create_table('y', sa.Column('n', sa.Text))\n"
    "op.execute(\"INSERT INTO y VALUES ('x'), ('y'); INSERT INTO z SELECT n FROM y\")",
    "what has no key": "op.execute('CREATE TABLE y AS SELECT email FROM orders')\nop.create_index('ix', 'y', ['email'])",
    "a backfill": "op.add_column('orders', sa.Column('total', sa.Integer))\nop.execute('UPDATE orders SET total = p.id "
    "FROM parents p')\nop.alter_column('orders', 'total', nullable=False)",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NOT_FILLED)
def test_a_table_that_no_live_rows_fill_is_left_as_it_is(case, database, tmp_path):
    project = made(
        database, tmp_path, f"op.create_table('z', sa.Column('n', sa.Text, primary_key=True))\n{NOT_FILLED[case]}"
    )
    status, outcome, found, _ = rehearsed(project)
    assert (status, outcome, found["sure"]) == (0, "passes", False), found
    assert "filled" not in [one["demand"]["kind"] for one in found["answers"]]
    assert project.alembic("upgrade", "head").status == 0, "it really passes"


@pytest.mark.slow
def test_what_code_reads_from_the_rows_is_not_rehearsed(database, tmp_path):
    body = "if op.get_bind().execute(text('SELECT count(*) FROM orders')).scalar():\n    raise RuntimeError('clean up first')"
    _, outcome, told, _ = rehearsed(made(database, tmp_path, body))
    assert (outcome, len(told["unrehearsed"]), told["sure"]) == ("passes", 1, False)


@pytest.mark.slow
def test_rows_that_are_hidden_from_the_role_are_reported(database, tmp_path):
    project = made(database, tmp_path, "op.alter_column('orders', 'note', nullable=False)")
    database.run(
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON orders USING (note IS NOT NULL)"
    )
    status, outcome, told, document = rehearsed(project)
    assert "not all rows" in told["answers"][0]["unknown"]
    assert (status, outcome, document["error"]["code"]) == (2, "error", "rows-not-told")
    answer = project.rescue("rehearse")
    assert "not all rows" in answer.stdout, "the answers are told all the same"
    assert "Not known. Nothing was written." in answer.stdout
    assert "error[rows-not-told]: cannot tell whether the next upgrade will succeed" in answer.stderr


@pytest.mark.slow
def test_if_only_the_rows_are_behind_it_recommends_the_stamp(database, tmp_path):
    project = made(database, tmp_path, "op.create_table('made', sa.Column('id', sa.Integer))")
    before = database.versions()
    assert project.alembic("upgrade", "head").status == 0
    (after,) = database.versions()
    database.stand_at(*before)
    status, outcome, _, document = rehearsed(project)
    assert (status, outcome) == (3, "fails")
    assert document["databases"][0]["recommendation"]["command"] == f"alembic-rescue stamp {after}"
    assert (
        "The version table is behind the schema. First run:\n    alembic-rescue diagnose\n"
        in project.rescue("rehearse").stdout
    )


@pytest.mark.slow
def test_the_live_rows_are_only_read(database, tmp_path):
    """The session is read-only; what the role may not read is reported."""
    project = made(database, tmp_path, *(body for body, *_ in list(DECIDED.values())[:3]))
    before = database.run("SELECT xmin, * FROM orders ORDER BY id")
    rehearsed(project)
    assert database.run("SELECT xmin, * FROM orders ORDER BY id") == before
    assert database.versions() == ["r1"]


LARGE = "INSERT INTO orders SELECT g FROM generate_series(5, 1200000) g; ANALYZE orders"


@pytest.mark.slow
def test_locks_on_large_tables_are_reported(database, tmp_path):
    bodies = (
        "op.create_index('ix', 'orders', ['email'])",
        "op.alter_column('orders', 'id', type_=sa.BigInteger)",
        "op.add_column('orders', sa.Column('y', sa.Integer))",
        "op.add_column('parents', sa.Column('y', sa.Integer))",
    )
    project = made(database, tmp_path, *bodies, rows=f"{ROWS}; {LARGE}")
    _, outcome, told, _ = rehearsed(project)
    assert outcome == "passes"
    locks = [(lock["revision"], lock["table"], lock["mode"], lock["rewrites"]) for lock in told["locks"]]
    assert locks == [
        ("r2", "public.orders", "ShareLock", False),
        ("r3", "public.orders", "AccessExclusiveLock", True),
    ]
    assert told["locks"][0]["size"]["rows"] > 1_000_000
    assert told["locks"][0]["size"]["bytes"] > 10_000_000
    shown = project.rescue("rehearse").stdout
    assert "r3: ACCESS EXCLUSIVE on public.orders (" in shown
    assert "it rewrites the whole table" in shown


@pytest.mark.slow
def test_a_query_that_takes_too_long_is_estimated(database, tmp_path):
    """From part of the table, and reported as such."""
    body = (
        'op.execute("ALTER TABLE wide ADD CONSTRAINT ck CHECK (length(repeat(t, 40)) + id % 2 > 160000) NOT VALID");'
        "op.execute('ALTER TABLE wide VALIDATE CONSTRAINT ck')"
    )
    wide = (
        "CREATE TABLE wide (id integer PRIMARY KEY, t text); ALTER TABLE wide ALTER t SET STORAGE PLAIN;"
        "INSERT INTO wide SELECT g, repeat('x', 4000) FROM generate_series(1, 20000) g; ANALYZE wide"
    )
    project = made(database, tmp_path, body, rows=wide)
    ini = project.root / "alembic.ini"
    ini.write_text(ini.read_text() + "\n[alembic_rescue]\nstatement_timeout = 1\nlock_timeout = 0.1\n")
    _, outcome, told, _ = rehearsed(project)
    (answer,) = told["answers"]
    assert (outcome, answer["estimated"], answer["unknown"]) == ("fails", True, ""), answer
    assert 5000 < answer["count"] < 15000, "half of 20,000"
    assert "about 9" in (shown := project.rescue("rehearse").stdout) or "about 1" in shown


@pytest.mark.slow
def test_a_stamp_says_whether_the_next_upgrade_passes(database, tmp_path):
    bodies = "op.create_table('y')", "op.alter_column('orders', 'note', nullable=False)"
    project = made(database, tmp_path, *bodies)
    database.run("CREATE TABLE y ()")
    planned = project.rescue_json("plan", "r2")["databases"][0]
    assert planned["rehearsal"]["fails_at"] == "r3"
    stamped = project.rescue("stamp", "r2", "--yes")
    assert stamped.status == 0
    assert "the next upgrade will fail. r3 fails: public.orders.note is to be NOT NULL" in stamped.stdout
    database.run("DELETE FROM orders WHERE note IS NULL")
    assert project.rescue("undo", "--yes").status == 0
    assert "the next upgrade will succeed" in project.rescue("stamp", "r2", "--yes").stdout
    assert project.alembic("upgrade", "head").status == 0


@pytest.mark.slow
def test_if_nothing_is_pending_there_is_nothing_to_do_and_obstacles_are_reported(database, tmp_path):
    project = made(database, tmp_path)
    assert rehearsed(project)[:2] == (0, "nothing-to-do")
    without = project.rescue_json("--scratch", "none", "rehearse")
    assert without["outcome"] == "nothing-to-do", "nothing to run"
    database.stand_at("feed0000cafe")
    answer = project.rescue("--format", "json", "rehearse")
    assert (answer.status, answer.json["refusals"][0]["code"]) == (3, "unknown-current")


@pytest.mark.slow
def test_without_a_scratch_database_there_is_no_rehearsal(database, tmp_path):
    project = made(database, tmp_path, "op.create_table('y')")
    answer = project.rescue("--format", "json", "--scratch", "none", "rehearse")
    assert (answer.status, answer.json["error"]["code"]) == (2, "scratch-missing")
