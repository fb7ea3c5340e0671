"""``rehearse --from-empty``: the chain on an empty database in CI, without the project's databases."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import alembic_rescue
from alembic_rescue import DatabaseReport, Outcome, errors
from alembic_rescue.evidence.from_empty import FAILS
from tests import chains
from tests.conftest import ProjectCopy
from tests.repositories import Repo
from tests.servers import Server

pytestmark = pytest.mark.slow

NOWHERE = "postgresql+psycopg2://shop@db.invalid:5432/shop"
"""No server listens there."""
TABLE = "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))"
NAME = "op.add_column('users', sa.Column('name', sa.Text))"
ENUM = "op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")"
MODELS = """
import sqlalchemy as sa
metadata = sa.MetaData()
sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
"""
OF_MODELS = {"options": "target_metadata=metadata, compare_type=True"}


@pytest.fixture
def named(server: Server) -> str:
    """Return the URL of a running scratch server."""
    return f"postgresql://postgres@/postgres?host={server.pgdata}&port={server.port}"


def loaded(chain: chains.Chain, named: str | None) -> alembic_rescue.Project:
    return alembic_rescue.load(chain.ini, scratch=named)


def rehearsed(chain: chains.Chain, named: str | None, target: str | None = None, against: str | None = None):
    """Return the report and its only database."""
    report = alembic_rescue.rehearse_from_empty(loaded(chain, named), target, against=against)
    return report, chains.only(report)


def codes(part: DatabaseReport) -> list[str]:
    return [note.code for note in part.findings]


def of(part: DatabaseReport, code: str) -> str:
    (note,) = (note for note in part.findings if note.code == code)
    return f"{note.message} | {note.help}"


def line(chain: chains.Chain, revision: str, text: str) -> int:
    """Return the line of the text in a revision's file."""
    lines = (chain.root / "alembic" / "versions" / f"{revision}.py").read_text().splitlines()
    return next(number for number, one in enumerate(lines, 1) if text in one)


# --- what passes --------------------------------------------------------------------------------------------------


def test_a_clean_chain_passes_and_reports_nothing(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE, NAME, "op.execute('SELECT 1')"])
    report, part = rehearsed(chain, named)
    assert (report.outcome, part.findings, part.causes) == (Outcome.PASSES, (), ())
    assert part.from_empty.ran == ("r1", "r2", "r3")
    assert part.heads_after == ("r3",)
    assert part.database.identity.server_version.startswith("18")
    assert part.from_empty.models is None


FROM_THE_ENVIRONMENT = """
import os
from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.parametrize("env", [None, FROM_THE_ENVIRONMENT], ids=["from the file", "from the environment"])
@pytest.mark.parametrize("url", ["", "driver://user:pass@localhost/dbname"], ids=["no URL", "the template's"])
def test_the_url_may_be_missing_or_invalid(tmp_path, named, monkeypatch, env, url):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    report, part = rehearsed(chains.write(tmp_path / "p", url, [TABLE], env=env), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_the_projects_own_database_is_never_opened(tmp_path):
    """A connection to its address would be noticed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        chain = chains.write(tmp_path / "p", f"postgresql+psycopg2://shop@127.0.0.1:{port}/shop", [TABLE, NAME])
        report, part = rehearsed(chain, "local")
        assert (report.outcome, part.findings) == (Outcome.PASSES, ())
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_private_server_of_the_newest_version_is_started(tmp_path):
    """Its role may create extensions and roles, as on a new server."""
    chain = chains.write(
        tmp_path / "p", NOWHERE, ["op.execute('CREATE ROLE reader'); op.execute('GRANT reader TO shop')"]
    )
    report, part = rehearsed(chain, "local")
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_without_a_scratch_server_it_says_how_to_get_one(tmp_path):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE])
    with pytest.raises(errors.ScratchMissing, match="--scratch none") as refused:
        rehearsed(chain, "none")
    assert "pip install" in refused.value.help


def test_a_target_before_the_head_is_the_one_that_is_named(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE, NAME, "op.execute('SELECT 1')"])
    ran = as_command(chain, "--scratch", named, "rehearse", "r2", "--from-empty")
    assert ran.status == 0
    assert "2 revisions, up to r2\n" in ran.stdout


