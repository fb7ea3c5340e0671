"""The script directory as values: the checked graph, and what its files say of themselves."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Iterable
from pathlib import Path

from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError, RevisionMap
from alembic.util import coerce_resource_to_filename

from alembic_rescue import compat
from alembic_rescue import path as paths
from alembic_rescue.errors import AmbiguousRevision, DuplicateRevision, UnknownRevision
from alembic_rescue.failures import shown
from alembic_rescue.model import Revision


def graph(script: ScriptDirectory) -> RevisionMap:
    """Read a script directory, once, and return its revision map, checked.

    The directory must not have been used yet: Alembic warns of duplicates only while it reads.

    Raises:
        DuplicateRevision, RevisionCycle, MissingRevision, RevisionError: see :func:`alembic_rescue.path.check_graph`.
    """
    revision_map = script.revision_map
    try:
        paths.check_graph(revision_map)
    except DuplicateRevision as duplicate:
        raise DuplicateRevision(duplicate.revision, _files_with(script, duplicate.revision)) from None
    return revision_map


def heads(revision_map: RevisionMap) -> tuple[str, ...]:
    """The latest revisions, sorted."""
    return tuple(sorted(revision_map.heads))


def has(revision_map: RevisionMap, revision: str) -> bool:
    """Whether a file bears exactly this id."""
    try:
        found = revision_map.get_revision(revision)
    except RevisionError:
        return False
    return found is not None and found.revision == revision


def resolved(revision_map: RevisionMap, name: str) -> str:
    """The full id of one revision, given by its id or by the beginning of it.

    Raises:
        UnknownRevision, AmbiguousRevision: it is none, or fits several.
    """
    fitting = [r.revision for r in revision_map.iterate_revisions("heads", "base") if r.revision.startswith(name)]
    if has(revision_map, name):
        return name
    if len(fitting) > 1:
        raise AmbiguousRevision(name, sorted(fitting))
    if not fitting:
        raise UnknownRevision(name)
    return fitting[0]


def revisions(revision_map: RevisionMap, ids: Iterable[str]) -> tuple[Revision, ...]:
    """What the files of these revisions say of themselves, in the order of `ids`."""
    return tuple(_revision(revision_map, revision) for revision in ids)


def _revision(revision_map: RevisionMap, revision: str) -> Revision:
    script = revision_map.get_revision(revision)
    assert isinstance(script, Script), revision
    content = hashlib.sha256(Path(script.path).read_bytes()).hexdigest()
    return Revision(script.revision, script.doc or "", shown(Path(script.path)), f"sha256:{content}")


def _files_with(script: ScriptDirectory, revision: str) -> list[str]:
    """The files that bear an id; Alembic's map keeps only the last one that it read, or cannot be made at all."""
    places = script.version_locations or [str(Path(script.dir) / "versions")]
    folders = {Path(coerce_resource_to_filename(place)).resolve() for place in places}
    anywhere = "**/" if compat.is_recursive(script) else ""
    endings = ("*.py", "*.pyc") if script.sourceless else ("*.py",)
    files = {file for folder in folders for ending in endings for file in folder.glob(f"{anywhere}{ending}")}
    return sorted(shown(file) for file in files if _id_in(file) == revision)


def _id_in(file: Path) -> object:
    """The id that a script file bears; it is run to be told, as Alembic runs it, because it may be bytecode."""
    try:
        return runpy.run_path(str(file)).get("revision")
    except Exception:  # noqa: BLE001 - a revision file is Python, and may raise anything
        return None
