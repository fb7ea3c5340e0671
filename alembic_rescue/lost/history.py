"""Find revisions in a repository's history, each with what it builds on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from alembic_rescue.evidence.lost import Found, Lost
from alembic_rescue.lost.git import CannotRead, Change, Repository
from alembic_rescue.worker import script_files
from alembic_rescue.worker.requests import ScriptFile

_MOST_COMMITS = 20
"""The maximum number of commits per revision, latest first, to rank by nearest branch."""
_PYTHON = ".py"


@dataclass(frozen=True)
class InGit:
    """A revision's file in git."""

    lost: Lost
    content: bytes
    file: ScriptFile
    commit: str | None
    blob: str
    path: str
    """From the repository's top; a made-up name if there is no commit."""

    @property
    def follows(self) -> list[str]:
        """What it builds on, by ``down_revision`` and by ``depends_on``."""
        return [*_tuple(self.file.down_revision), *_tuple(self.file.depends_on)]


@dataclass
class History:
    """The history of the version locations, as far as git has it."""

    repository: Repository
    folders: Sequence[Path]
    not_looked: list[str] = field(default_factory=list)
    """The places that could not be searched, or not completely."""
    _changes: dict[bool, list[Change]] = field(default_factory=dict)
    _trees: dict[str, dict[str, InGit]] = field(default_factory=dict)

    @property
    def places(self) -> list[str]:
        """The version locations, from the repository's top."""
        top = self.repository.top.resolve()
        return [found for one in self.folders if (found := _below(one.resolve(), top)) is not None]

    def find(self, revisions: Sequence[str], is_known: Callable[[str], bool]) -> dict[str, InGit]:
        """Return these revisions and the unknown ones that they build on; the requested ones first."""
        found: dict[str, InGit] = {}
        waiting: list[tuple[str, InGit | None]] = [(revision, None) for revision in revisions]
        while waiting:
            wanted, follower = waiting.pop(0)
            if wanted in found or is_known(wanted):
                continue
            one = (follower and self._beside(wanted, follower)) or self._find(wanted)
            if one is not None:
                found[wanted] = one
                waiting += [(below, one) for below in one.follows]
        return found

    def _beside(self, revision: str, follower: InGit) -> InGit | None:
        """Return it from the commit of a revision that builds on it, so that one commit restores both."""
        commit = follower.commit
        if commit is None:
            return None
        if commit not in self._trees:
            self._trees[commit] = {}
            with suppress(CannotRead):
                self._trees[commit] = {one.lost.revision: one for one in self._tree(commit, follower)}
        return self._trees[commit].get(revision)

    def _tree(self, commit: str, one: InGit) -> Iterator[InGit]:
        """Yield all revisions in the commit of `one`."""
        folders = {*self.places, PurePosixPath(one.path).parent.as_posix()}
        tree = self.repository.tree(commit, [] if "." in folders else [f"{folder}/" for folder in folders])
        paths = {blob: path for path, blob in tree.items() if path.endswith(_PYTHON)}
        for blob, content in self.repository.contents(paths):
            if file := script_files.told_by_text(content, Path(paths[blob])):
                lost = _lost(file, paths[blob], commit, str(one.lost.ref), one.lost.date)
                yield InGit(lost, content, file, commit, blob, paths[blob])

    def _find(self, revision: str) -> InGit | None:
        steps: list[Callable[[str], InGit | None]] = [self._written, self._merged, self._unreachable, self._elsewhere]
        for step in steps:
            try:
                if found := step(revision):
                    return found
            except CannotRead as why:
                if str(why) not in self.not_looked:
                    self.not_looked.append(str(why))
        return None

    def _written(self, revision: str) -> InGit | None:
        return self._nearest(self._history(merges=False), revision)

    def _merged(self, revision: str) -> InGit | None:
        """Return it if only a merge wrote it, which is very rare, and slow to find."""
        return self._nearest(self._history(merges=True), revision)

    def _history(self, *, merges: bool) -> list[Change]:
        if merges not in self._changes:
            pathspecs = [f":(top,literal){place}" for place in self.places]
            more = ["-m", "--merges"] if merges else []
            changes = self.repository.changes(pathspecs, *more) if pathspecs else []
            self._changes[merges] = [one for one in changes if one.path.endswith(_PYTHON)]
        return self._changes[merges]

    def _elsewhere(self, revision: str) -> InGit | None:
        """Return it from folders outside today's version locations, which may have had other names."""
        return self._nearest(self.repository.changes([":(top,glob)**/*.py"], f"-S{revision}"), revision)

    def _unreachable(self, revision: str) -> InGit | None:
        commits, blobs = self.repository.unreachable()
        if commits:
            changes = self.repository.changes_of(commits, [])
            told = self._told([one for one in changes if one.path.endswith(_PYTHON)], revision)
            for change, content, file in sorted(told, key=lambda one: one[0].date, reverse=True):
                lost = _lost(file, change.path, change.commit, "no branch and no reflog has it anymore", change.date)
                return InGit(lost, content, file, change.commit, change.blob, change.path)
        for change, content, file in self._told([Change("", "", blob, f"{revision}.py") for blob in blobs], revision):
            lost = _lost(file, change.path, None, "it was staged but never committed", None)
            return InGit(lost, content, file, None, change.blob, change.path)
        return None

    def _nearest(self, changes: Sequence[Change], revision: str) -> InGit | None:
        """Return the latest version of its file on the nearest branch."""
        told = self._told(changes, revision)[:_MOST_COMMITS]
        if not told:
            return None
        ranked = [(self.repository.nearest(change.commit), change, content, file) for change, content, file in told]
        (_, ref), change, content, file = min(ranked, key=lambda one: one[0][0])  # the latest come first
        lost = _lost(file, change.path, change.commit, ref, change.date)
        return InGit(lost, content, file, change.commit, change.blob, change.path)

    def _told(self, changes: Sequence[Change], revision: str) -> list[tuple[Change, bytes, ScriptFile]]:
        """Return the changes that wrote the revision's own file, in order; a mere mention in a file does not count."""
        files: dict[str, tuple[bytes, ScriptFile]] = {}
        paths = {change.blob: change.path for change in changes}
        for blob, content in self.repository.contents(change.blob for change in changes):
            if revision.encode() in content:
                file = script_files.told_by_text(content, Path(paths[blob]))
                if file is not None and file.revision == revision:
                    files[blob] = content, file
        return [(change, *files[change.blob]) for change in changes if change.blob in files]


