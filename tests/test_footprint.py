"""The replay of migrations: what it records, and that it does nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alembic_rescue import catalog
from alembic_rescue.environment import keyword_arguments
from alembic_rescue.footprint import replay
from alembic_rescue.model import Verdict
from alembic_rescue.model_evidence import Footprint, Presence, Proof
from tests import proving
from tests.conftest import Database


def proof_of(tmp_path: Path, database: Database, *bodies: str, **options) -> Proof:
    arguments = options.pop("arguments", "")
    root = proving.written(tmp_path / "project", *bodies, arguments=arguments)
    return proving.proof(proving.config_for(root, database.url), **options)


def footprint_of(tmp_path: Path, database: Database, body: str) -> Footprint:
    root = proving.written(tmp_path / "project", body)
    config = proving.config_for(root, database.url)
    return proving.looking(config, lambda context, script: replay(context, script, ["r1"], {}, 5.0, "public"))[0]


def unverifiable(proof: Proof) -> list[tuple[int | None, str | None]]:
    assert proof.revisions[0].verdict is Verdict.UNVERIFIABLE
    objects = proof.revisions[0].objects
    return [(o.line, o.detail) for o in objects if o.presence is Presence.UNVERIFIABLE]


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("def upgrade():\n    raise RuntimeError('no luck')\n", 8, "it raises RuntimeError: no luck"),
        ("def upgrade():\n    import sys\n\n    sys.exit(3)\n", 10, "it ends the program (3)"),
        ("def upgrade():\n    op.get_bind().execute(sa.text('SELECT * FROM nowhere'))\n", 8, "UndefinedTable"),
        ("def upgrade():\n    op.execute('SELEC 1')\n", 8, "the grammar rejects it"),
        ("def upgrade():\n    op.execute(\"SELECT setval('x', 1)\")\n", 8, "calls functions: SELECT setval('x', 1)"),
        ("def upgrade():\n    op.execute(\"COPY x FROM '/tmp/x'\")\n", 8, "changes data: COPY x FROM"),
        ("def upgrade():\n    op.execute('ALTER SYSTEM SET work_mem = 1')\n", 8, "not checked: ALTER SYSTEM"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(tmp_path, database, body, line, words) -> None:
    ((found, detail),) = unverifiable(proof_of(tmp_path, database, body))
    assert found == line
    assert words in detail


@pytest.mark.parametrize(
    "body",
    [
        "def upgrade():\n    while True:\n        pass\n",
        "def upgrade():\n    op.get_bind().execute(sa.text('SELECT pg_sleep(60)'))\n",
        (
            "def upgrade():\n    try:\n        op.get_bind().execute(sa.text('SELECT pg_sleep(60)'))\n    except Exception:\n"  # noqa: E501
            "        while True:\n            pass\n"
        ),
    ],
    ids=["loop", "query", "both"],
)
def test_each_revision_has_a_time_limit(tmp_path, database, body) -> None:
    later = "def upgrade():\n    op.execute('CREATE TABLE x (id int)')\n"
    started = time.monotonic()
    proof = proof_of(tmp_path, database, body, later, seconds=0.5)
    assert time.monotonic() - started < 10
    assert [e.verdict for e in proof.revisions] == [Verdict.UNVERIFIABLE, Verdict.NOT_APPLIED]


def test_prints_are_captured(tmp_path, database, capsys) -> None:
    proof = proof_of(
        tmp_path, database, "def upgrade():\n    print('loud')\n    op.execute('CREATE TABLE x (id int)')\n"
    )
    assert proof.revisions[0].verdict is Verdict.NOT_APPLIED
    assert capsys.readouterr().out == ""


def test_keyword_arguments_of_env_reach_the_migration(tmp_path, database) -> None:
    body = "def upgrade(tenant):\n    op.execute(f'CREATE TABLE {tenant}_orders (id int)')\n"
    proof = proof_of(tmp_path, database, body, arguments="tenant='acme'")
    assert [o.name for o in proof.revisions[0].objects] == ["public.acme_orders", "public.acme_orders.id"]
    assert keyword_arguments() == {}


def test_nothing_is_changed_and_op_is_given_back(database) -> None:
    bodies = [p.read_text() for p in sorted((proving.PROJECTS / "corpus" / "alembic" / "versions").glob("*.py"))]
    assert len(bodies) >= 60
    config = proving.config_for(proving.PROJECTS / "corpus", database.url)

    def see(context, script):
        before = catalog.read(context.connection)
        replay(context, script, proving.chain(script), {}, 10.0, "public")
        from alembic import op

        assert op.get_context() is context
        return before.objects == catalog.read(context.connection).objects

    assert proving.looking(config, see)
    assert database.run("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]


def test_a_write_past_the_operations_is_caught_too(tmp_path, database) -> None:
    body = """
    from sqlalchemy import orm

    t = sa.Table("direct", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))


    def upgrade():
        bind = op.get_bind()
        t.create(bind)
        bind.exec_driver_sql("CREATE TABLE by_driver (id int)")
        with bind.engine.connect() as other:
            other.execute(sa.text("CREATE TABLE by_engine (id int)"))
        with orm.Session(bind) as session:
            session.execute(sa.text("CREATE TABLE by_session (id int)"))
        sa.Enum("a", "b", name="mood").create(bind)
    """
    proof = proof_of(tmp_path, database, body)
    names = {o.name for o in proof.revisions[0].objects}
    assert {"public.direct", "public.by_driver", "public.by_engine", "public.by_session", "public.mood"} <= names
    assert proof.revisions[0].verdict is Verdict.NOT_APPLIED
    assert {o.line for o in proof.revisions[0].objects} == {14, 15, 17, 19, 20}


def test_batch_with_recreate_needs_no_table_to_reflect(tmp_path, database) -> None:
    body = """
    def upgrade():
        op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Integer))
        with op.batch_alter_table("t", recreate="always") as batch:
            batch.add_column(sa.Column("a", sa.String(3)), insert_before="b")
            batch.alter_column("b", new_column_name="c", type_=sa.BigInteger())
            batch.create_check_constraint("positive", sa.column("c") > 0)
    """
    footprint = footprint_of(tmp_path, database, body)
    assert footprint.failure is None
    assert [s.sql.split("(")[0].strip() for s in footprint.statements][:2] == [
        "CREATE TABLE t",
        "ALTER TABLE t ADD COLUMN a VARCHAR",
    ]


def test_an_operation_of_a_plugin_counts_for_what_it_sends(tmp_path, database) -> None:
    body = """
    from alembic.operations import MigrateOperation, Operations


    class {name}(MigrateOperation):
        @classmethod
        def {verb}(cls, operations, what):
            return operations.invoke(cls())

        def reverse(self):
            raise NotImplementedError


    try:
        Operations.register_operation("{verb}")({name})

        @Operations.implementation_for({name})
        def _(operations, operation):
            {does}
    except ValueError:
        pass


    def upgrade():
        op.{verb}("x")
    """
    sends = body.format(name="Sends", verb="send_it", does="operations.execute('CREATE TABLE by_plugin (id int)')")
    silent = body.format(name="Silent", verb="do_it", does="pass")
    proof = proof_of(tmp_path, database, sends, silent)
    assert proof.revisions[0].objects[0].name == "public.by_plugin"
    assert proof.revisions[1].verdict is Verdict.UNVERIFIABLE
    assert "Silent" in (proof.revisions[1].objects[0].detail or "")


GUARDED = [
    "if not sa.inspect(bind).has_table('t'):\n        op.create_table('t', sa.Column('id', sa.Integer), sa.Column('a', sa.String(5)))",  # noqa: E501
    (
        "if 'a' not in [c['name'] for c in sa.inspect(bind).get_columns('base')]:\n"
        "        op.add_column('base', sa.Column('a', sa.String(5)))"
    ),
    (
        "if sa.inspect(bind).has_table('base') and not any(c['name'] == 'a' for c in sa.inspect(bind).get_columns('base')):\n"  # noqa: E501
        "        op.add_column('base', sa.Column('a', sa.String(5)))"
    ),
    "if not bind.execute(sa.text(\"SELECT to_regclass('t')\")).scalar():\n        op.execute('CREATE TABLE t (a varchar(5))')",  # noqa: E501
    "if not bind.dialect.has_table(bind, 't'):\n        op.execute('CREATE TABLE t (a varchar(5))')",
    (
        "exists = bind.execute(sa.text(\"SELECT EXISTS (SELECT 1 FROM pg_tables WHERE tablename = :t)\"), {'t': 't'}).scalar()\n"  # noqa: E501
        "    if not exists:\n        op.execute('CREATE TABLE t (a varchar(5))')"
    ),
    "if 'ix' not in {i['name'] for i in sa.inspect(bind).get_indexes('base')}:\n        op.create_index('ix', 'base', ['id'])",  # noqa: E501
    "sa.Enum('x', 'y', name='e').create(bind, checkfirst=True)",
]


@pytest.mark.parametrize("guard", GUARDED)
def test_a_guarded_migration_is_proved_by_what_it_made(tmp_path, database, guard) -> None:
    base = "def upgrade():\n    op.create_table('base', sa.Column('id', sa.Integer))\n"
    root = proving.written(tmp_path / "project", base, f"def upgrade():\n    bind = op.get_bind()\n    {guard}\n")
    config = proving.config_for(root, database.url)
    proving.upgrade(config, "r1")
    assert proving.proof(config).revisions[1].verdict is Verdict.NOT_APPLIED
    proving.upgrade(config, "r2")
    assert proving.proof(config).revisions[1].verdict is Verdict.APPLIED
    if "'a'" in guard or "varchar" in guard:
        table = "base" if "add_column" in guard else "t"
        database.run(f"ALTER TABLE {table} ALTER a TYPE text")
        found = proving.proof(config).revisions[1].missing
        assert [o.name for o in found] == [f"public.{table}.a"]


def test_no_replay_judges_without_running_code(tmp_path, database) -> None:
    proof = proof_of(tmp_path, database, "def upgrade():\n    raise SystemExit\n", run_code=False)
    assert unverifiable(proof) == [(None, "it was not replayed, as asked")]


def test_on_sqlite(tmp_path) -> None:
    bodies = (
        (
            "def upgrade():\n    op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.String(5)),"  # noqa: E501
            " sa.Column('at', sa.DateTime), sa.Column('e', sa.Enum('x', 'y', name='e')))\n    op.create_index('ix', 't', ['a'])\n"  # noqa: E501
        ),
        (
            "def upgrade():\n    with op.batch_alter_table('t') as batch:\n        batch.alter_column('a', nullable=False)\n"  # noqa: E501
            "        batch.create_unique_constraint('uq_a', ['a'])\n"
        ),
        "def upgrade():\n    op.add_column('t', sa.Column('b', sa.Boolean, server_default=sa.text('0'), nullable=False))\n",  # noqa: E501
        "def upgrade():\n    with op.batch_alter_table('t') as batch:\n        batch.drop_column('at')\n",
    )
    root = proving.written(tmp_path / "project", *bodies)
    config = proving.config_for(root, f"sqlite:///{tmp_path}/db.sqlite")
    for standing in range(len(bodies) + 1):
        if standing:
            proving.upgrade(config, f"r{standing}")
        proof = proving.proof(config)
        shown = [(e.revision, e.verdict.value, [(o.name, o.detail) for o in e.missing]) for e in proof.revisions]
        for position, evidence in enumerate(proof.revisions, start=1):
            wanted = {Verdict.APPLIED, Verdict.EMPTY} if position <= standing else {Verdict.NOT_APPLIED, Verdict.EMPTY}
            assert evidence.verdict in wanted, (standing, shown)


ASYNC_ENV = """
import asyncio

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine


def go(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = create_async_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(go)
    await engine.dispose()


asyncio.run(main())
"""


@pytest.mark.since("alembic", "1.11", "has no op.run_async()")
def test_run_async(tmp_path, database) -> None:
    body = """
    async def go(connection):
        await connection.execute(sa.text("CREATE TABLE by_async (id int)"))
        await connection.execute(sa.text("SELECT 1"))


    def upgrade():
        op.run_async(go)
        op.execute("CREATE TABLE later (id int)")
    """
    root = proving.written(tmp_path / "project", body)
    (root / "alembic" / "env.py").write_text(ASYNC_ENV)
    config = proving.config_for(root, database.url.replace("psycopg2", "asyncpg"))
    footprint = proving.looking(
        config, lambda context, script: replay(context, script, ["r1"], {}, 5.0, "public"), read_only_by_event=False
    )[0]
    assert footprint.failure is None
    assert [(s.sql, s.line) for s in footprint.statements] == [
        ("CREATE TABLE by_async (id int)", 8),
        ("CREATE TABLE later (id int)", 14),
    ]
