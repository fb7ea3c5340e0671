"""What to do about applied revisions: what is stamped but missing, and where a schema really is.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from alembic.script.revision import RevisionMap

from alembic_rescue import advising, errors
from alembic_rescue.errors import listed, rows, some
from alembic_rescue.evidence import locating
from alembic_rescue.evidence.model import RevisionEvidence, Verdict
from alembic_rescue.evidence.unseen import OF_ROWS
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import Action, BrokenOff, Located, Note, Recommendation

_APPLIED, _LOCATE = "alembic-rescue diagnose --applied", "alembic-rescue diagnose --locate"


def stamped_but_not_there(graph: RevisionMap, applied: Sequence[RevisionEvidence]) -> tuple[Note, ...]:
    """Return a finding for each revision at or below the current heads from which something is missing.

    The recommendation says what to do: see :func:`recommend_for_applied`.
    """
    heirs = _there_after(graph, applied)
    return tuple(_not_there(one, heirs.get(one.revision)) for one in locating.missing(applied))


def _there_after(graph: RevisionMap, applied: Sequence[RevisionEvidence]) -> dict[str, str]:
    """For each revision, the next one that builds on it and exists, if there is one."""
    heirs: dict[str, str] = {}
    for evidence in reversed(applied):
        heir = evidence.revision if evidence.is_there else heirs.get(evidence.revision)
        if heir is not None:
            heirs.update(dict.fromkeys(paths.follows(graph, evidence.revision), heir))
    return heirs


def _not_there(evidence: RevisionEvidence, heir: str | None) -> Note:
    """If `heir` exists and nothing of this revision does, the files were in another order when `heir` ran."""
    moved = heir is not None and evidence.verdict is Verdict.NOT_APPLIED
    because = f" because {heir}, which follows it, has run" if moved else ""
    lacks = errors.some(f"{found.kind} {found.name}" for found in evidence.missing)
    order = f"{heir} was moved after it, or its objects were dropped. " if moved else ""
    return Note(
        "stamped-but-not-there",
        f"{evidence.revision} counts as applied{because}, but its {lacks} missing or different",
        f"{order}Alembic will never create it by itself",
    )


def never_ran(revisions: Sequence[RevisionEvidence]) -> bool:
    """Whether nothing exists that only these revisions could have created."""
    return not any(evidence.is_there or evidence.verdict is Verdict.PARTIAL for evidence in revisions)


def recommend_for_applied(applied: Sequence[RevisionEvidence]) -> Recommendation:
    """What to do about the applied revisions."""
    lacking = locating.missing(applied)
    absent = [evidence.revision for evidence in lacking]
    if absent and never_ran(applied[applied.index(lacking[0]) :]):
        are, its = ("is", "its") if len(absent) == 1 else ("are", "their")
        reason = f"{listed(absent)} {are} marked as applied, but none of {its} objects exist"
        return Recommendation(Action.STOP, None, f"{reason}. To find which revision the schema is at: `{_LOCATE}`")
    if absent and not any(found.sql for found in lacking[0].missing):
        reason = f"{absent[0]} lacks something for which no statement is available"
        return Recommendation(Action.STOP, None, f"{reason}: check the database and make the change by hand")
    if absent:
        lacks = "is marked as applied, but lacks" if len(absent) == 1 else "are marked as applied, but lack"
        return Recommendation(Action.COMPLETE, absent[0], f"{listed(absent)} {lacks} something")
    if applied and not any(evidence.verdict is Verdict.APPLIED for evidence in applied) and not _of_rows(applied):
        return Recommendation(Action.STOP, None, "none of the applied revisions could be verified")
    return Recommendation(
        Action.NOTHING, None, f"nothing is missing from {_revisions(len(applied))}{_unchecked(applied)}"
    )


def at_latest(applied: Sequence[RevisionEvidence]) -> str:
    """Return what is known about the applied revisions if none is pending and nothing is missing."""
    compared = any(evidence.verdict is Verdict.APPLIED for evidence in applied)
    looked = ". No object is missing" if compared else ""
    return f"the database is at the latest revision{looked}{_unchecked(applied)}"


def _of_rows(revisions: Sequence[RevisionEvidence]) -> bool:
    """Whether all that cannot be verified of these revisions are changes of rows, and there is such a change."""
    found = [found.detail for evidence in revisions for found in evidence.unread]
    return bool(found) and all(detail in OF_ROWS for detail in found)


def _unchecked(applied: Sequence[RevisionEvidence]) -> str:
    """Return a further sentence about the applied revisions that cannot be verified; empty if all can."""
    unread = [evidence for evidence in applied if evidence.verdict is Verdict.UNVERIFIABLE]
    what = "Data changes" if _of_rows(unread) else "Changes"
    return f". {what} of {some((one.revision for one in unread), verb=False)} cannot be verified" if unread else ""


def _revisions(number: int) -> str:
    return "the one applied revision" if number == 1 else f"the {number} applied revisions"


def recommend_after_breaking_off(
    broke_off: BrokenOff | None, skipped: Sequence[RevisionEvidence]
) -> Recommendation | None:
    """Finish an interrupted command, or go back if something of it is missing by now; None if there is none.

    Args:
        skipped: what that stamp marks as applied.
    """
    if broke_off is None:
        return None
    accepted = {*broke_off.accepted, *broke_off.accepted_missing}
    proved = {Verdict.APPLIED, Verdict.EMPTY}
    lacking = [one.revision for one in skipped if one.verdict not in proved and one.revision not in accepted]
    if lacking:
        broken = f"the {broke_off.command} of receipt {broke_off.receipt} was interrupted"
        reason = f"{broken}, and {listed(lacking)} cannot be proved. Go back: `alembic-rescue undo`"
        return Recommendation(Action.STOP, None, reason)
    if broke_off.command == "repair":
        reason = f"the repair of receipt {broke_off.receipt} was interrupted. Finish it: `alembic-rescue repair`"
        return Recommendation(Action.REPAIR, None, reason)
    if broke_off.command == "stamp":
        reason = f"the stamp of receipt {broke_off.receipt} was interrupted. Finish it"
        return Recommendation(Action.STAMP, broke_off.target, reason)
    reason = f"the undo of receipt {broke_off.receipt} was interrupted. Finish it: `alembic-rescue undo`"
    return Recommendation(Action.STOP, None, reason)


def recommend_for_located(
    graph: RevisionMap, every: Sequence[RevisionEvidence], located: Located, current: Collection[str]
) -> Recommendation:
    """What to do about the schema's revision, given the rows of the version table.

    Args:
        every: the evidence for all revisions of `graph`.
        located: computed from that evidence.
        current: the version table's rows, which may be unknown to the graph.
    """
    if not located.revisions:
        return Recommendation(
            Action.STOP, None, "no revision can be proved: the schema is empty, or was not created by these scripts"
        )
    stands = _stands(located)
    if set(current) == set(located.revisions):
        half = next((e for e in every if e.revision in located.following and e.verdict is Verdict.PARTIAL), None)
        next_one = f"; {half.revision}, which comes after it, is partially applied" if half else ""
        but = next_one and f"{next_one}. See `alembic-rescue diagnose`"
        return Recommendation(Action.NOTHING, None, f"{stands}, as the version table says{but}")
    by_hand = advising.by_hand(located.revisions)
    says = says_otherwise(graph, located, current)
    if set(current) <= paths.up_to(graph, located.revisions):
        targets = advising.stamps_to(graph, set(located.revisions), current)
        if not targets:
            return Recommendation(Action.STOP, None, f"{says}, but no forward stamp leads there; {by_hand}")
        taken = advising.unproved(every, paths.up_to(graph, located.revisions) - paths.up_to(graph, current))
        # Without any row, it is also unknown whether the next revisions ran, if they leave nothing in the catalog.
        unsure = advising.next_unsure(graph, every, located) if not current else []
        if taken or unsure:
            choices = advising.ways_to(graph, located, current, taken, unsure)
            return Recommendation(Action.STOP, None, f"{says}. {advising.look_at([*taken, *unsure])}", choices=choices)
        stamps = ", then ".join(targets)
        return Recommendation(Action.STAMP, targets[0], f"{says}: stamp {stamps}")
    if not all(scripts.has(graph, row) for row in current):
        return Recommendation(Action.STOP, None, f"{says}; {by_hand}")
    counted = paths.up_to(graph, current)
    beyond = [evidence for evidence in every if evidence.revision in counted.intersection(located.following)]
    if locating.missing(beyond) and counted.issuperset(located.revisions) and never_ran(beyond):
        return Recommendation(
            Action.STOP, None, f"{says}, none of whose objects exist; {by_hand}, then `alembic upgrade head`"
        )
    if not counted.isdisjoint(evidence.revision for evidence in locating.missing(every)):
        return Recommendation(Action.STOP, None, f"{says}, which lacks something. To see what: `{_APPLIED}`")
    unproved = [one.revision for one in every if one.revision in counted and one.verdict is Verdict.UNVERIFIABLE]
    though = f", although {listed(unproved)} cannot be proved" if unproved else ""
    action = Action.NOTHING if counted.issuperset(located.revisions) else Action.STOP
    return Recommendation(action, None, f"{says}, which lacks nothing{though}")


def _stands(located: Located) -> str:
    sure = (
        "proved" if not located.unproved else (f"proved, except {listed(located.unproved)}, which cannot be verified")
    )
    return f"the schema is at {rows(located.revisions)} ({sure})"


def says_otherwise(graph: RevisionMap, located: Located, current: Collection[str]) -> str:
    """Where the schema is, and where the version table says it is."""
    unknown = [row for row in sorted(current) if not scripts.has(graph, row)]
    but = f", and the scripts lack {listed(unknown)}" if unknown else ""
    return f"{_stands(located)}; the version table says {rows(sorted(current))}{but}"
