"""Real git repositories for a test, with revisions in them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from alembic_rescue.evidence.lost import Search
from alembic_rescue.lost import looking
from alembic_rescue.lost.looking import Recovered
from alembic_rescue.worker import script_files

_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
_WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always")


@dataclass(frozen=True)
class Repo:
    """A repository with a working tree."""

    root: Path
    versions: str = "versions"

    @property
    def folder(self) -> Path:
        return self.root / self.versions

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *_WHO, *arguments],
            cwd=self.root,
            env={**os.environ, **_ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, revision: str, down: str | None, *, name: str | None = None, text: str | None = None) -> Path:
        path = self.folder / (name or f"{revision}_x.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if text is not None else source(revision, down), "utf-8")
        return path

    def commit(self, message: str = "more") -> str:
        self.git("add", "-A", ".")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def look_for(self, *revisions: str, seconds: float = looking.SECONDS) -> Recovered:
        """Look for the revisions, given the files in the script folder."""
        paths = sorted(self.folder.glob("*.py"))
        scripts = [file for path in paths if (file := script_files.told_by_text(path.read_bytes(), path))]
        return looking.look_for(revisions, scripts, [self.folder], seconds=seconds)

    def search(self, *revisions: str) -> Search:
        return self.look_for(*revisions).search


def source(revision: str, down: str | None, body: str = "pass", doc: str = "") -> str:
    return (
        f'"""{doc or f"make {revision}"}"""\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
        f"revision = {revision!r}\ndown_revision = {down!r}\n\n\ndef upgrade():\n    {body}\n"
        "\n\ndef downgrade():\n    pass\n"
    )


def make(root: Path, *, versions: str = "versions") -> Repo:
    """Create a repository with the revisions a1 and b2 on its branch ``main``."""
    root.mkdir(parents=True, exist_ok=True)
    repo = Repo(root, versions)
    repo.git("init", "-q", "-b", "main")
    repo.write("a1", None)
    repo.write("b2", "a1")
    repo.commit("the beginning")
    return repo


def ahead(repo: Repo, branch: str | None = None) -> str:
    """Add c3 to the branch, which may be new, and switch back to main without it; return the commit."""
    if branch:
        repo.git("checkout", "-q", "-b", branch)
    repo.write("c3", "b2")
    commit = repo.commit("add c3")
    if branch:
        repo.git("checkout", "-q", "main")
    else:
        repo.git("reset", "-q", "--hard", "HEAD~1")
    return commit
