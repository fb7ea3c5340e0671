"""``rehearse``: the next upgrade on a copy of the schema, and what only the live rows decide (promise 9)."""

# ruff: noqa: E501, ISC004 - bodies of revisions

from __future__ import annotations

import pytest

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
  (4, NULL, NULL, NULL, 2, 2, 1, 'new')
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
FIT = {
    "not null": "op.execute('ALTER TABLE orders ALTER state DROP NOT NULL'); op.alter_column('orders', 'state', nullable=False)",
    "a new column with a default": "op.add_column('orders', sa.Column('x', sa.Integer, nullable=False, server_default='1'))",
    "whose default goes": "op.add_column('orders', sa.Column('x', sa.Uuid, nullable=False, "
    "server_default=sa.text('gen_random_uuid()'))); op.alter_column('orders', 'x', server_default=None)",
    "a new nullable column": "op.add_column('orders', sa.Column('x', sa.Integer)); op.create_unique_constraint('u', 'orders', ['x'])",
    "unique over two": "op.create_unique_constraint('uq', 'orders', ['email', 'id'])",
    "unique but for some": "op.execute('CREATE UNIQUE INDEX ix ON orders (state) WHERE size = 5')",
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
def test_what_the_rows_do_not_fit_fails_as_the_upgrade_does(case, database, tmp_path):
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
    if one["query"]:
        assert len(database.run(one["query"])) == count
    assert one["path"].endswith(".py")
    assert one["line"]
    assert project.alembic("upgrade", "head").status != 0, "it really fails"


@pytest.mark.slow
@pytest.mark.parametrize("case", FIT)
def test_what_the_rows_fit_passes_as_the_upgrade_does(case, database, tmp_path):
    project = made(database, tmp_path, FIT[case])
    answer = project.rescue("--format", "json", "rehearse")
    told = answer.json["databases"][0]["rehearsal"]
    assert (answer.status, answer.json["outcome"]) == (0, "passes"), told
    assert not [one for one in told["answers"] if one["unknown"]], told
    assert project.alembic("upgrade", "head").status == 0, "it really passes"