@pytest.mark.parametrize("target", [(), ("heads",)])
def test_a_project_without_revisions_has_nothing_to_rehearse(tmp_path, named, target):
    chain = chains.write(tmp_path / "p", NOWHERE, [])
    ran = as_command(chain, "--scratch", named, "rehearse", *target, "--from-empty")
    assert ran.status == 0
    assert "Nothing to do: the project has no revisions." in ran.stdout
    assert "Passes" not in ran.stdout


def test_without_revisions_the_models_are_still_compared(tmp_path, named):
    report, part = rehearsed(with_models(tmp_path / "p", MODELS, bodies=[]), named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["models-differ"])


def test_the_outcome_without_revisions(tmp_path, named):
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, []), named)
    assert (report.outcome, part.findings) == (Outcome.NOTHING_TO_DO, ())
    assert part.recommendation.reason == "the project has no revisions"


def test_base_is_no_target(tmp_path, named):
    ran = as_command(
        chains.write(tmp_path / "p", NOWHERE, [TABLE]), "--scratch", named, "rehearse", "base", "--from-empty"
    )
    assert ran.status == errors.USAGE
    assert "there is nothing to rehearse up to base" in ran.stderr


# --- what fails ---------------------------------------------------------------------------------------------------


def test_a_revision_that_fails(tmp_path, named):
    chain = chains.write(
        tmp_path / "p", NOWHERE, [TABLE, "x = 1\nop.add_column('user', sa.Column('a', sa.Text))", NAME]
    )
    report, part = rehearsed(chain, named)
    assert report.outcome is Outcome.FAILS
    assert codes(part) == ["revision-fails"]
    told = of(part, "revision-fails")
    assert f"alembic/versions/r2.py:{line(chain, 'r2', 'add_column')}: ALTER TABLE" in told
    assert 'relation "user" does not exist' in told
    assert (part.from_empty.failed, part.from_empty.ran, part.from_empty.not_run) == ("r2", ("r1",), ("r3",))
    assert part.causes[0].line == line(chain, "r2", "add_column")
    assert part.heads_after == ("r1",)


def test_a_revision_that_fails_in_python(tmp_path, named):
    chain = chains.write(
        tmp_path / "p", NOWHERE, [TABLE, "row = op.get_bind().execute(text('SELECT id FROM users')).one()"]
    )
    _, part = rehearsed(chain, named)
    told = of(part, "revision-fails")
    assert f"r2.py:{line(chain, 'r2', '.one()')}: NoResultFound" in told


def test_a_swallowed_error(tmp_path, named):
    swallowing = f"try:\n    {ENUM}\nexcept Exception:\n    pass\n{NAME}"
    chain = chains.write(tmp_path / "p", NOWHERE, [f"{TABLE}\n{ENUM}", swallowing])
    report, part = rehearsed(chain, named)
    assert report.outcome is Outcome.FAILS
    assert codes(part) == ["swallowed-error"]
    told = of(part, "swallowed-error")
    assert f"r2.py:{line(chain, 'r2', 'CREATE TYPE')}: CREATE TYPE mood" in told
    assert 'type "mood" already exists' in told
    assert f"the except at line {line(chain, 'r2', 'except')} hides it" in told


def test_a_failure_in_a_savepoint_is_not_reported(tmp_path, named):
    body = f"try:\n    with op.get_bind().begin_nested():\n        {ENUM}\nexcept Exception:\n    pass\n{NAME}"
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [f"{TABLE}\n{ENUM}", body]), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


ADDS = "op.execute(\"ALTER TYPE mood ADD VALUE 'ok'\")"
BLOCK = "with op.get_context().autocommit_block():"
IN_AUTOCOMMIT = {
    "inside": f"{BLOCK}\n    try:\n        {ADDS}\n    except Exception:\n        pass",
    "around": f"try:\n    {BLOCK}\n        {ADDS}\nexcept Exception:\n    pass",
}
"""Hides a failure that aborts nothing."""


@pytest.mark.parametrize("hides", IN_AUTOCOMMIT.values(), ids=IN_AUTOCOMMIT)
def test_an_error_swallowed_in_an_autocommit_block(tmp_path, named, hides):
    chain = chains.write(tmp_path / "p", NOWHERE, [f"{TABLE}\n{ENUM}", hides, NAME])
    report, part = rehearsed(chain, named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["swallowed-error"])
    told = of(part, "swallowed-error")
    assert f"r2.py:{line(chain, 'r2', 'ADD VALUE')}: ALTER TYPE mood" in told
    assert 'enum label "ok" already exists' in told
    assert f"the except at line {line(chain, 'r2', 'except')} hides it, so the version moves on regardless" in told
    assert "begin_nested" not in told
    assert part.from_empty.ran == ("r1", "r2", "r3")


