"""What is known of a revision that the version table names but the scripts lack.  Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Found(str, Enum):
    """Where a revision was found."""

    GIT = "git"
    COMPILED = "pyc"
    """Only its bytecode remains."""
    REPLACED = "replaced"
    """Another revision's file says that it replaces this one."""
    NAMED = "named"
    """Another file names it in a comment, and nothing more is known."""


@dataclass(frozen=True)
class Lost:
    """One revision that the scripts lack, and where it was found."""

    revision: str
    found: Found
    path: str
    """Relative to the working directory; for git, the path in the commit."""
    down_revisions: tuple[str, ...] = ()
    """The revisions that it follows; empty for a base, or if unknown."""
    doc: str = ""
    commit: str | None = None
    """The abbreviated id of the last commit that wrote the file; None if no commit has it."""
    ref: str | None = None
    """For a sentence: the nearest branch, remote branch or tag, or that there is none."""
    date: str | None = None
    """The commit's date, as ``2025-05-27``."""
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
    """The outcome of a search for revisions that the scripts lack."""

    sought: tuple[str, ...] = ()
    """The version table rows searched for."""
    found: tuple[Lost, ...] = ()
    """Those found, with the revisions that they build on."""
    missing: tuple[str, ...] = ()
    """Those not found, including revisions that they build on."""
    looked: tuple[str, ...] = ()
    """The places searched, each worded for a list."""
    not_looked: tuple[str, ...] = ()
    """The places not searched, or not searched completely, and why."""
    command: str | None = None
    """The command that restores the files from git."""
    joins: bool = False
    """The found revisions together lead down to revisions that the scripts have."""

    def of(self, revision: str) -> Lost | None:
        """Return what was found for one of them."""
        return next((one for one in self.found if one.revision == revision), None)
