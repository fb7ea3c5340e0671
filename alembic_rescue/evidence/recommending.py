"""From the verdicts of what is pending to the one thing to do, and why.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alembic_rescue.evidence.model import Cause, Presence, RevisionEvidence, Verdict
from alembic_rescue.model import Action, Recommendation

_SHOWN = 3
_SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])


def furthest_proved(revisions: Sequence[RevisionEvidence]) -> str | None:
    """The last revision up to which each one is applied, or has nothing to apply."""
    proved = None
    for evidence in revisions:
        if evidence.verdict not in _SETTLED:
            break
        if evidence.verdict is Verdict.APPLIED:
            proved = evidence.revision
    return proved


def recommend(
    revisions: Sequence[RevisionEvidence], causes: Sequence[Cause] = (), *, transactional: bool = True
) -> Recommendation:
    """The one thing to do with a database on which these revisions are pending, and why.

    Args:
        causes: what fails when the pending revisions are run.
        transactional: a run that fails is rolled back as a whole.
    """
    if not revisions:
        return Recommendation(Action.NOTHING, None, "the database stands at the latest revision")
    proved = furthest_proved(revisions)
    ahead = _after(revisions, proved)
    first = next((e for e in ahead if e.verdict is not Verdict.EMPTY), None)
    failing = {cause.revision: cause for cause in reversed(causes) if cause.aborts}
    if first is None:
        return _stamp(proved, revisions, failing) if proved else _nothing_to_prove(revisions)
    beyond = _after(revisions, first.revision)
    applied_beyond = [e.revision for e in beyond if e.verdict in {Verdict.APPLIED, Verdict.PARTIAL} or _holds(e)]
    if first.verdict is Verdict.UNVERIFIABLE:
        stands_before = not _holds(first) and any(e.verdict is Verdict.NOT_APPLIED for e in beyond)
        cause = failing.get(first.revision)
        fails_again = proved is not None and cause is not None and not cause.swallowed
        if applied_beyond or fails_again or not (stands_before or (proved and _says_nothing(first))):
            return _cannot_tell(first, cause)
    if first.verdict is Verdict.NOT_APPLIED and applied_beyond:
        return Recommendation(
            Action.STOP,
            None,
            f"contradictory: nothing of {first.revision} is there, but {_listed(applied_beyond)} after it is",
        )
    if first.verdict is Verdict.PARTIAL and not any(o.sql for o in first.missing):
        reason = f"{first.revision} is half there: {_counted(first)}. No statement can be offered for that"
        return Recommendation(Action.STOP, None, f"{reason}: look at the database, and make it so by hand")
    if first.verdict is Verdict.PARTIAL:
        by_hand = [o.name for o in first.missing if not o.sql]
        and_more = f", make {_listed(by_hand[:_SHOWN])} right by hand" if by_hand else ""
        reason = f"{first.revision} is half there: {_counted(first)}. Run what is missing{and_more}"
        return Recommendation(Action.COMPLETE, first.revision, f"{reason}, then stamp {first.revision}")
    if proved:
        return _stamp(proved, revisions, failing)
    return Recommendation(Action.RERUN, None, _why_rerun(first, causes, transactional=transactional))


def _holds(evidence: RevisionEvidence) -> bool:
    """Something of it is there, or gone, that would not be so had it not run."""
    return any(o.met and not o.vacuous for o in evidence.objects) and evidence.verdict is not Verdict.NOT_APPLIED


def _says_nothing(evidence: RevisionEvidence) -> bool:
    """It leaves nothing in a catalog: that it is run again, or for the first time, meets nothing of its own."""
    return all(o.kind == "statement" for o in evidence.objects)


def _stamp(proved: str, revisions: Sequence[RevisionEvidence], failing: Mapping[str, Cause]) -> Recommendation:
    rest = _after(revisions, proved)
    up_to = f"everything up to {proved} is there"
    if not rest:
        return Recommendation(Action.STAMP, proved, f"{up_to}; only the version is behind")
    following = next((e for e in rest if e.verdict is not Verdict.EMPTY), rest[0])
    word = {
        Verdict.NOT_APPLIED: "nothing of it is there",
        Verdict.UNVERIFIABLE: "what it does cannot be checked",
    }.get(following.verdict, "it has nothing to check")
    if following.verdict is Verdict.NOT_APPLIED and any(o.met and not o.vacuous for o in following.objects):
        word = "only what may be left over from elsewhere is there"
    if cause := failing.get(following.revision):
        fails = "failed, by the log" if cause.logged else "fails"
        then = f"stamp {proved}, fix {cause.place}, which {fails} ({cause.error}), then upgrade"
        return Recommendation(Action.STAMP, proved, f"{up_to}; of {following.revision}, the next one, {word}: {then}")
    return Recommendation(
        Action.STAMP, proved, f"{up_to}; of {following.revision}, the next one, {word}: stamp {proved}, then upgrade"
    )


def _nothing_to_prove(revisions: Sequence[RevisionEvidence]) -> Recommendation:
    names = _listed([e.revision for e in revisions])
    return Recommendation(
        Action.STOP, None, f"nothing that {names} would leave behind can be checked: nothing is proved"
    )


def _cannot_tell(first: RevisionEvidence, cause: Cause | None) -> Recommendation:
    if locked := next((o for o in first.objects if o.locked), None):
        reason = f"{locked.named} of {first.revision}: {locked.detail}"
        return Recommendation(Action.STOP, None, f"{reason}. Wait until that has ended, or end it, then look again")
    told = next(o for o in first.objects if o.presence is Presence.UNVERIFIABLE)
    where = f" (line {told.line})" if told.line else ""
    catalog = [o for o in first.objects if o.kind != "statement"]
    beginning = (
        f"all that {first.revision} does to the catalog is there, the rest cannot be checked"
        if catalog and _holds(first)
        else f"not provable: {first.revision}"
    )
    named = "" if told.name == first.revision else f"{told.name}: "
    fails = "By the log, it failed" if cause is not None and cause.logged else "Run again, it fails"
    again = f". {fails} at {cause.place} ({cause.error})" if cause is not None else ""
    return Recommendation(
        Action.STOP,
        None,
        f"{beginning}: {named}{told.detail}{where}{again}. Look at the database, then accept {first.revision} by name",
    )


def _why_rerun(first: RevisionEvidence, causes: Sequence[Cause], *, transactional: bool) -> str:
    there = "nothing that can be checked of the pending revisions is there"
    if left := [o.name for o in first.objects if o.met and not o.vacuous]:
        there = f"of {first.revision} only {_listed(left)} is there, which it did not make in a run that lasted"
    elif others := [o.name for o in first.objects if o.presence is Presence.DIFFERENT and o.expected == "present"]:
        there = f"nothing of {first.revision} is there: {_listed(others[:_SHOWN])} is not as it would be"
    swallowed = next((c for c in causes if c.swallowed), None)
    if swallowed and transactional:
        return (
            f"{there}: the whole run was rolled back, because {swallowed.place} hides a failure "
            f"({swallowed.error}) without a SAVEPOINT. Fix it ({swallowed.fix}), then run alembic upgrade"
        )
    if causes:
        cause = causes[0]
        fails = "must fail" if cause.fails else "does not lead there"
        fails = f"{'failed, by the log' if cause.logged else fails} ({cause.error})"
        return f"{there}: {cause.place} {fails}. Fix it ({cause.fix}), then run alembic upgrade"
    if not transactional:  # what had run before the failure would have stayed
        return f"{there}: the run did not come so far. Fix what failed, then run alembic upgrade"
    return f"{there}. If a run failed, all of it was rolled back. Fix what failed, then run alembic upgrade"


def _counted(evidence: RevisionEvidence) -> str:
    missing = evidence.missing
    shown = [f"{o.kind} {o.name}" for o in missing[:_SHOWN]] + (["..."] if len(missing) > _SHOWN else [])
    return f"{len(missing)} of {len(evidence.objects)} objects missing or different ({_listed(shown)})"


def _after(revisions: Sequence[RevisionEvidence], revision: str | None) -> Sequence[RevisionEvidence]:
    ids = [e.revision for e in revisions]
    return revisions if revision is None else revisions[ids.index(revision) + 1 :]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