def test_an_autocommit_block_that_would_hide_an_error_rolls_nothing_back(tmp_path, named):
    body = IN_AUTOCOMMIT["inside"].replace(ADDS, 'op.execute("UPDATE users SET id = 1")')
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE, body]), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_an_error_that_would_be_swallowed_is_a_warning(tmp_path, named):
    body = 'try:\n    op.execute("UPDATE users SET id = 1")\nexcept Exception:\n    pass'
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE, body]), named)
    assert (report.outcome, codes(part)) == (Outcome.PASSES, ["would-be-hidden"])
    assert "empty database" in of(part, "would-be-hidden")


LONG = "a_revision_id_that_somebody_wrote_by_hand"


def test_an_id_that_is_too_long(tmp_path, named):
    """All such ids are reported, and what fails after them."""
    bodies = {"r1": TABLE, LONG: NAME, "r3": "op.execute('nonsense')", f"{LONG}_2": "pass"}
    chain = chains.write(tmp_path / "p", NOWHERE, bodies)
    report, part = rehearsed(chain, named)
    assert report.outcome is Outcome.FAILS
    assert codes(part) == ["revision-too-long", "revision-fails", "revision-too-long"]
    first = next(note for note in part.findings if note.code == "revision-too-long")
    assert f"{LONG}.py:{line(chain, LONG, 'revision =')} has an id of {len(LONG)} characters" in first.message
    assert "alembic_version.version_num holds only 32" in first.message
    assert [cause.revision for cause in part.causes if cause.code] == [LONG, f"{LONG}_2"]


def test_a_long_id_fits_if_a_revision_widens_the_version_table(tmp_path, named):
    widening = "op.alter_column('alembic_version', 'version_num', type_=sa.String(64))"
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, {"r1": widening, LONG: TABLE}), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_a_commit_inside_a_migration_is_a_warning(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE, f"{NAME}\nop.execute('COMMIT')\nop.execute('SELECT 1')"])
    report, part = rehearsed(chain, named)
    assert (report.outcome, codes(part)) == (Outcome.PASSES, ["commit-in-migration"])
    assert f"r2.py:{line(chain, 'r2', 'COMMIT')} calls COMMIT inside a migration" in of(part, "commit-in-migration")


def test_an_autocommit_block_does_not_count_as_a_commit(tmp_path, named):
    index = "op.create_index('ix', 'users', ['id'], postgresql_concurrently=True)"
    body = f"with op.get_context().autocommit_block():\n    {index}"
    options = {"options": "transaction_per_migration=True"}
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE, body], **options), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_a_rollback_inside_a_migration_fails(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE, f"{NAME}\nop.execute('ROLLBACK')"])
    report, part = rehearsed(chain, named)
    assert report.outcome is Outcome.FAILS
    assert "ends-transaction" in codes(part)


def test_an_env_py_that_never_commits(tmp_path, named):
    env = chains.ENV.format(options="").replace(
        "    context.configure", "    connection.exec_driver_sql('SELECT 1')\n    context.configure"
    )
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE, NAME], env=env), named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["env-never-commits"])
    assert "env.py:6 begins a transaction" in of(part, "env-never-commits")


def test_an_env_py_that_begins_after_configure_and_never_commits(tmp_path, named):
    env = chains.ENV.format(options="").replace(
        "    with context.begin_transaction():\n        context", "    connection.begin()\n    context"
    )
    _, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE, NAME], env=env), named)
    assert "begins a transaction after context.configure() and never commits it" in of(part, "env-never-commits")


def test_an_env_py_that_hides_errors(tmp_path, named):
    env = chains.ENV.format(options="").replace(
        "        context.run_migrations()", "        try:\n            context.run_migrations()\n"
        "        except Exception:\n            print('never mind')"
    )  # fmt: skip
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE], env=env), named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["env-hides-errors"])


def test_an_env_py_that_fails_after_the_migrations(tmp_path, named):
    env = chains.ENV.format(options="") + "raise RuntimeError('no permission to tell anybody')\n"
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE], env=env), named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["env-fails"])
    assert "no permission to tell anybody" in of(part, "env-fails")