def command(files: Iterable[InGit], repository: Repository, locations: Sequence[Path]) -> str:
    """Return the command that restores these files to where Alembic looks for them, for the working directory."""
    top = repository.top.resolve()
    here = Path.cwd().resolve()
    git = "git" if _below(here, top) is not None and not _is_another(here, top) else f"git -C {_quoted(_relative(top))}"
    places = {_below(one.resolve(), top) for one in locations}
    together: dict[str, list[str]] = {}
    single: list[str] = []
    for one in files:
        folder = str(PurePosixPath(one.path).parent)
        if one.commit is not None and folder in places:
            name = _relative(top / one.path) if git == "git" else one.path
            together.setdefault(one.commit, []).append(_quoted(name))
        else:
            target = _quoted(_relative(locations[0] / PurePosixPath(one.path).name))
            what = (
                f"cat-file -p {one.blob}" if one.commit is None else f"show {_quoted(f'{one.commit[:12]}:{one.path}')}"
            )
            single.append(f"{git} {what} > {target}")
    whole = [f"{git} checkout {commit[:12]} -- {' '.join(sorted(names))}" for commit, names in together.items()]
    return " && ".join([*whole, *single])


def _is_another(here: Path, top: Path) -> bool:
    """Return whether a nested repository, such as a submodule, is between the two."""
    return any((one / ".git").exists() for one in (here, *here.parents) if top in one.parents)


def _lost(file: ScriptFile, path: str, commit: str | None, ref: str, date: str | None) -> Lost:
    follows = _tuple(file.down_revision)
    return Lost(file.revision, Found.GIT, path, follows, file.doc, commit and commit[:12], ref, date)


def shown(one: InGit, repository: Repository) -> Lost:
    """Return what was found, with its path as one would type it here."""
    if one.commit is None:
        return one.lost
    return replace(one.lost, path=_relative(repository.top.resolve() / one.path))


def _relative(path: Path) -> str:
    return os.path.relpath(path, Path.cwd().resolve())


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _below(path: Path, top: Path) -> str | None:
    return path.relative_to(top).as_posix() if path == top or top in path.parents else None


def _tuple(value: str | Collection[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
