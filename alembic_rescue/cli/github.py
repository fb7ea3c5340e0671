"""``--format github``: annotations on stdout, the report in the job's summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic_rescue.report.github import GithubPage
    from alembic_rescue.report.page import Sheet

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file whose Markdown GitHub shows on the page of the run."""
WORKSPACE = "GITHUB_WORKSPACE"


class Answers:
    """Collects the answers of one call, and writes them at the end, when the most important ones are known."""

    def __init__(self) -> None:
        self._pages: list[GithubPage] = []
        self._markdown = ""

    def page(self, hide: Callable[[str], str]) -> Sheet:
        """Return a new page for an answer; `hide` removes secrets."""
        from alembic_rescue.report import github  # noqa: PLC0415 - most calls do not need it

        self._pages.append(github.GithubPage(hide, from_root))
        return self._pages[-1]

    def take(self, markdown: str) -> None:
        """Keep the text of an answer."""
        self._markdown += markdown

    def finish(self, write: Callable[[str], None], tell: Callable[[str], None]) -> None:
        """Write the annotations, then the report: to the summary's file if possible, otherwise after the annotations.

        Args:
            write: writes to stdout.
            tell: writes to stderr.
        """
        if not self._pages:
            return
        from alembic_rescue.report import annotations  # noqa: PLC0415 - as above

        lines = annotations.commands(one for page in self._pages for one in page.annotations)
        if summary := os.environ.get(SUMMARY):
            try:
                is_written = _append(Path(summary), self._markdown)
            except OSError as error:
                tell(f"{SUMMARY} names a file that cannot be written: {error.strerror or error}.\n")
                is_written = False
            if is_written:
                write("".join(f"{line}\n" for line in [*lines, "The report is in the summary of this job."]))
                return
        write("".join(f"{line}\n" for line in [*lines, ""] if lines) + annotations.harmless(self._markdown))


def _append(file: Path, markdown: str) -> bool:
    """Append the report to what the step wrote before; return False if nothing more fits."""
    from alembic_rescue.report import github  # noqa: PLC0415 - as above

    size = file.stat().st_size if file.exists() else 0
    before = "\n\n" if size else ""
    told = github.fitting(markdown, github.MOST_BYTES - size - len(before))
    if told:
        with file.open("a", encoding="utf-8", newline="\n") as summary:
            summary.write(before + told)
    return bool(told)


def from_root(path: str) -> str:
    """Return the path relative to the repository's root, as GitHub needs it; empty for a file outside.

    The root is the workspace, or a repository that is checked out into a folder of it.
    """
    file = Path(path).resolve()
    workspace = Path(os.environ.get(WORKSPACE) or os.devnull).resolve()
    cloned = [folder for folder in file.parents if (folder / ".git").exists()]
    if file.is_relative_to(workspace) and (workspace in cloned or not cloned):
        cloned = [workspace]
    return file.relative_to(cloned[0]).as_posix() if cloned else ""