def test_an_env_py_that_exits_with_0(tmp_path, named):
    env = chains.ENV.format(options="") + "raise SystemExit(0)\n"
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE], env=env), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def two_heads(root: Path) -> chains.Chain:
    chain = chains.write(root, NOWHERE, {"r1": TABLE, "r2": NAME})
    other = chains.HEADER.format(revision="r3", down="r1") + chains.module("op.execute('SELECT 1')")
    (root / "alembic" / "versions" / "r3.py").write_text(other)
    return chain


def test_several_heads_fail_unless_heads_is_the_target(tmp_path, named):
    chain = two_heads(tmp_path / "p")
    report, part = rehearsed(chain, named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["several-heads"])
    told = of(part, "several-heads")
    assert told.startswith("r3 (")
    assert f"r3.py:{line(chain, 'r3', 'revision =')}) is one of 2 heads: r2 and r3. " in told
    assert set(part.from_empty.ran) == {"r1", "r2", "r3"}

    report, part = rehearsed(chain, named, "heads")
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_a_revision_that_exceeds_its_timeout(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE, "import time; time.sleep(60)"])
    project = alembic_rescue.load(chain.ini, scratch=named, revision_timeout=4)
    part = chains.only(alembic_rescue.rehearse_from_empty(project))
    assert codes(part) == ["revision-fails"]
    told = "alembic/versions/r2.py: it did not end within 4 s (--revision-timeout)"
    assert told in of(part, "revision-fails")


def test_a_revision_that_ends_its_process(tmp_path, named):
    _, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE, "import os; os._exit(3)", NAME]), named)
    assert codes(part) == ["revision-fails"]
    told = "alembic/versions/r2.py: the process that ran it ended with status 3"
    assert told in of(part, "revision-fails")
    assert (part.from_empty.ran, part.from_empty.not_run) == (("r1",), ("r3",))


def test_an_extension_missing_from_the_scratch_server_is_not_the_chains_fault(tmp_path):
    chain = chains.write(tmp_path / "p", NOWHERE, ["op.execute('CREATE EXTENSION nowhere_to_be_had')"])
    with pytest.raises(errors.ExtensionMissing, match="nowhere_to_be_had"):
        rehearsed(chain, "local")


def test_an_extension_that_the_chain_can_do_without(tmp_path, named):
    making = "op.execute('CREATE EXTENSION nowhere_to_be_had')"
    trying = f"try:\n    with op.get_bind().begin_nested():\n        {making}\nexcept Exception:\n    pass"
    report, part = rehearsed(chains.write(tmp_path / "p", NOWHERE, [trying, TABLE]), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_an_env_py_with_a_missing_module(tmp_path, named):
    env = "import nowhere_to_be_had\n"
    with pytest.raises(errors.ModuleMissing, match="nowhere_to_be_had"):
        rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE], env=env), named)


def test_an_env_py_that_expects_existing_objects(tmp_path, named):
    asking = "    connection.exec_driver_sql('SELECT * FROM tenants')\n    connection.commit()\n"
    env = chains.ENV.format(options="").replace("    context.configure", f"{asking}    context.configure")
    chain = chains.write(tmp_path / "p", NOWHERE, [NAME.replace("users", "tenants")], env=env)
    with pytest.raises(errors.EnvFailsOnEmpty, match='relation "tenants" does not exist') as refused:
        rehearsed(chain, named)
    assert (refused.value.code, refused.value.exit_status) == ("env-fails-on-empty", errors.USAGE)

    baseline = tmp_path / "before.sql"
    baseline.write_text("CREATE TABLE tenants (id integer);")
    project = alembic_rescue.load(chain.ini, scratch=named, baseline=baseline)
    assert alembic_rescue.rehearse_from_empty(project).outcome is Outcome.PASSES


def test_an_env_py_that_opens_nothing(tmp_path, named):
    env = "raise RuntimeError('SHOP_DATABASE is not set')\n"
    with pytest.raises(errors.EnvNotReached, match=r"SHOP_DATABASE is not set \(.*env.py:1\)") as refused:
        rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE], env=env), named)
    assert (refused.value.code, refused.value.exit_status) == ("env-opens-no-database", errors.USAGE)


# --- the models ---------------------------------------------------------------------------------------------------


