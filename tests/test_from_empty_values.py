"""``rehearse --from-empty`` on values, and its use of git."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script.revision import Revision, RevisionMap

from alembic_rescue import errors
from alembic_rescue.cli.call import _ALEMBICS
from alembic_rescue.evidence.observation import At, Ended, Failure, Statement, StatementKind
from alembic_rescue.from_empty import against, judging
from alembic_rescue.graph import scripts
from alembic_rescue.worker import script_files
from alembic_rescue.worker.scratch import differences
from alembic_rescue.worker.scratch.runs import OwnVisit
from tests.repositories import Repo, source

ABORTED = "current transaction is aborted, commands ignored until end of transaction block"


def statement(error: str, line: int, handler: int | None = None) -> Statement:
    sql = "CREATE TYPE mood AS ENUM ('ok')"
    return Statement(sql, StatementKind.CATALOG, "r2.py", line, error=error, handler_line=handler)


# --- what is reported of a run ------------------------------------------------------------------------------------


def test_a_consequence_of_a_swallowed_error_is_not_reported_separately():
    failed = ('type "mood" already exists', 7, 8)
    visit = OwnVisit(0, ("r1",), (("r2", statement(*failed)),), "r2", Failure(ABORTED, "env.py", 9))
    (cause,) = judging.causes(visit, ["r1", "r2"])
    assert (cause.swallowed, cause.line, cause.handler_line) == (True, 7, 8)


def test_an_independent_failure_is_reported_along_with_a_swallowed_error():
    swallowed = (("r1", statement('type "mood" already exists', 7, 8)),)
    visit = OwnVisit(0, ("r1",), swallowed, "r2", Failure("KeyError: 'x'", "r2.py", 9), transactional=False)
    assert [(cause.revision, cause.swallowed) for cause in judging.causes(visit, ["r1", "r2"])] == [
        ("r1", True),
        ("r2", False),
    ]


def test_a_missing_object_may_be_passed_as_baseline():
    failure = Failure('relation "users" does not exist', "r2.py", 9, "ALTER TABLE users ADD x integer")
    (cause,) = judging.causes(OwnVisit(0, (), (), "r2", failure), ["r2"])
    assert "--baseline FILE.sql" in cause.fix


def test_a_commit_is_reported_once_and_a_rollback_is_not_a_commit():
    ends = (Ended("r1", At("r1.py", 5), "commit()"), Ended("r1", At("r1.py", 6), "rollback()"))
    visit = OwnVisit(0, ("r1",))
    visit = OwnVisit(0, ("r1",), handling=type(visit.handling)(ended=ends))
    told = [(cause.code, cause.line) for cause in judging.causes(visit, ["r1"])]
    assert told == [("ends-transaction", 6), ("commit-in-migration", 5)]


@pytest.mark.parametrize(("limit", "told"), [(None, []), (64, []), (32, ["b" * 40]), (4, ["first", "b" * 40])])
def test_each_id_that_is_too_long(limit, told):
    found = judging.too_long(limit, ["first", "b" * 40], {}, "alembic_version")
    assert [cause.revision for cause in found] == told


def test_many_differences_are_counted():
    (note,) = judging.models_differ([f"table t{n}: in the models only" for n in range(12)])
    assert "in 12 places" in note.message
    assert note.message.endswith("and 2 more")
    assert judging.models_differ([]) == ()


def test_alembics_commands_are_given_as_the_project_runs_them():
    (heads,) = judging.several_heads(RevisionMap(lambda: [Revision("a", None), Revision("b", None)]), None, "", "b")
    (models,) = judging.models_differ(["table t: in the models only"])
    assert [_ALEMBICS.findall(note.help) for note in (heads, models)] == [["merge"], ["revision --autogenerate"]]
    assert "If the migration is right, change the models" in models.help


# --- what alembic check finds -------------------------------------------------------------------------------------


def test_each_kind_of_difference_has_words():
    """The differences are found by Alembic itself."""
    engine = sa.create_engine("sqlite://")
    there = sa.MetaData()
    sa.Table("gone", there, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "users",
        there,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("old", sa.Integer),
        sa.Column("name", sa.String(20), server_default="x"),
        sa.Index("ix_old", "old"),
    )
    wanted = sa.MetaData()
    sa.Table("fresh", wanted, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "users",
        wanted,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fresh", sa.Integer, sa.ForeignKey("fresh.id")),
        sa.UniqueConstraint("name", name="uq_name"),
    )
    with engine.connect() as connection:
        there.create_all(connection)
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        told = set(differences.told(compare_metadata(context, wanted)))
    assert told == {
        "table fresh: in the models only",
        "table gone: in the database only",
        "column users.fresh: in the models only",
        "column users.old: in the database only",
        "index ix_old on users (old): in the database only",
        "foreign key on users (fresh): in the models only",
        "constraint uq_name on users (name): in the models only",
        "type of column users.name is VARCHAR(20) in the database and TEXT in the models",
        "server default of column users.name is 'x' in the database and none in the models",
        "nullable of column users.name is true in the database and false in the models",
    }


# --- git ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "git")
    repo.root.mkdir()
    repo.git("init", "-q", "-b", "main")
    repo.write("a1", None)
    repo.write("a2", "a1")
    repo.commit()
    return repo


def files(repo: Repo):
    return [script_files.told_by_text(path.read_bytes(), path) for path in sorted(repo.folder.glob("*.py"))]


def changed(repo: Repo, reference: str = "main") -> list[str]:
    return [note.code for note in against.changed(against.read([repo.folder], reference), files(repo))]


def test_the_earlier_revisions(repo):
    repo.write("a3", "a2")
    before = against.read([repo.folder], "main")
    assert sorted(before.revisions) == ["a1", "a2"]
    assert before.commit == repo.git("rev-parse", "HEAD")
    assert changed(repo) == []


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("def upgrade():\n    op.execute('SELECT 2')\n", ["revision-changed"]),
        ("down_revision = 'a0'\n", ["revision-changed"]),
        ("# a comment\n\nimport os\n", []),
        ("def downgrade():\n    raise NotImplementedError\n", []),
        ("not python (", ["revision-changed"]),
    ],
)
def test_which_changes_count(repo, text, codes):
    repo.write("a2", "a1", text=f"{source('a2', 'a1')}\n{text}")
    present = [*files(repo)[:1], script_files.told_by_text(source("a2", "a1").encode(), repo.folder / "a2_x.py")]
    present[1] = type(present[1])(**{**vars(present[1]), "content": "another"})
    assert [note.code for note in against.changed(against.read([repo.folder], "main"), present)] == codes


def test_a_file_that_was_renamed_is_the_same_revision(repo):
    (repo.folder / "a2_x.py").rename(repo.folder / "a2_renamed.py")
    assert changed(repo) == []


def test_a_deletion_on_this_branch_is_reported_but_an_addition_on_the_other_is_not(repo):
    repo.git("checkout", "-q", "-b", "feature")
    (repo.folder / "a2_x.py").unlink()
    repo.commit()
    repo.git("checkout", "-q", "main")
    repo.write("a3", "a2")
    repo.commit()
    repo.git("checkout", "-q", "feature")
    assert changed(repo) == ["revision-deleted"]


def test_the_heads_after_a_merge(repo):
    repo.git("checkout", "-q", "-b", "feature")
    repo.write("b3", "a2")
    repo.commit()
    repo.git("checkout", "-q", "main")
    repo.write("a3", "a2")
    repo.commit()
    repo.git("checkout", "-q", "feature")
    before, now = against.read([repo.folder], "main"), files(repo)
    (note,) = judging.several_heads(
        scripts.graph(now), scripts.graph(against.merged(before, now)), "main", "b3 (b3.py:6)"
    )
    assert note.message == "merged into main, b3 (b3.py:6) is one of 2 heads: a3 and b3"
    assert "a3" in note.help
    assert judging.several_heads(scripts.graph(now), None, "", "b3 (b3.py:6)") == ()


@pytest.mark.parametrize("reference", ["nowhere", "--all", "-x", "main..feature", ""])
def test_a_name_unknown_to_git_or_one_that_looks_like_an_option(repo, reference):
    with pytest.raises(errors.ReferenceNotRead):
        against.read([repo.folder], reference)


@pytest.mark.parametrize(
    ("reference", "fix"),
    [
        ("nowhere", "name a remote branch as origin/main"),
        ("origin/main", "fetch it first: `git fetch origin main:refs/remotes/origin/main`."),
    ],
)
def test_the_help_names_what_was_not_typed_yet(repo, reference, fix):
    with pytest.raises(errors.ReferenceNotRead) as refused:
        against.read([repo.folder], reference)
    assert fix in refused.value.help
    assert "fetch-depth: 0" in refused.value.help


def command_of(refused: pytest.ExceptionInfo[errors.ReferenceNotRead]) -> list[str]:
    """Return the words of the command in the help, after ``git``."""
    program, *words = refused.value.help.split("`")[1].split()
    assert program == "git"
    return words


@pytest.fixture
def shallow(repo, tmp_path: Path) -> Repo:
    """A clone of the last commit of ``feature``, which ``main`` has left behind."""
    repo.git("checkout", "-q", "-b", "feature")
    repo.write("b3", "a2")
    repo.commit()
    repo.git("checkout", "-q", "main")
    repo.write("a3", "a2")
    repo.commit()
    repo.git("clone", "-q", "--depth=1", "--branch=feature", f"file://{repo.root}", str(tmp_path / "clone"))
    return Repo(tmp_path / "clone")


def test_the_fetch_that_the_help_names_is_enough_in_a_shallow_clone(shallow):
    with pytest.raises(errors.ReferenceNotRead, match="not a branch, tag or commit") as refused:
        against.read([shallow.folder], "origin/main")
    shallow.git(*command_of(refused))
    assert changed(shallow, "origin/main") == []


def test_without_the_merge_base_nothing_is_called_deleted(shallow):
    shallow.git("fetch", "-q", "--depth=1", "origin", "main:refs/remotes/origin/main")
    with pytest.raises(errors.ReferenceNotRead) as refused:
        against.read([shallow.folder], "origin/main")
    assert "this clone is shallow, without the commit at which HEAD left origin/main" in refused.value.message
    assert "fetch-depth: 0" in refused.value.help
    shallow.git(*command_of(refused))
    before = against.read([shallow.folder], "origin/main")
    assert sorted(before.revisions) == ["a1", "a2"]
    assert changed(shallow, "origin/main") == []


def test_histories_without_a_common_commit(repo):
    repo.git("checkout", "-q", "--orphan", "feature")
    repo.write("b1", None)
    repo.commit()
    with pytest.raises(errors.ReferenceNotRead, match="HEAD and main have no commit in common") as refused:
        against.read([repo.folder], "main")
    assert "fetch" not in refused.value.help


def test_outside_a_repository_nothing_is_to_be_fetched(tmp_path):
    with pytest.raises(errors.ReferenceNotRead) as refused:
        against.read([tmp_path], "main")
    assert refused.value.message.endswith(": this is not a git repository")
    assert "fetch" not in refused.value.help


def test_a_folder_of_a_package_is_left_out(repo, tmp_path):
    (tmp_path / "package").mkdir()
    assert sorted(against.read([tmp_path / "package", repo.folder], "main").revisions) == ["a1", "a2"]
