"""Where revisions that the scripts do not have are looked for, one place after the other, until they are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from alembic_rescue.connection.failures import shown
from alembic_rescue.evidence.lost import Found, Lost, Search
from alembic_rescue.lost import compiled, history, named
from alembic_rescue.lost.git import CannotRead, open_repository
from alembic_rescue.lost.history import History, InGit
from alembic_rescue.worker.requests import Progress, ScriptFile

SECONDS = 20.0
"""What git may take in all."""
_OTHERS = "on a branch that was not fetched (git fetch --all --tags, then look again)"


@dataclass(frozen=True)
class Recovered:
    """What a search came to, with the files that it found whole."""

    search: Search = field(default_factory=Search)
    files: tuple[InGit, ...] = ()
    """Of git; what each builds on is among them, or among the scripts."""


def look_for(
    revisions: Sequence[str],
    scripts: Sequence[ScriptFile],
    locations: Sequence[Path],
    hear: Callable[[Progress], object] = lambda _: None,
    seconds: float = SECONDS,
) -> Recovered:
    """Look for these revisions.

    Args:
        revisions: rows of a version table that the scripts do not have; others are not asked of git.
        scripts: what the scripts have.
        locations: the folders that they are in, at least one.
        hear: takes word of how far it is.
        seconds: what git may take in all.
    """
    wanted = [one for one in dict.fromkeys(revisions) if one.isprintable() and one.strip()]
    folders = list(dict.fromkeys([*locations, *(file.path.parent for file in scripts)]))
    texts = {file: _text(file.path) for file in scripts}
    hear(Progress("Looking for what the scripts do not have", 1, 3, "in the files beside"))
    found = {one: lost for one in wanted if (lost := _replaced(one, texts))}
    looked, not_looked = [f"the files in {', '.join(map(shown, locations))}"], []
    files: tuple[InGit, ...] = ()
    command, joins = None, False
    rest = [one for one in wanted if one not in found]
    missing: list[str] = []
    if rest:
        hear(Progress("Looking for what the scripts do not have", 2, 3, "in git"))
        try:
            repository = open_repository(locations[0], seconds)
        except CannotRead as why:
            not_looked.append(str(why))
        else:
            looked.append(
                "git (branches, remote branches, tags, the stash, the reflog, and what nothing leads to any more)"
            )
            past = History(repository, folders)
            known = _names(scripts)
            in_git = past.find(rest, known.__contains__)
            files = tuple(in_git.values())
            missing = [one for file in files for one in file.follows if one not in known and one not in in_git]
            joins = not missing and any(one in known for file in files for one in file.follows)
            command = history.command(files, repository, locations) if files else None
            found |= {revision: history.shown(file, repository) for revision, file in in_git.items()}
            not_looked += past.not_looked
            if repository.is_shallow:
                not_looked.append("what lies before a shallow clone begins (git fetch --unshallow, then look again)")
            elif repository.text("remote"):
                not_looked.append(_OTHERS)
            if repository.is_partial:
                not_looked.append("files that a partial clone has not fetched")
        hear(Progress("Looking for what the scripts do not have", 3, 3, "in bytecode"))
        looked.append("the bytecode beside the files")
        for one in rest:
            if one not in found and (lost := compiled.find(one, folders) or _mentioned(one, texts)):
                found[one] = lost
    missing = [*(one for one in dict.fromkeys(revisions) if one not in found), *missing]
    search = Search(
        tuple(revisions),
        tuple(found.values()),
        tuple(dict.fromkeys(missing)),
        tuple(looked),
        tuple(not_looked),
        command,
        joins,
    )
    return Recovered(search, files)


def _replaced(revision: str, texts: dict[ScriptFile, str]) -> Lost | None:
    file = next((file for file, text in texts.items() if named.replaces(text, revision)), None)
    return _by(revision, Found.REPLACED, file)


def _mentioned(revision: str, texts: dict[ScriptFile, str]) -> Lost | None:
    file = next((file for file, text in texts.items() if named.revises(text, revision)), None)
    return _by(revision, Found.NAMED, file)


def _by(revision: str, found: Found, file: ScriptFile | None) -> Lost | None:
    return Lost(revision, found, shown(file.path), doc=file.doc, named_by=file.revision) if file else None


def _names(scripts: Sequence[ScriptFile]) -> frozenset[str]:
    """The ids and labels that the scripts have."""
    labels = (file.branch_labels for file in scripts)
    flat = [one for given in labels for one in ((given,) if isinstance(given, str) else given or ())]
    return frozenset([*(file.revision for file in scripts), *flat])


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8", "replace")
    return ""