def with_models(
    root: Path, models: str, options: str = OF_MODELS["options"], bodies: Sequence[str] = (TABLE, NAME)
) -> chains.Chain:
    chain = chains.write(root, NOWHERE, bodies, env=chains.ENV.format(options=options))
    (root / "alembic" / "env.py").write_text(f"{models}\n{(root / 'alembic' / 'env.py').read_text()}")
    return chain


def test_models_that_match_the_chain(tmp_path, named):
    report, part = rehearsed(with_models(tmp_path / "p", MODELS), named)
    assert (report.outcome, part.findings, part.from_empty.models) == (Outcome.PASSES, (), ())


def test_models_that_differ_from_the_chain(tmp_path, named):
    models = MODELS.replace("sa.Text", "sa.Integer") + 'sa.Table("orders", metadata, sa.Column("id", sa.Integer))'
    report, part = rehearsed(with_models(tmp_path / "p", models), named)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["models-differ"])
    assert part.from_empty.models == (
        "table orders: in the models only",
        "type of column users.name is TEXT in the database and INTEGER in the models",
    )


def test_differences_are_sorted(tmp_path, named):
    models = MODELS.replace("sa.Text", "sa.Text), sa.Column('age', sa.Integer")
    models += 'sa.Table("orders", metadata, sa.Column("id", sa.Integer))'
    _, part = rehearsed(with_models(tmp_path / "p", models), named)
    assert part.from_empty.models == ("column users.age: in the models only", "table orders: in the models only")


def test_objects_excluded_by_env_py_are_not_compared(tmp_path, named):
    models = f"{MODELS}sa.Table('orders', metadata, sa.Column('id', sa.Integer))"
    options = (
        f"{OF_MODELS['options']}, include_name=lambda n, *_: n != 'x', include_object=lambda o, n, *_: n != 'orders'"
    )
    report, part = rehearsed(with_models(tmp_path / "p", models, options), named)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


# --- since a point in git -----------------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "p", "alembic/versions")
    repo.root.mkdir()
    repo.git("init", "-q", "-b", "main")
    return repo


def committed(repo: Repo, bodies: dict[str, str]) -> chains.Chain:
    """Commit a project with these revisions to main, and check out a branch from there."""
    repo.root.rmdir() if not any(repo.root.iterdir()) else None
    moved = repo.root.rename(repo.root.with_name("git"))
    chain = chains.write(repo.root, NOWHERE, bodies)
    (moved / ".git").rename(repo.root / ".git")
    repo.commit()
    repo.git("tag", "v1")
    repo.git("checkout", "-q", "-b", "feature")
    return chain


def add(chain: chains.Chain, revision: str, down: str, body: str) -> None:
    text = chains.HEADER.format(revision=revision, down=down) + chains.module(body)
    (chain.root / "alembic" / "versions" / f"{revision}.py").write_text(text)


SWALLOWING = f"{TABLE}\nop.execute('COMMIT')"
"""A body that would be reported."""


@pytest.mark.parametrize("reference", ["main", "v1"])
def test_only_new_revisions_are_reported(repo, named, reference):
    chain = committed(repo, {"r1": SWALLOWING, "r2": NAME})
    add(chain, "r3", "r2", "op.add_column('users', sa.Column('age', sa.Integer))\nop.execute('COMMIT')")
    report, part = rehearsed(chain, named, against=reference)
    assert (report.outcome, codes(part)) == (Outcome.PASSES, ["commit-in-migration"])
    assert "r3.py" in of(part, "commit-in-migration")
    assert (part.from_empty.before, part.from_empty.ran) == (("r1", "r2"), ("r3",))
    assert (part.from_empty.against, part.from_empty.commit) == (reference, repo.git("rev-parse", "main"))


def test_new_revisions_run_on_a_database_that_has_the_others(repo, named):
    """Earlier revisions were deployed, so committed, earlier: none of them runs in the same transaction."""
    chain = committed(repo, {"r1": f"{TABLE}\nop.execute('CREATE TABLE begun AS SELECT txid_current() AS id')"})
    same = "op.get_bind().execute(text('SELECT 1 FROM begun WHERE id = txid_current()')).first()"
    add(chain, "r2", "r1", f"assert {same} is None")
    assert rehearsed(chain, named, against="main")[0].outcome is Outcome.PASSES
    assert rehearsed(chain, named)[0].outcome is Outcome.FAILS


def test_no_new_revisions(repo, named):
    report, part = rehearsed(committed(repo, {"r1": TABLE}), named, against="main")
    assert (report.outcome, part.findings, part.from_empty.ran) == (Outcome.PASSES, (), ())


