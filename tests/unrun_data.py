"""Bodies of ``upgrade()`` that change rows, which no catalog shows: each function is a case."""

from __future__ import annotations

import inspect
import io
import textwrap

import sqlalchemy as sa
from alembic import op
from sqlalchemy import orm, text
from sqlalchemy.orm import declarative_base


def copy():
    cursor = op.get_bind().connection.cursor()
    cursor.copy_expert("COPY u (id) FROM STDIN", io.StringIO("73\n"))


def cursor_of_the_driver():
    cursor = op.get_bind().connection.cursor()
    cursor.execute("INSERT INTO u (id) VALUES (74)")


def exec_driver_sql():
    op.get_bind().exec_driver_sql("DELETE FROM w")


def executemany():
    op.get_bind().execute(text("INSERT INTO u (id) VALUES (:i)"), [{"i": 75}, {"i": 76}])


def executemany_of_none():
    rows = [{"i": r[0]} for r in op.get_bind().execute(text("SELECT id FROM w"))]
    if rows:
        op.get_bind().execute(text("INSERT INTO u (id) VALUES (:i)"), rows)


def bulk_insert():
    op.bulk_insert(sa.table("u", sa.column("id", sa.Integer)), [{"id": 77}])


def core_insert():
    u = sa.table("u", sa.column("id", sa.Integer))
    op.get_bind().execute(u.insert().values(id=78))


def core_update():
    t = sa.table("t", sa.column("c", sa.Text))
    op.execute(t.update().values(c="z"))


def core_delete():
    w = sa.table("w", sa.column("id", sa.Integer))
    op.execute(w.delete())


def insert_from_select():
    u, t = (sa.table(n, sa.column("id", sa.Integer)) for n in "ut")
    op.execute(u.insert().from_select(["id"], sa.select(t.c.id).where(t.c.id > 1)))


def function_of_core():
    op.get_bind().execute(sa.select(sa.func.setval("sq", 71)))


def session():
    row_class = type("U", (declarative_base(),), {"__tablename__": "u", "id": sa.Column(sa.Integer, primary_key=True)})
    session = orm.Session(bind=op.get_bind())
    session.add(row_class(id=79))
    session.flush()


def rows_one_by_one():
    bind = op.get_bind()
    for row in bind.execute(text("SELECT id FROM w")).all():
        bind.execute(text("DELETE FROM w WHERE id = :i"), {"i": row.id})


def comprehension():
    bind = op.get_bind()
    [
        bind.execute(text("DELETE FROM w WHERE id = :i"), {"i": row.id})
        for row in bind.execute(text("SELECT id FROM w")).all()
    ]


def by_map():
    bind = op.get_bind()
    list(  # noqa: C417
        map(
            lambda row: bind.execute(text("DELETE FROM w WHERE id = :i"), {"i": row.id}),
            bind.execute(text("SELECT id FROM w")).all(),
        )
    )


def conditional_expression():
    bind = op.get_bind()
    bind.execute(text("DELETE FROM w")) if bind.execute(text("SELECT id FROM w")).first() else None


def by_and():
    bind = op.get_bind()
    bind.execute(text("SELECT id FROM w")).first() and bind.execute(text("DELETE FROM w"))


def guard_on_rows():
    bind = op.get_bind()
    if bind.execute(text("SELECT count(*) FROM w")).scalar():
        bind.execute(text("UPDATE t SET c = 'x'"))


def guard_on_the_database_s_name():
    bind = op.get_bind()
    if bind.execute(text("SELECT current_database()")).scalar() == "prod":
        bind.execute(text("UPDATE t SET c = 'x'"))


def guard_that_makes_something():
    if op.get_bind().execute(text("SELECT count(*) FROM w")).scalar():
        op.create_table("only_there", sa.Column("id", sa.Integer))


def by_while():
    bind = op.get_bind()
    while bind.execute(text("UPDATE w SET u_id = 1 WHERE u_id IS NULL")).rowcount:
        pass


def helper():
    def fill(bind, table):
        bind.execute(text(f"UPDATE {table} SET c = 'x'"))

    fill(op.get_bind(), "t")


def helper_not_reached():
    def fill(bind, row):
        bind.execute(text(f"UPDATE t SET c = 'x' WHERE id = {row.id}"))

    bind = op.get_bind()
    for row in bind.execute(text("SELECT id FROM w")).all():
        fill(bind, row)


def swallowed_update():
    try:  # noqa: SIM105
        op.execute("UPDATE t SET c = 'x'")
    except Exception:  # noqa: BLE001
        pass


def update_in_a_savepoint():
    with op.get_bind().begin_nested():
        op.execute("UPDATE t SET c = 'x'")


def text_put_together():
    op.execute("UPD" + "ATE t SET c = 'x'")


def bodies() -> dict[str, str]:
    """The statements of each, by its name, with the imports that they need."""
    imports = "import io\nfrom sqlalchemy.orm import declarative_base\n"
    cases = [f for f in globals().values() if inspect.isfunction(f) and f.__module__ == __name__ and f is not bodies]
    return {
        case.__name__.replace("_", " "): imports + textwrap.dedent(inspect.getsource(case).partition("\n")[2])
        for case in cases
    }
