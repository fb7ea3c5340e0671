"""Which lines could send something and did not run: read from the source and the lines that ran, without a database."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

import alembic_rescue
from alembic_rescue.dialects.postgresql.statements import kind_of
from alembic_rescue.evidence.observation import StatementKind
from alembic_rescue.worker.observer.branches import decided
from alembic_rescue.worker.observer.left_out import left_out
from alembic_rescue.worker.observer.lines import Files, Trace, absolute, swallowing_handler

CATALOG, DATA = StatementKind.CATALOG, StatementKind.DATA


class Bind:
    """Replaces a connection to an empty database, and ``op``: accepts every call, and finds nothing."""

    def __getattr__(self, name):
        return Bind()

    def __call__(self, *_, **__):
        return Bind()

    def __iter__(self):
        return iter(())

    def __bool__(self):
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


HEAD = """
import logging, os
import sqlalchemy as sa
from sqlalchemy import text, select
from sqlalchemy.orm import Session
from helpers import *
logger = logging.getLogger(__name__)
FILL = "UPDATE t SET a = 1"
"""
HELPERS = """
def column_exists(bind, table, column):
    return column in [one["name"] for one in bind.inspector.get_columns(table)]
def fill(bind):
    for row in bind.rows():
        bind.execute("UPDATE t SET a = :a")
def note(what):
    print("did", what)