def test_a_revision_that_was_changed_or_deleted_since(repo, named):
    chain = committed(repo, {"r1": TABLE, "r2": NAME, "r3": "op.execute('SELECT 1')"})
    add(chain, "r2", "r1", NAME.replace("Text", "Integer"))
    (chain.root / "alembic" / "versions" / "r3.py").unlink()
    report, part = rehearsed(chain, named, against="main")
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["revision-changed", "revision-deleted"])
    assert "r2 (" in of(part, "revision-changed")
    assert "git checkout" in of(part, "revision-deleted")


def test_a_change_without_effect_is_not_reported(repo, named):
    chain = committed(repo, {"r1": TABLE, "r2": NAME})
    path = chain.root / "alembic" / "versions" / "r2.py"
    text = path.read_text().replace("def upgrade():", 'def upgrade() -> None:\n    """Now."""  # why')
    path.write_text(f"# new\n{text}\n\ndef downgrade() -> None:\n    op.drop_column('users', 'name')\n")
    report, part = rehearsed(chain, named, against="main")
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())


def test_a_reference_that_has_moved_on_gives_two_heads(repo, named):
    """A revision that is only on the other branch does not count as deleted."""
    chain = committed(repo, {"r1": TABLE})
    add(chain, "r2", "r1", NAME)
    repo.commit()
    repo.git("checkout", "-q", "main")
    add(chain, "r3", "r1", "op.execute('SELECT 1')")
    repo.commit()
    repo.git("checkout", "-q", "feature")
    report, part = rehearsed(chain, named, against="main")
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["several-heads"])
    told = of(part, "several-heads")
    assert told.startswith("merged into main, r2 (")
    assert f"r2.py:{line(chain, 'r2', 'revision =')}) is one of 2 heads: r2 and r3" in told


def test_of_several_heads_a_new_one_is_shown(repo, named):
    chain = committed(repo, {"r1": TABLE, "r3": "op.execute('SELECT 1')"})
    add(chain, "r2", "r1", NAME)
    _, part = rehearsed(chain, named, against="main")
    assert of(part, "several-heads").startswith("r2 (")


def test_a_reference_that_git_does_not_have(repo, named):
    with pytest.raises(errors.ReferenceNotRead, match="origin/main") as refused:
        rehearsed(committed(repo, {"r1": TABLE}), named, against="origin/main")
    assert "fetch-depth: 0" in refused.value.help
    assert (refused.value.code, refused.value.exit_status) == ("reference-not-read", errors.USAGE)


def test_without_a_repository(tmp_path, named):
    with pytest.raises(errors.ReferenceNotRead, match="not a git repository"):
        rehearsed(chains.write(tmp_path / "p", NOWHERE, [TABLE]), named, against="main")


def test_an_earlier_revision_that_fails(repo, named):
    chain = committed(repo, {"r1": "op.execute('nonsense')"})
    add(chain, "r2", "r1", TABLE)
    with pytest.raises(errors.ReferenceFails, match="r1, which is already in main") as refused:
        rehearsed(chain, named, against="main")
    assert (refused.value.code, refused.value.exit_status) == ("reference-fails", errors.USAGE)
    assert refused.value.message.endswith(f"r1.py:{line(chain, 'r1', 'nonsense')})")


def test_an_earlier_revision_that_ends_its_process(repo, named):
    chain = committed(repo, {"r1": "import os; os._exit(3)"})
    add(chain, "r2", "r1", TABLE)
    with pytest.raises(errors.ReferenceFails, match="the process that ran it ended with status 3") as refused:
        rehearsed(chain, named, against="main")
    assert refused.value.message.endswith("alembic/versions/r1.py)")


# --- other projects, other servers --------------------------------------------------------------------------------


def test_sqlite_needs_no_server(tmp_path):
    chain = chains.write(tmp_path / "p", "sqlite:///nowhere/shop.db", [TABLE, NAME])
    report, part = rehearsed(chain, None)
    assert (report.outcome, part.findings) == (Outcome.PASSES, ())
    assert not (tmp_path / "nowhere").exists()

    (chain.root / "alembic.ini").write_text(
        (chain.root / "alembic.ini").read_text().replace("sqlite:///nowhere/shop.db", "sqlite://")
    )
    with pytest.raises(errors.EnvNotReached, match="in memory"):
        rehearsed(chain, None)


