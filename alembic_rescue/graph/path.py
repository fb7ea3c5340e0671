"""The path check: from the revision graph, the current heads and a target to what a stamp would skip, or a refusal.

Pure: no database, no disk.  Alembic's own :class:`~alembic.script.revision.RevisionMap` resolves ancestry, partial ids
and symbols; this module adds the order of the checks, and the rows that the stamp must leave.

A *row* is a row of the version table.  Alembic keeps one row per branch: the rows are the *current heads*.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from alembic.script.revision import (
    CycleDetected,
    MultipleHeads,
    ResolutionError,
    Revision,
    RevisionError,
    RevisionMap,
)

from alembic_rescue import errors
from alembic_rescue.model import NULL_ROW, Stamp

_RELATIVE = re.compile(r"(?:(?P<branch>.+?)@)?(?P<start>\w+)?(?P<count>[+-]\d+)")
"""The form of a relative target, as in ``alembic.script.revision`` (public documentation: "Relative Migration
Identifiers"): ``+2``, ``branch@+1``, ``ae10+2``."""
_FOLLOWED: WeakKeyDictionary[RevisionMap, dict[str, frozenset[str]]] = WeakKeyDictionary()
"""What each revision follows, cached because a map never changes and lookups in it are slow."""


@dataclass(frozen=True)
class Path:
    """What is between the current heads and the target.  A Path exists only for a forward stamp on the path."""

    targets: tuple[str, ...]
    """The full ids that the target resolves to; more than one only for ``heads``."""
    skipped: tuple[str, ...]
    """The revisions that the stamp marks as applied, in the order in which Alembic would run them."""
    heads_after: tuple[str, ...]
    """The rows that a successful ``alembic upgrade TARGET`` would leave, sorted."""
    stamps: tuple[Stamp, ...]
    """The calls of ``alembic.command.stamp`` that leave those rows, in order."""
    pending_after: tuple[str, ...]
    """What ``alembic upgrade heads`` would still run afterwards, in its order."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether the target is already current."""
        return not self.stamps


def load(revisions: Iterable[Revision]) -> RevisionMap:
    """Return the graph of these revisions, loaded and checked; the iterable may create them on demand.

    Alembic only warns about two of the faults; these are checked first, because warnings belong to the whole process.

    Raises:
        DuplicateRevision: two files have the same id (Alembic would silently use the last one that it reads).
        RevisionCycle: the files follow one another in a circle.
        MissingRevision: a file follows a missing revision, or depends on it.
        RevisionError: any other fault, in Alembic's own words, such as a label in two files.
    """
    try:
        made = list(revisions)
        _check_ids(made)
        graph = RevisionMap(lambda: made)
        graph.heads  # noqa: B018 - loads the map
    except CycleDetected as circle:  # a revision that follows itself cannot even be created
        raise errors.RevisionCycle(list(circle.revisions)) from circle
    except KeyError as unknown:
        reason = f"a depends_on names {unknown}, which is neither a revision nor a label"
        raise errors.MissingRevision(reason) from unknown
    return graph


def _check_ids(revisions: Sequence[Revision]) -> None:
    counted = Counter(revision.revision for revision in revisions)
    for revision_id, count in counted.items():
        if count > 1:
            raise errors.DuplicateRevision(revision_id, [])
    missing = [(down, one) for one in revisions for down in _tuple(one.down_revision) if down not in counted]
    if missing:
        raise errors.MissingRevision("; ".join(f"Revision {down} referenced from {one}" for down, one in missing))


def check_current(graph: RevisionMap, current: Collection[str]) -> None:
    """Refuse a version table with rows that the scripts cannot explain.

    Raises:
        EmptyRow, DoubledRow: see :func:`check_rows`.
        UnknownCurrent: a row is in none of the files (full ids only: Alembic never writes a partial one).
        OverlappingCurrent: a row is an ancestor of another.  Alembic raises on such rows in most of its commands.
    """
    check_rows(current)
    for row in sorted(current):
        if _find(graph, row) is None:
            raise errors.UnknownCurrent(row)
    for descendant in sorted(current):
        for ancestor in sorted((up_to(graph, [descendant]) & set(current)) - {descendant}):
            raise errors.OverlappingCurrent(ancestor, descendant)


def check_rows(current: Collection[str]) -> None:
    """Refuse rows that Alembic never writes, and cannot change, because it counts the rows that each statement changed.

    Raises:
        EmptyRow: a row has no revision.
        DoubledRow: two rows have the same one.  The table has lost its primary key.
    """
    if NULL_ROW in current:
        raise errors.EmptyRow
    if doubled := [row for row, count in Counter(current).items() if count > 1]:
        raise errors.DoubledRow(doubled[0])


def find_path(graph: RevisionMap, current: Collection[str], target: str) -> Path:
    """Return the path from `current` to `target`, which may be any symbol that ``alembic upgrade`` takes.

    Raises:
        UnknownCurrent, OverlappingCurrent: see :func:`check_current`.
        UnknownRevision, AmbiguousRevision, SeveralTargets, AmbiguousRelative, TargetAboveHead: `target` names
            no revision, or more than one.
        TargetBehindCurrent: it names one that a stamp must not go to.
    """
    check_current(graph, current)
    targets = _resolve(graph, tuple(sorted(current)), target)
    applied = up_to(graph, current)
    if not targets and current:  # base
        raise errors.TargetBehindCurrent("base", errors.listed(sorted(current)), in_order(graph, applied))
    try:
        skipped = _upgrade(graph, current, targets)
    except RevisionError as overlap:  # one target builds on another: Alembic does not upgrade to them either
        raise errors.SeveralTargets(target, targets) from overlap
    for revision in targets:
        _check_not_behind(graph, current, applied, revision)
    after = rows_after(graph, current, skipped)
    return Path(
        targets=targets,
        skipped=skipped,
        heads_after=after,
        stamps=find_stamps(graph, current, after),
        pending_after=pending(graph, after),
    )


def targets_of(graph: RevisionMap, current: Collection[str], target: str) -> tuple[str, ...]:
    """Return the full ids that `target` resolves to from `current`; empty for ``base``.

    Raises:
        Refusal: as :func:`find_path`, except for a target whose id is behind.
    """
    check_current(graph, current)
    return _resolve(graph, tuple(sorted(current)), target)


def find_stamps(graph: RevisionMap, current: Collection[str], wanted: Collection[str]) -> tuple[Stamp, ...]:
    """Return the stamps that lead from the rows `current` to exactly the rows `wanted`, forward or back.

    One stamp for each missing row; each replaces the rows on its own lineage (``ScriptDirectory._stamp_revs``).  If
    that does not lead there, such as with a row too many, one stamp rewrites all rows.
    """
    stamps: list[Stamp] = []
    rows = tuple(sorted(current))
    known = all(_find(graph, row) for row in rows)
    for revision in in_order(graph, set(wanted) - set(current)) if known else ():
        after = {r for r in rows if r not in up_to(graph, [revision]) and revision not in up_to(graph, [r])}
        stamps.append(Stamp((revision,), rows, tuple(sorted(after | {revision}))))
        rows = stamps[-1].rows_after
    return tuple(stamps) if rows == tuple(sorted(wanted)) else all_anew(current, wanted)


def all_anew(current: Collection[str], wanted: Collection[str]) -> tuple[Stamp, ...]:
    """Return the stamp that empties the version table first, whatever its contents."""
    return (Stamp(tuple(sorted(wanted)) or ("base",), tuple(sorted(current)), tuple(sorted(wanted)), True),)


def pending(graph: RevisionMap, current: Collection[str]) -> tuple[str, ...]:
    """Return what ``alembic upgrade heads`` would run from `current`, in its order."""
    return _upgrade(graph, current, "heads")


def not_begun(graph: RevisionMap, current: Collection[str]) -> frozenset[str]:
    """Return the revisions on separate bases: no applied revision, and no successor of one, builds on them.

    Empty if nothing is applied at all: any base may then be the one.
    """
    applied = up_to(graph, current)
    begun = {head for head in graph.heads if not applied.isdisjoint(up_to(graph, [head]))}
    return frozenset(up_to(graph, graph.heads) - up_to(graph, begun) - applied) if applied else frozenset()


def rows_after(graph: RevisionMap, current: Collection[str], run: Sequence[str]) -> tuple[str, ...]:
    """Return the rows that running the revisions `run`, in that order, leaves in a version table with rows `current`.

    Alembic's own rule (``HeadMaintainer.update_to_step``): each revision replaces the rows that it directly follows, by
    ``down_revision`` or by ``depends_on``; if there are none, it adds a row.
    """
    rows = set(current)
    for revision_id in run:
        rows -= follows(graph, revision_id)
        rows.add(revision_id)
    return tuple(sorted(rows))


def in_order(graph: RevisionMap, revisions: Collection[str]) -> tuple[str, ...]:
    """Sort `revisions` as Alembic would run them: by its own walk over the whole graph, reversed."""
    if not revisions:
        return ()
    return tuple(r for r in reversed(_ids(graph)) if r in revisions)


def check_length(revisions: Iterable[str], limit: int | None, widen: str) -> None:
    """Refuse an id that the version column cannot hold.

    Args:
        limit: in characters; None if no limit is enforced.
        widen: the statement that widens the column.

    Raises:
        RevisionTooLong: before the first statement, because with several rows the first would already be written.
    """
    for revision in revisions:
        if limit is not None and len(revision) > limit:
            raise errors.RevisionTooLong(revision, limit, widen)


def _upgrade(graph: RevisionMap, current: Collection[str], targets: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return what ``alembic upgrade`` would run from `current` to `targets`, in its order: its own walk, reversed."""
    walk = graph.iterate_revisions(targets, tuple(current), implicit_base=True)
    return tuple(step.revision for step in walk)[::-1]


def _check_not_behind(graph: RevisionMap, current: Collection[str], applied: set[str], target: str) -> None:
    """Accept a branch's current tip, and everything that is not applied: ``alembic upgrade`` would run it."""
    if target in applied - _tips(graph, applied):
        row = next(r for r in sorted(current) if target in up_to(graph, [r]))
        rerun = in_order(graph, up_to(graph, [row]) - up_to(graph, [target]))
        raise errors.TargetBehindCurrent(target, row, rerun)


def _tips(graph: RevisionMap, applied: set[str]) -> set[str]:
    """Return the current tip of each branch: what is applied and has no applied successor on its own branch.

    More than the rows: a row that another branch took over by ``depends_on`` is still its branch's tip.
    """
    return {r for r in applied if not set(_get(graph, r).nextrev) & applied}


def _resolve(graph: RevisionMap, current: tuple[str, ...], target: str) -> tuple[str, ...]:
    """Return the full ids that `target` resolves to; empty for ``base``."""
    if not graph.heads and target != "base":
        raise errors.UnknownRevision(target, "there are no revisions")
    if not target:  # such as an unset shell variable; for Alembic every id begins with it
        raise errors.UnknownRevision(target, "it is empty")
    relative = _RELATIVE.fullmatch(target)
    try:
        if relative and _find(graph, target) is None:
            return (_resolve_relative(graph, current, target, relative),)
        return tuple(sorted({_id(r) for r in graph.get_revisions(target) if r is not None}))
    except MultipleHeads as several:
        raise errors.SeveralTargets(target, sorted(several.heads)) from several
    except ResolutionError as unresolved:
        if "Multiple revisions" in str(unresolved):
            raise errors.AmbiguousRevision(target, _beginning_with(graph, target)) from unresolved
        reason = str(unresolved) if "@" in target or "four characters" in str(unresolved) else ""
        raise errors.UnknownRevision(target, reason) from unresolved
    except AssertionError as empty:  # Alembic's, if no id follows an @
        raise errors.UnknownRevision(target, "it is not a revision") from empty


def _beginning_with(graph: RevisionMap, target: str) -> list[str]:
    """Return the ids and labels that a partial id, or one on a branch (``branch@ae10``), can match."""
    branch, at, partial = target.rpartition("@")
    names = {name for r in _ids(graph) for name in (r, *_get(graph, r).branch_labels) if name.startswith(partial)}
    if at:
        names = set(graph.filter_for_lineage(names, branch))
    return sorted(names)


def _resolve_relative(graph: RevisionMap, current: tuple[str, ...], target: str, form: re.Match[str]) -> str:
    """Count as ``alembic upgrade`` does: its walk yields what leads to the target, and the target last."""
    count, start = int(form["count"]), form["start"]
    if start is None and count <= 0:
        if count and current:
            raise errors.TargetBehindCurrent(target, errors.listed(current), current)
        raise errors.UnknownRevision(target, "it does not count forward")
    try:
        return next(graph.iterate_revisions(target, () if start else current, implicit_base=True)).revision
    except (MultipleHeads, ResolutionError):
        raise
    except RevisionError as error:
        if "produce" in str(error):
            raise errors.TargetAboveHead(target, sorted(graph.heads)) from error
        raise errors.AmbiguousRelative(target, str(error)) from error
    except (AssertionError, AttributeError) as fell_off:  # raised when it counts from `start` past the end
        if count > 0:
            raise errors.TargetAboveHead(target, sorted(graph.heads)) from fell_off
        raise errors.UnknownRevision(target, "it goes back past the first revision") from fell_off


def follows(graph: RevisionMap, revision_id: str) -> frozenset[str]:
    """Return the revisions that one directly follows, by ``down_revision`` and by ``depends_on``."""
    known = _FOLLOWED.setdefault(graph, {})
    if revision_id not in known:
        known[revision_id] = _follows(graph, _get(graph, revision_id))
    return known[revision_id]


def up_to(graph: RevisionMap, revisions: Collection[str]) -> set[str]:
    """Return `revisions` and everything that they build on, by ``down_revision`` and by ``depends_on``."""
    seen: set[str] = set()
    todo = list(revisions)
    while todo:
        revision = todo.pop()
        if revision not in seen:
            seen.add(revision)
            todo.extend(follows(graph, revision))
    return seen


def _follows(graph: RevisionMap, revision: Revision) -> frozenset[str]:
    """Return what `revision` directly follows, with labels and partial ids in ``depends_on`` resolved."""
    named = [*_tuple(revision.down_revision), *_tuple(revision.dependencies)]
    return frozenset(_id(found) for name in named for found in graph.get_revisions(name) if found is not None)


def _ids(graph: RevisionMap) -> list[str]:
    """Return all revision ids, the latest first, in the order in which Alembic walks them."""
    return [r.revision for r in graph.iterate_revisions("heads", "base", assert_relative_length=False)]


def _find(graph: RevisionMap, revision_id: str) -> Revision | None:
    """Return the revision with exactly this id; labels, symbols and partial ids do not count."""
    try:
        found = graph.get_revision(revision_id)
    except RevisionError:
        return None
    return found if found is not None and found.revision == revision_id else None


def _get(graph: RevisionMap, revision_id: str) -> Revision:
    found = graph.get_revision(revision_id)
    assert found is not None, revision_id
    return found


def _id(revision: Revision | str | None) -> str:
    return revision.revision if isinstance(revision, Revision) else str(revision)


def _tuple(value: str | Iterable[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
