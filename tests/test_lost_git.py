"""A revision that the scripts lack is found in git, wherever it is, and nothing is written there (issue 10)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from alembic_rescue.evidence.lost import Found
from alembic_rescue.lost import looking
from alembic_rescue.worker import script_files
from tests.repositories import Repo, ahead, make, source


@pytest.fixture
def repo(tmp_path, monkeypatch):
    made = make(tmp_path / "repo")
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return made


def the(search, revision="c3"):
    found = search.of(revision)
    assert found is not None, search
    return found


def brought_back(repo, search):
    """Run the printed command; return the folder's files afterwards."""
    subprocess.run(["sh", "-c", search.command], check=True, capture_output=True)
    return sorted(path.name for path in repo.folder.glob("*.py"))


def test_on_another_branch(repo):
    commit = ahead(repo, "release")
    search = repo.search("c3")
    found = the(search)
    assert (found.found, found.commit, found.path) == (Found.GIT, commit[:12], "versions/c3_x.py")
    assert (found.ref, found.down_revisions, found.doc) == ("branch release", ("b2",), "make c3")
    assert found.date == repo.git("log", "-1", "--format=%cs", commit)
    assert search.joins
    assert search.missing == ()
    assert search.command == f"git checkout {commit[:12]} -- versions/c3_x.py"
    assert brought_back(repo, search) == ["a1_x.py", "b2_x.py", "c3_x.py"]


def test_rolled_back_by_a_commit_that_removes_it(repo):
    repo.write("c3", "b2")
    added = repo.commit()
    repo.git("rm", "-q", "versions/c3_x.py")
    repo.commit("roll back")
    found = the(repo.search("c3"))
    assert (found.commit, found.ref) == (added[:12], "the history of main, which is checked out")


def test_the_last_version_of_its_file(repo):
    path = repo.write("c3", "b2")
    repo.commit()
    path.write_text(source("c3", "b2", doc="the last"))
    last = repo.commit()
    path.unlink()
    repo.commit()
    assert (the(repo.search("c3")).commit, the(repo.search("c3")).doc) == (last[:12], "the last")


def test_only_in_the_reflog(repo):
    commit = ahead(repo)
    found = the(repo.search("c3"))
    assert (found.commit, found.ref) == (commit[:12], "no branch has it anymore, only the reflog")


def test_on_a_branch_that_was_deleted(repo):
    commit = ahead(repo, "gone")
    repo.git("branch", "-q", "-D", "gone")
    assert the(repo.search("c3")).commit == commit[:12]


def test_in_an_unreachable_commit(repo):
    commit = ahead(repo)
    repo.git("reflog", "expire", "--expire=now", "--all")
    found = the(repo.search("c3"))
    assert (found.commit, found.ref) == (commit[:12], "no branch and no reflog has it anymore")
    assert "c3_x.py" in brought_back(repo, repo.search("c3"))


def test_staged_and_never_committed(repo):
    repo.write("c3", "b2")
    repo.git("add", "-A", ".")
    repo.git("reset", "-q", "--hard")
    search = repo.search("c3")
    assert (the(search).commit, the(search).ref) == (None, "it was staged but never committed")
    assert "c3.py" in brought_back(repo, search)


@pytest.mark.parametrize("staged", [True, False], ids=["staged", "untracked"])
def test_in_the_stash(repo, staged):
    repo.write("c3", "b2")
    if staged:
        repo.git("add", "-A", ".")
    repo.git("stash", "push", "-q", "--include-untracked")
    assert the(repo.search("c3")).ref == "the stash"


def test_on_a_tag(repo):
    ahead(repo, "release")
    repo.git("tag", "v2", "release")
    repo.git("branch", "-q", "-D", "release")
    assert the(repo.search("c3")).ref == "tag v2"


def test_the_nearest_of_several_places_is_named(repo):
    repo.git("checkout", "-q", "-b", "feature")
    repo.write("c3", "b2", name="other.py")
    commit = repo.commit()
    repo.git("tag", "v2")
    repo.git("checkout", "-q", "main")
    repo.git("checkout", "-q", "--orphan", "later")
    repo.write("c3", "b2", name="tagged.py")
    repo.commit()
    repo.git("tag", "v3")
    repo.git("checkout", "-q", "main")
    repo.git("branch", "-q", "-D", "later")
    found = the(repo.search("c3"))
    assert (found.commit, found.ref) == (commit[:12], "branch feature")