@pytest.mark.usefixtures("mariadb_server")
def test_on_mariadb_no_transaction_is_aborted(tmp_path):
    swallowing = f"try:\n    op.execute('nonsense')\nexcept Exception:\n    pass\n{NAME}"
    chain = chains.write(tmp_path / "p", "mysql+pymysql://shop@db.invalid/shop", [TABLE, swallowing])
    report, part = rehearsed(chain, None)
    assert (report.outcome, codes(part)) == (Outcome.FAILS, ["swallowed-error"])
    assert "hides it, so the version moves on" in of(part, "swallowed-error")
    assert part.from_empty.ran == ("r1", "r2")


def test_several_databases_each_have_their_own_findings(project, named):
    copy: ProjectCopy = project("styles/multidb")
    ran = copy.rescue("--scratch", named, "--format", "json", "rehearse", "--from-empty")
    assert ran.status == 0, ran.everything
    first, second = ran.json["databases"]
    assert first["from_empty"]["ran"] == second["from_empty"]["ran"] != []


@pytest.mark.parametrize("style", ["engine_with_creator", "pyproject_only", "version_table_schema", "async_asyncpg"])
def test_styles_of_env_py(project, named, style):
    ran = project(f"styles/{style}").rescue("--scratch", named, "--format", "json", "rehearse", "--from-empty")
    assert (ran.status, ran.json["databases"][0]["findings"]) == (0, []), ran.everything


def test_a_flask_project(project, named):
    copy = project("styles/flask_migrate")
    arguments = ("--app", "shop", "--scratch", named, "--format", "json", "rehearse", "--from-empty")
    ran = copy.rescue(*arguments, SHOP_DATABASE=NOWHERE)
    assert (ran.status, ran.json["databases"][0]["findings"]) == (0, []), ran.everything
    assert ran.json["databases"][0]["from_empty"]["models"] == []


# --- the command --------------------------------------------------------------------------------------------------


def as_command(chain: chains.Chain, *arguments: str, **environment: str):
    return ProjectCopy(chain.root, chain.root.parent / "state").rescue(*arguments, **environment)


def test_the_command_reports_it_and_exits_with_3(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE, "op.execute('nonsense')"])
    ran = as_command(chain, "--scratch", named, "rehearse", "--from-empty")
    assert ran.status == 3
    assert "error[revision-fails]: r2 fails on an empty database." in ran.stdout
    assert "Fails. First fix the problems above." in ran.stdout
    as_json = as_command(chain, "--scratch", named, "--format", "json", "rehearse", "--from-empty")
    assert as_json.status == 3
    assert as_json.json["outcome"] == "fails"
    assert as_json.json["databases"][0]["from_empty"]["failing"] == ["revision-fails"]
    for kind in ("markdown", "html"):
        page = as_command(chain, "--scratch", named, "--format", kind, "rehearse", "--from-empty")
        assert "revision-fails" in page.stdout
        assert "r2.py" in page.stdout
        assert "no revision is applied" not in page.stdout  # the picture shows how far the run got


def test_the_command_passes(tmp_path, named):
    chain = chains.write(tmp_path / "p", NOWHERE, [TABLE])
    ran = as_command(chain, "--scratch", named, "rehearse", "--from-empty")
    assert ran.status == 0
    assert "Passes. Nothing failed." in ran.stdout
    assert "warning[" not in ran.stdout


def test_against_needs_from_empty(tmp_path):
    ran = as_command(chains.write(tmp_path / "p", NOWHERE, [TABLE]), "rehearse", "--against", "main")
    assert ran.status == errors.USAGE
    assert "--against needs --from-empty" in ran.stderr


def test_no_secret_is_printed(tmp_path, named):
    url = "postgresql+psycopg2://shop:s3cr3t-w0rd@db.invalid/shop"
    chain = chains.write(tmp_path / "p", url, ["op.execute(\"ALTER ROLE nobody PASSWORD 's3cr3t-w0rd'\")"])
    ran = as_command(chain, "--scratch", named, "--format", "json", "rehearse", "--from-empty")
    assert ran.status == 3
    assert "s3cr3t-w0rd" not in ran.everything


def test_each_failing_code_is_one_that_is_reported():
    text = "\n".join(path.read_text() for path in Path(sys.modules["alembic_rescue"].__file__).parent.rglob("*.py"))
    assert all(text.count(f'"{code}"') >= 2 for code in FAILS)
