"""Where to look for revisions that the scripts lack: one place after the other, until they are found."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from alembic_rescue.connection.failures import shown
from alembic_rescue.evidence.lost import Found, Lost, Search
from alembic_rescue.lost import compiled, history, named
from alembic_rescue.lost.git import NOT_FETCHED, CannotRead, Repository, open_repository
from alembic_rescue.lost.history import History, InGit
from alembic_rescue.worker.interpreter import Interpreter
from alembic_rescue.worker.requests import Progress, ScriptFile

SECONDS = 20.0
"""The time limit for all git commands together."""
_DOING = "Searching for missing revisions"
_GIT = "git (branches, remote branches, tags, the stash, the reflog, and unreachable commits)"


@dataclass(frozen=True)
class Recovered:
    """The outcome of a search, with the files that it found whole."""

    search: Search = field(default_factory=Search)
    files: tuple[InGit, ...] = ()
    """From git; what each builds on is among them, or among the scripts."""


def look_for(
    revisions: Sequence[str],
    scripts: Sequence[ScriptFile],
    locations: Sequence[Path],
    hear: Callable[[Progress], object] = lambda _: None,
    seconds: float = SECONDS,
    python: Interpreter | None = None,
) -> Recovered:
    """Look for these revisions.

    Args:
        revisions: version table rows that the scripts lack; git is not asked for any others.
        scripts: what the scripts have.
        locations: the folders that they are in, at least one.
        hear: receives progress.
        seconds: the time limit for all git commands together.
        python: the project's own; None: this one.
    """
    wanted = [one for one in dict.fromkeys(revisions) if one.isprintable() and one.strip()]
    folders = list(dict.fromkeys([*locations, *(file.path.parent for file in scripts)]))
    texts = {file: _text(file.path) for file in scripts}
    hear(Progress(_DOING, 1, 3, "in neighboring files"))
    found = {one: lost for one in wanted if (lost := _replaced(one, texts))}
    looked = [f"the files in {', '.join(map(shown, locations))}"]
    past = _Past()
    if rest := [one for one in wanted if one not in found]:
        hear(Progress(_DOING, 2, 3, "in git"))
        past = _in_git(rest, folders, locations, _names(scripts), seconds)
        found |= past.found
        hear(Progress(_DOING, 3, 3, "in bytecode"))
        for one in rest:
            if one not in found and (lost := compiled.find(one, folders, python) or _mentioned(one, texts)):
                found[one] = lost
        looked += [_GIT] * past.was_read + ["bytecode beside the files"]
    missing = dict.fromkeys([*(one for one in revisions if one not in found), *past.missing])
    search = Search(
        tuple(revisions),
        tuple(found.values()),
        tuple(missing),
        tuple(looked),
        tuple(dict.fromkeys(past.not_looked)),
        past.command,
        past.joins,
    )
    return Recovered(search, past.files)


@dataclass
class _Past:
    """What git knows about them."""

    found: dict[str, Lost] = field(default_factory=dict)
    files: tuple[InGit, ...] = ()
    missing: tuple[str, ...] = ()
    """Revisions that those build on, and that nobody has."""
    joins: bool = False
    command: str | None = None
    was_read: bool = False
    not_looked: list[str] = field(default_factory=list)


def _in_git(
    revisions: Sequence[str], folders: Sequence[Path], locations: Sequence[Path], known: Collection[str], seconds: float
) -> _Past:
    """Search the repositories of the version locations, nearly always one, until one has something."""
    past, tops = _Past(), set()
    until = time.monotonic() + seconds
    for location in locations:
        try:
            repository = open_repository(location, until)
        except CannotRead as why:
            past.not_looked.append(str(why))
            continue
        if repository.top in tops or past.files:
            continue
        tops.add(repository.top)
        past.was_read = True
        kept = History(repository, folders)
        found = kept.find(revisions, known.__contains__)
        follows = [one for file in found.values() for one in file.follows]
        past.files = tuple(found.values())
        past.found = {revision: history.shown(file, repository) for revision, file in found.items()}
        past.missing = tuple(one for one in follows if one not in known and one not in found)
        past.joins = not past.missing and any(one in known for one in follows)
        past.command = history.command(past.files, repository, locations) if found else None
        past.not_looked += [*kept.not_looked, *_cut_off(repository)]
    return past


def _cut_off(repository: Repository) -> Iterator[str]:
    """Yield what this clone lacks."""
    if repository.is_shallow:
        yield "commits before the start of a shallow clone (run git fetch --unshallow, then check again)"
    elif repository.text("remote"):
        yield "branches that were not fetched (run git fetch --all --tags, then check again)"
    if repository.is_partial:
        yield NOT_FETCHED


def _replaced(revision: str, texts: dict[ScriptFile, str]) -> Lost | None:
    file = next((file for file, text in texts.items() if named.replaces(text, revision)), None)
    return _by(revision, Found.REPLACED, file)


def _mentioned(revision: str, texts: dict[ScriptFile, str]) -> Lost | None:
    file = next((file for file, text in texts.items() if named.revises(text, revision)), None)
    return _by(revision, Found.NAMED, file)


def _by(revision: str, found: Found, file: ScriptFile | None) -> Lost | None:
    return Lost(revision, found, shown(file.path), doc=file.doc, named_by=file.revision) if file else None


def _names(scripts: Sequence[ScriptFile]) -> frozenset[str]:
    """Return the ids and labels that the scripts have."""
    labels = (file.branch_labels for file in scripts)
    flat = [one for given in labels for one in ((given,) if isinstance(given, str) else given or ())]
    return frozenset([*(file.revision for file in scripts), *flat])


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8", "replace")
    return ""
