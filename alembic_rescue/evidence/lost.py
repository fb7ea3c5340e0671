"""What is known of a revision that a version table names and the scripts do not have: frozen values.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Found(str, Enum):
    """Where a revision was found."""

    GIT = "git"
    COMPILED = "pyc"
    """Only its bytecode is left."""
    REPLACED = "replaced"
    """Another revision's file says that it stands in its place."""
    NAMED = "named"
    """Another file names it in a comment, which says no more."""


@dataclass(frozen=True)
class Lost:
    """One revision that the scripts do not have, and where it was found."""

    revision: str
    found: Found
    path: str
    """Relative to the working directory; of git as it stands in the commit."""
    down_revisions: tuple[str, ...] = ()
    """What it follows; empty for a base, and where that is not known."""
    doc: str = ""
    commit: str | None = None
    """The first characters of the id of the last commit that wrote that file; None where no commit has it."""
    ref: str | None = None
    """For a sentence: the branch, remote branch or tag that is nearest, or that there is none."""
    date: str | None = None
    """Of the commit, as ``2025-05-27``."""
    named_by: str | None = None
    """The revision whose file names it."""

    @property
    def place(self) -> str:
        """For a sentence: ``versions/1a2b.py at commit 0c1d2e3f of 2025-05-27 (branch release)``."""
        if self.found is not Found.GIT:
            return self.path
        at = f"at commit {self.commit} of {self.date}" if self.commit else "in git"
        return f"{self.path} {at} ({self.ref})"


@dataclass(frozen=True)
class Search:
    """What came of a search for revisions that the scripts do not have."""

    sought: tuple[str, ...] = ()
    """The rows that were looked for."""
    found: tuple[Lost, ...] = ()
    """What was found of them, and of what they build on."""
    missing: tuple[str, ...] = ()
    """Those of them, and of what they build on, that were not found."""
    looked: tuple[str, ...] = ()
    """Where it was looked, each for a list."""
    not_looked: tuple[str, ...] = ()
    """Where it was not, or not wholly, and why."""
    command: str | None = None
    """What puts the files from git back."""
    joins: bool = False
    """All that was found together leads down to revisions that the scripts have."""

    def of(self, revision: str) -> Lost | None:
        """What was found of one of them."""
        return next((one for one in self.found if one.revision == revision), None)