def test_on_a_remote_branch_that_is_not_fetched_yet(repo, tmp_path, monkeypatch):
    repo.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    repo.git("clone", "-q", str(tmp_path / "bare.git"), str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    repo.git("remote", "add", "origin", str(tmp_path / "bare.git"))
    ahead(repo, "release")
    repo.git("push", "-q", "origin", "release")
    monkeypatch.chdir(clone.root)
    search = clone.search("c3")
    assert search.missing == ("c3",)
    assert any("git fetch --all" in one for one in search.not_looked)
    clone.git("fetch", "-q", "--all")
    assert the(clone.search("c3")).ref == "remote branch origin/release"


def test_a_shallow_clone_is_reported(repo, tmp_path, monkeypatch):
    repo.write("c3", "b2")
    repo.commit()
    repo.git("rm", "-q", "versions/c3_x.py")
    repo.commit("roll back")
    repo.git("clone", "-q", "--depth=1", f"file://{repo.root}", str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    monkeypatch.chdir(clone.root)
    search = clone.search("c3")
    assert search.missing == ("c3",)
    assert any("shallow clone" in one and "git fetch --unshallow" in one for one in search.not_looked)
    clone.git("fetch", "-q", "--unshallow")
    search = clone.search("c3")
    assert the(search).ref == "the history of main, which is checked out"
    assert not any("shallow" in one for one in search.not_looked)


def test_a_partial_clone_is_reported_and_fetches_nothing(repo, tmp_path, monkeypatch):
    repo.write("c3", "b2")
    repo.commit()
    repo.git("rm", "-q", "versions/c3_x.py")
    repo.commit("roll back")
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git("clone", "-q", "--filter=blob:none", f"file://{repo.root}", str(tmp_path / "clone"))
    clone = Repo(tmp_path / "clone")
    monkeypatch.chdir(clone.root)
    before = state(clone)
    search = clone.search("c3")
    assert search.missing == ("c3",)
    assert "what a partial clone has not fetched (use a full clone)" in search.not_looked
    assert state(clone) == before


def test_version_locations_in_two_repositories(repo, tmp_path):
    other = make(tmp_path / "other", versions="more")
    other.git("checkout", "-q", "-b", "release")
    other.write("m3", "b2")
    commit = other.commit()
    other.git("checkout", "-q", "main")
    paths = [*repo.folder.glob("*.py")]
    scripts = [script_files.told_by_text(path.read_bytes(), path) for path in paths]
    search = looking.look_for(["m3"], scripts, [repo.folder, other.folder]).search
    assert (the(search, "m3").commit, search.joins) == (commit[:12], True)
    assert search.command == f"git -C ../other checkout {commit[:12]} -- more/m3_x.py"


def test_several_consecutive_revisions_come_back_with_one_command(repo):
    repo.git("checkout", "-q", "-b", "release")
    repo.write("c3", "b2")
    repo.commit()
    repo.write("d4", "c3", name="d 4.py")
    repo.commit()
    repo.write("e5", "d4", name="é5.py")
    last = repo.commit()
    repo.git("checkout", "-q", "main")
    search = repo.search("e5")
    assert [one.revision for one in search.found] == ["e5", "d4", "c3"]
    assert {one.commit for one in search.found} == {last[:12]}
    assert search.command.count("git checkout") == 1
    assert len(brought_back(repo, search)) == 5


def test_a_missing_revision_in_the_middle(repo):
    repo.git("checkout", "-q", "-b", "release")
    repo.write("d4", "c3")
    repo.commit()
    repo.git("checkout", "-q", "main")
    search = repo.search("d4")
    assert the(search, "d4").down_revisions == ("c3",)
    assert (search.missing, search.joins) == (("c3",), False)


def test_a_separate_history_leads_to_none_of_the_scripts(repo):
    repo.git("checkout", "-q", "-b", "old")
    repo.write("z1", None)
    repo.write("z2", "z1")
    repo.commit()
    repo.git("checkout", "-q", "main")
    search = repo.search("z2")
    assert {one.revision for one in search.found} == {"z2", "z1"}
    assert not search.joins


OTHERS = {
    "a longer id": source("c3f", "b2"),
    "its follower": source("d4", "c3"),
    "SQL that names it": source("d4", "b2", "op.execute(\"UPDATE alembic_version SET version_num = 'c3'\")"),
    "a text that looks like one": 'SQL = """\nrevision = \'c3\'\n"""\nrevision = "d4"\ndown_revision = "b2"\n',
    "no Python": "revision = 'c3'\ndown_revision = (",
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_file_that_only_mentions_it_does_not_count(repo, other):
    repo.git("checkout", "-q", "-b", "release")
    repo.write("x", None, name="x.py", text=OTHERS[other])
    repo.commit()
    repo.git("checkout", "-q", "main")
    assert repo.search("c3").found == ()


@pytest.mark.parametrize(
    "text",
    [
        "from typing import Union\nrevision: str = 'c3'\ndown_revision: Union[str, None] = 'b2'\n",
        'revision, down_revision = "c3", ("b2",)\n',
        'revision = "c3"  # ours\ndown_revision = "b2"\ndepends_on = None\n',
    ],
)
def test_ids_are_read_like_those_of_the_scripts(repo, text):
    repo.git("checkout", "-q", "-b", "release")
    repo.write("c3", "b2", text=text)
    repo.commit()
    repo.git("checkout", "-q", "main")
    assert the(repo.search("c3")).down_revisions == ("b2",)


def test_a_version_folder_that_was_renamed(repo):
    repo.write("c3", "b2")
    added = repo.commit()
    repo.git("mv", "versions", "migrations")
    (repo.root / "migrations" / "c3_x.py").unlink()
    repo.commit("rename")
    search = Repo(repo.root, "migrations").search("c3")
    assert (the(search).commit, the(search).path) == (added[:12], "versions/c3_x.py")
    assert "c3_x.py" in brought_back(Repo(repo.root, "migrations"), search)


def test_only_a_merge_wrote_it(repo):
    repo.git("checkout", "-q", "-b", "side")
    repo.commit("side")
    repo.git("checkout", "-q", "main")
    repo.commit("main")
    repo.git("merge", "-q", "--no-commit", "--no-ff", "side")
    repo.write("c3", "b2")
    merge = repo.commit("evil")
    repo.git("rm", "-q", "versions/c3_x.py")
    repo.commit("roll back")
    assert the(repo.search("c3")).commit == merge[:12]


def test_in_a_subfolder_of_a_repository_with_several_projects(tmp_path, monkeypatch):
    repo = make(tmp_path / "mono repo", versions="back end/migrations/vérsions [1]")
    commit = ahead(repo, "release")
    monkeypatch.chdir(repo.root / "back end")
    search = repo.search("c3")
    assert the(search).path == "migrations/vérsions [1]/c3_x.py"
    assert the(search).commit == commit[:12]
    assert "c3_x.py" in brought_back(repo, search)


def test_in_a_worktree(repo, tmp_path, monkeypatch):
    ahead(repo, "release")
    repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"), "main")
    tree = Repo(tmp_path / "tree")
    monkeypatch.chdir(tree.root)
    assert the(tree.search("c3")).ref == "branch release"
    assert "c3_x.py" in brought_back(tree, tree.search("c3"))


def test_in_a_submodule(repo, tmp_path, monkeypatch):
    ahead(repo, "release")
    outer = Repo(tmp_path / "outer", "back/versions")
    outer.root.mkdir()
    outer.git("init", "-q", "-b", "main")
    outer.git("submodule", "--quiet", "add", str(repo.root), "back")
    outer.commit()
    monkeypatch.chdir(outer.root)
    search = outer.search("c3")
    assert the(search).ref == "remote branch origin/release"
    assert search.command.startswith("git -C back checkout ")
    assert "c3_x.py" in brought_back(outer, search)


def test_run_in_a_repository_within_it(repo, monkeypatch):
    ahead(repo, "release")
    inner = make(repo.root / "inner")
    monkeypatch.chdir(inner.root)
    search = repo.search("c3")
    assert search.command.startswith("git -C .. checkout ")
    assert "c3_x.py" in brought_back(repo, search)


def test_in_the_very_first_commit(repo):
    repo.git("config", "log.showRoot", "false")
    repo.git("rm", "-q", "versions/a1_x.py")
    repo.commit()
    assert the(repo.search("a1"), "a1").path == "versions/a1_x.py"


def test_within_a_hook_of_another_repository(repo, tmp_path, monkeypatch):
    other = make(tmp_path / "other")
    commit = ahead(repo, "release")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git" / "index"))
    search = repo.search("c3")
    assert the(search).commit == commit[:12]


# --- where git does not help -------------------------------------------------------------------------------------


def test_a_missing_git_is_reported(repo, monkeypatch):
    ahead(repo, "release")
    monkeypatch.setenv("PATH", "")
    search = repo.search("c3")
    assert search.found == ()
    assert search.not_looked == ("git (not installed here)",)


def test_a_missing_repository_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    repo = Repo(tmp_path / "plain")
    repo.write("a1", None)
    search = repo.search("c3")
    assert search.not_looked == ("git (this is not a git repository)",)
    assert search.missing == ("c3",)


def test_a_repository_without_commits(tmp_path):
    repo = Repo(tmp_path / "new")
    repo.root.mkdir()
    repo.git("init", "-q")
    repo.write("a1", None)
    assert repo.search("c3").missing == ("c3",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to somebody else")
def test_somebody_elses_repository_is_reported_and_left_alone(repo, monkeypatch):
    ahead(repo, "release")
    for path in (repo.root, repo.root / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(repo.root / "nobody"))
    (told,) = repo.search("c3").not_looked
    assert "owned by another user" in told
    assert f"safe.directory {repo.root}" in told


def test_it_ends_in_time(repo, tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    begun = time.monotonic()
    search = repo.look_for("c3", seconds=0.5).search
    assert time.monotonic() - begun < 5
    assert search.not_looked == ("the rest of git's history (it takes too long)",)


def test_the_search_writes_nothing_and_starts_no_program(repo, tmp_path, monkeypatch):
    ahead(repo, "release")
    started = tmp_path / "started"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    (repo.root / ".gitattributes").write_text("*.py diff=evil\n")
    settings = {
        "core.fsmonitor": program,
        "core.pager": program,
        "diff.external": program,
        "diff.evil.textconv": program,
        "diff.evil.command": program,
        "gpg.program": program,
        "log.showSignature": "true",
        "log.showRoot": "false",
        "diff.renames": "copies",
    }
    for name, value in settings.items():
        repo.git("config", name, str(value))
    for hook in ("post-checkout", "pre-auto-gc", "reference-transaction", "post-index-change"):
        shutil.copy(program, repo.root / ".git" / "hooks" / hook)
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(program))
    monkeypatch.setenv("GIT_PAGER", str(program))
    before = state(repo)
    assert repo.search("c3").found
    assert repo.search("nowhere").found == ()
    assert state(repo) == before
    assert not started.exists()


def state(repo):
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in repo.root.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("row", ["", " ", "-x", "--output=pwned", "a\nb", ":(top)", "$(touch pwned)", "x" * 500, "é"])
def test_rows_that_are_no_ids_are_harmless(repo, row):
    ahead(repo, "release")
    search = repo.search(row)
    assert (search.found, search.missing) == ((), (row,))
    assert not list(repo.root.rglob("*pwned*"))


@pytest.mark.slow
def test_a_long_history_takes_seconds(tmp_path, monkeypatch):
    """3,000 commits, of which 1,000 write revisions."""
    repo = make(tmp_path / "long")
    lines, down = [], "b2"
    for number in range(3000):
        lines.append(f"commit refs/heads/main\ncommitter T <t@example.org> {1600000000 + number} +0000\ndata 1\nx\n")
        if number == 0:
            lines.append("from refs/heads/main^0\n")
        name, text = "code.py", f"x = {number}\n" * 50
        if number % 3 == 0:
            name, text = f"versions/r{number}.py", source(f"r{number}", down)
            down = f"r{number}"
        lines.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
    subprocess.run(
        ["git", "fast-import", "--quiet"],
        cwd=repo.root,
        input="".join(lines),
        text=True,
        check=True,
        capture_output=True,
    )
    repo.git("branch", "release", "main")
    repo.git("update-ref", "refs/heads/main", repo.git("rev-list", "--max-parents=0", "main"))
    monkeypatch.chdir(repo.root)
    begun = time.monotonic()
    search = repo.search("r2997")
    took = time.monotonic() - begun
    assert len(search.found) == 1000
    assert search.joins
    begun = time.monotonic()
    assert repo.search("nowhere").found == ()
    assert max(took, time.monotonic() - begun) < looking.SECONDS / 2
