"""The revisions as a checked graph, and what their files say about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alembic.script.revision import Revision as AlembicRevision
from alembic.script.revision import RevisionError, RevisionMap
from alembic.util import to_tuple

from alembic_rescue.connection.failures import shown
from alembic_rescue.errors import AmbiguousRevision, BadConfig, DuplicateRevision, UnknownRevision
from alembic_rescue.graph import path as paths
from alembic_rescue.model import Link, Revision
from alembic_rescue.worker.requests import ScriptFile


class ScriptRevision(AlembicRevision):
    """A revision of Alembic's graph, with the metadata from its file."""

    def __init__(self, file: ScriptFile) -> None:
        super().__init__(
            file.revision,
            file.down_revision,
            dependencies=file.depends_on or (),
            branch_labels=to_tuple(file.branch_labels, default=()),
        )
        self.file = file


def graph(files: Sequence[ScriptFile]) -> RevisionMap:
    """Return the checked revision map of these files.

    Raises:
        DuplicateRevision, RevisionCycle, MissingRevision, RevisionError: see
            :func:`alembic_rescue.graph.path.load`.
    """
    try:
        return paths.load(ScriptRevision(file) for file in files)
    except DuplicateRevision as duplicate:
        bearing = sorted(shown(file.path) for file in files if file.revision == duplicate.revision)
        raise DuplicateRevision(duplicate.revision, bearing) from None
    except RevisionError as error:
        raise BadConfig("the script directory", " ".join(str(error).split())) from error


def heads(revision_map: RevisionMap) -> tuple[str, ...]:
    """Return the heads, sorted."""
    return tuple(sorted(revision_map.heads))


def has(revision_map: RevisionMap, revision: str) -> bool:
    """Return whether a file has exactly this id."""
    try:
        found = revision_map.get_revision(revision)
    except RevisionError:
        return False
    return found is not None and found.revision == revision


def resolved(revision_map: RevisionMap, name: str) -> str:
    """Return the full id of one revision, given its id or the beginning of it.

    Raises:
        UnknownRevision, AmbiguousRevision: it matches none, or several.
    """
    if not name:  # such as an unset shell variable; every id begins with it
        raise UnknownRevision(name, "it is empty")
    fitting = [r.revision for r in revision_map.iterate_revisions("heads", "base") if r.revision.startswith(name)]
    if name in fitting:
        return name
    if len(fitting) > 1:
        raise AmbiguousRevision(name, sorted(fitting))
    if not fitting:
        raise UnknownRevision(name)
    return fitting[0]


def revisions(revision_map: RevisionMap, ids: Iterable[str]) -> tuple[Revision, ...]:
    """Return the metadata of these revisions from their files, in the order of `ids`."""
    return tuple(_revision(revision_map, revision) for revision in ids)


def chain(revision_map: RevisionMap) -> tuple[Link, ...]:
    """Return all revisions with what each follows, in Alembic's order."""
    return tuple(
        Link(one, tuple(sorted(paths.follows(revision_map, one))), _script(revision_map, one).file.doc)
        for one in paths.pending(revision_map, ())
    )


def _script(revision_map: RevisionMap, revision: str) -> ScriptRevision:
    script = revision_map.get_revision(revision)
    assert isinstance(script, ScriptRevision), revision
    return script


def _revision(revision_map: RevisionMap, revision: str) -> Revision:
    script = _script(revision_map, revision)
    return Revision(script.revision, script.file.doc, shown(script.file.path), script.file.content)