"""


def left(tmp_path, body, *, sent=()):
    """Run ``upgrade()`` with this body on nothing, and return the lines that were left out: (source, kind)."""
    (tmp_path / "helpers.py").write_text(HELPERS)
    source = textwrap.dedent(body)
    if "def upgrade(" not in source:
        source = "def upgrade():\n" + textwrap.indent(source.strip(), "    ") + "\n"
    path = tmp_path / "revision.py"
    path.write_text(HEAD + source)
    helpers = importlib.util.spec_from_file_location("helpers", tmp_path / "helpers.py")
    sys.modules["helpers"] = importlib.util.module_from_spec(helpers)
    helpers.loader.exec_module(sys.modules["helpers"])
    spec = importlib.util.spec_from_file_location("revision", path)
    module = importlib.util.module_from_spec(spec)
    module.op = module.bind = Bind()
    spec.loader.exec_module(module)
    files = Files([tmp_path], [])
    trace = Trace(files)
    with trace(), contextlib.suppress(ValueError):
        module.upgrade()
    lines = path.read_text().splitlines()
    places = [(absolute(str(path)), at) for at, line in enumerate(lines, 1) if any(one in line for one in sent)]
    return [(one.source, one.sends) for one in left_out(trace.ran, files, "postgresql", kind_of, places)]


LEFT = {
    "a loop over rows": (
        """
        for row in bind.execute(text("SELECT id FROM t")):
            bind.execute(text("UPDATE t SET a = :a"), {"a": row.id})
        """,
        [('bind.execute(text("UPDATE t SET a = :a"), {"a": row.id})', DATA)],
    ),
    "a guard": (
        """
        if column_exists(bind, "t", "a"):
            op.drop_column("t", "a")
        """,
        [('op.drop_column("t", "a")', CATALOG)],
    ),
    "an else": (
        """
        if not bind:
            op.add_column("t", sa.Column("a", sa.Integer))
        else:
            op.alter_column("t", "a", nullable=False)
        """,
        [('op.alter_column("t", "a", nullable=False)', CATALOG)],
    ),
    "code after an early return": (
        """
        if not bind.scalar():
            return
        op.execute("CREATE INDEX i ON t (a)")
        op.execute(FILL)
        """,
        [('op.execute("CREATE INDEX i ON t (a)")', CATALOG), ("op.execute(FILL)", DATA)],
    ),
    "a helper's loop": ("fill(bind)", [('bind.execute("UPDATE t SET a = :a")', DATA)]),
    "a helper that is not called": (
        """
        if bind:
            fill(bind)
        """,
        [("fill(bind)", DATA)],
    ),
    "a batch block": (
        """
        if bind:
            with op.batch_alter_table("t") as batch:
                batch.add_column(sa.Column("b", sa.Integer))
        """,
        [
            ('with op.batch_alter_table("t") as batch:', CATALOG),
            ('batch.add_column(sa.Column("b", sa.Integer))', CATALOG),
        ],
    ),
    "one line": ("if bind: op.drop_table('t')", [("if bind: op.drop_table('t')", CATALOG)]),
    "a conditional expression": (
        "op.execute('SELECT 1') if not bind else op.drop_table('t')",
        [("op.execute('SELECT 1') if not bind else op.drop_table('t')", CATALOG)],
    ),
    "an `and`": ("bind and op.drop_table('t')", [("bind and op.drop_table('t')", CATALOG)]),
    "a comprehension": (
        "[bind.execute(text('DELETE FROM t')) for row in bind.rows()]",
        [("[bind.execute(text('DELETE FROM t')) for row in bind.rows()]", DATA)],
    ),
    "a function that is handed on": (
        """
        def one(row):
            bind.execute(text("DELETE FROM t"))
        list(map(one, bind.rows()))
        """,
        [('bind.execute(text("DELETE FROM t"))', DATA)],
    ),
    "a lambda": (
        "list(map(lambda row: bind.execute('DELETE FROM t'), bind.rows()))",
        [("list(map(lambda row: bind.execute('DELETE FROM t'), bind.rows()))", DATA)],
    ),
    "text that is put together": (
        """
        for name in bind.names():
            op.execute(f"ALTER TABLE {name} ADD COLUMN a int")
            op.execute("DROP TABLE " + name)
            op.execute(name)
        """,
        [
            ('op.execute(f"ALTER TABLE {name} ADD COLUMN a int")', CATALOG),
            ('op.execute("DROP TABLE " + name)', CATALOG),
            ("op.execute(name)", DATA),
        ],
    ),
    "rows of an ORM": (
        """
        session = Session()
        for user in bind.users():
            user.name = user.name.lower()
        for user in bind.users():
            session.add(user)
        """,
        [("user.name = user.name.lower()", DATA), ("session.add(user)", DATA)],
    ),
    "bulk_insert": ("if bind:\n    op.bulk_insert(bind.table, [{}])", [("op.bulk_insert(bind.table, [{}])", DATA)]),
    "rows of none": (
        "op.bulk_insert(bind.table, [{'a': row.id} for row in bind.rows()])",
        [("op.bulk_insert(bind.table, [{'a': row.id} for row in bind.rows()])", DATA)],
    ),
    "an enum": (
        "if bind:\n    sa.Enum('a', name='m').create(bind)",
        [("sa.Enum('a', name='m').create(bind)", CATALOG)],
    ),
    "a handler that sends": (
        """
        try:
            bind.execute("SELECT 1")
        except Exception:
            op.create_table("t")
        """,
        [('op.create_table("t")', CATALOG)],
    ),
    "what follows a failure in its try": (
        """
        try:
            int("x")
            op.create_table("t")
        except ValueError:
            pass
        """,
        [('op.create_table("t")', CATALOG)],
    ),
    "what nobody knows": ("if bind:\n    bind.service.do_it()", [("bind.service.do_it()", DATA)]),
    "an else of a loop, a match, a while": (
        """
        while bind:
            op.drop_table("a")
        match bind.kind:
            case "x":
                op.drop_table("b")
        """,
        [('op.drop_table("a")', CATALOG), ('op.drop_table("b")', CATALOG)],
    ),
    "a program that is started": ("if bind:\n    os.system('x')", [("os.system('x')", DATA)]),
    "a branch for this dialect, behind another guard": (
        """
        if bind.dialect.name == "postgresql" and bind:
            op.drop_table("t")
        """,
        [('op.drop_table("t")', CATALOG)],
    ),
    "data that is named as a dialect": (
        """
        if bind.row.kind == "sqlite":
            op.drop_table("t")
        """,
        [('op.drop_table("t")', CATALOG)],
    ),
}
NOTHING = {
    "all ran": "op.create_table('t')\nop.execute(FILL)\nbind.execute('SELECT 1').all()",
    "what sends nothing": """
        if bind:
            print("nothing")
            logger.info("%s", 1)
            names = [one.name.lower() for one in bind.all()]
            names.append("x")
            seen = {}
            seen.update(a=1)
            stmt = text("UPDATE t SET a = 1")
            note("it")
            found = column_exists(bind, "t", "a")
            logger.warning(f"{len(names)}".join(["a"]))
        """,
    "queries": """
        if bind:
            bind.execute(text("SELECT 1")).fetchall()
            bind.execute(select(sa.func.count())).scalar()
            query = select(sa.column("a")).where(sa.column("b") == 1)
            bind.execute(query)
            op.execute("SET LOCAL lock_timeout = '5s'")
        """,
    "a raise": "if bind:\n    raise RuntimeError(bind.complain())",
    "another dialect": """
        if bind.dialect.name == "sqlite":
            op.drop_table("t")
        elif op.get_bind().engine.name in ("mysql", "mariadb"):
            op.execute(FILL)
        dialect = "postgresql"
        if dialect != "postgresql":
            op.execute(FILL)
        """,
    "a return on this dialect": """
        dialect = "postgresql"
        if dialect == "postgresql":
            return
        op.execute(FILL)
        """,
    "offline": "if op.get_context().as_sql:\n    op.execute(FILL)",
    "a function that is only defined": """
        def fill_it():
            op.execute(FILL)
        """,
    "a handler that only tells": """
        try:
            bind.execute("SELECT 1")
        except Exception as error:
            bind.telemetry.report(error)
            raise
        """,
}


@pytest.mark.parametrize(("body", "found"), LEFT.values(), ids=LEFT)
def test_a_line_that_could_send_and_did_not_run_is_left_out(tmp_path, body, found):
    assert left(tmp_path, body) == found


@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING)
def test_nothing_else_is_left_out(tmp_path, body):
    assert left(tmp_path, body) == []


@pytest.mark.parametrize(
    "body", ["if not bind: op.drop_table('t')", "not bind and op.drop_table('t')", "op.bulk_insert(bind, [{}])"]
)
def test_a_line_that_may_have_run_in_part_is_known_by_what_it_sent(tmp_path, body):
    assert left(tmp_path, body, sent=["op.drop_table", "op.bulk_insert"]) == []


def test_the_constants_of_a_line_are_the_names_that_it_is_about(tmp_path):
    path = tmp_path / "r.py"
    path.write_text("def upgrade(op, there):\n    if there:\n        op.drop_column(\n            't', 'a')\n")
    spec = importlib.util.spec_from_file_location("r", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = Files([tmp_path], [])
    trace = Trace(files)
    with trace():
        module.upgrade(None, False)
    (one,) = left_out(trace.ran, files, "postgresql", kind_of, ())
    assert (one.line, one.source, one.names) == (3, "op.drop_column(", ("t", "a"))


@pytest.mark.parametrize(
    ("test", "comes_to"),
    [
        ("dialect == 'postgresql'", True),
        ("dialect != 'postgresql'", False),
        ("'sqlite' == bind.dialect.name", False),
        ("bind.dialect.name in ('sqlite', 'mysql')", False),
        ("bind.dialect.name not in {'sqlite', 'mysql'}", True),
        ("engine.name.startswith('postgres')", True),
        ("not (dialect == 'sqlite')", True),
        ("dialect == 'sqlite' and x()", False),
        ("dialect == 'postgresql' and x()", None),
        ("dialect == 'postgresql' or x()", True),
        ("dialect == 'sqlite' or x()", None),
        ("context.is_offline_mode()", False),
        ("not context.is_offline_mode()", True),
        ("x()", None),
        ("dialect == 'acme'", None),
        ("kind == 'sqlite'", None),
        ("bind.execute(text('select x')).scalar() == 'sqlite'", None),
        ("op.get_bind().engine.name == 'sqlite'", False),
        ("db == 'sqlite'", False),
        ("conn.dialect.name.lower() == 'sqlite'", False),
    ],
)
def test_the_value_of_a_condition_on_the_dialect(test, comes_to):
    assert decided(ast.parse(test, mode="eval").body, "postgresql") is comes_to


def test_the_handler_that_hides_a_failure(tmp_path):
    path = tmp_path / "r.py"
    path.write_text(
        textwrap.dedent(
            """\
            try:
                try:
                    a()
                except ValueError:
                    raise
                b()
            except Exception:
                c()
            with contextlib.suppress(Exception):
                d()
            try:
                with bind.begin_nested():
                    e()
            except Exception as error:
                if "x" not in str(error):
                    raise
            """
        )
    )
    found = {line: swallowing_handler(str(path), line) for line in (3, 6, 8, 10, 13, 16)}
    assert found == {3: 7, 6: 7, 8: None, 10: 9, 13: 14, 16: None}


def test_an_installed_package_with_the_revisions_belongs_to_the_project(tmp_path):
    package = tmp_path / "site-packages" / "shop"
    files = Files([package / "migrations"], [tmp_path])
    assert files.is_own(str(package / "helpers.py"))
    assert files.is_own(str(tmp_path / "own.py"))
    assert not files.is_own(str(tmp_path / "site-packages" / "other" / "x.py"))
    assert not files.is_own(textwrap.__file__)
    assert not Files([], [Path(alembic_rescue.__file__).parents[1]]).is_own(alembic_rescue.__file__)
