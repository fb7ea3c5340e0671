"""From the verdicts on the pending revisions to the one thing to do, and why.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from alembic_rescue.evidence.model import SETTLED, Cause, Presence, RevisionEvidence, Verdict
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.evidence.unseen import OF_ROWS
from alembic_rescue.evidence.way_through import legs
from alembic_rescue.model import Action, Recommendation

_SHOWN = 3
_ALL_THERE = "To verify the applied revisions too: `alembic-rescue diagnose --applied`"
_BY_THE_LOG = "`alembic-rescue diagnose --log FILE` with the deployment's log"
_UPGRADE = "alembic upgrade head"
_IN_ORDER = "Take these steps, in this order"


def furthest_proved(revisions: Sequence[RevisionEvidence]) -> str | None:
    """Return the last revision up to which every revision is applied or empty."""
    proved = None
    for evidence in revisions:
        if evidence.verdict not in SETTLED:
            break
        if evidence.verdict is Verdict.APPLIED:
            proved = evidence.revision
    return proved


def recommend(
    revisions: Sequence[RevisionEvidence],
    causes: Sequence[Cause] = (),
    *,
    transactional: bool = True,
    upgrade: str = _UPGRADE,
) -> Recommendation:
    """Return the one thing to do with a database on which these revisions are pending, and why.

    Args:
        causes: the failures of the pending revisions.
        transactional: a failed run is rolled back as a whole.
        upgrade: the command that upgrades to the latest revisions.
    """
    if not revisions:
        return Recommendation(Action.NOTHING, None, f"the database is at the latest revision. {_ALL_THERE}")
    proved = furthest_proved(revisions)
    ahead = _after(revisions, proved)
    first = next((e for e in ahead if e.verdict is not Verdict.EMPTY), None)
    failing = {cause.revision: cause for cause in reversed(causes) if cause.aborts}
    if first is None:
        if proved:
            return _stamp(proved, revisions, failing)
        names = _listed([e.revision for e in revisions])
        change = "changes" if len(revisions) == 1 else "change"
        return _rerun(f"{names} {change} nothing in the database", causes, upgrade, transactional=transactional)
    beyond = _after(revisions, first.revision)
    applied_beyond = [e.revision for e in beyond if e.verdict in {Verdict.APPLIED, Verdict.PARTIAL} or e.holds]
    if first.verdict is Verdict.UNVERIFIABLE:
        stands_before = not first.holds and any(e.verdict is Verdict.NOT_APPLIED for e in beyond)
        cause = failing.get(first.revision)
        fails_again = proved is not None and cause is not None and not cause.swallowed
        never_ran = transactional and cause is not None and _hides_before_it_ran(cause) and not first.holds
        if applied_beyond or fails_again or not (stands_before or never_ran or (proved and _says_nothing(first))):
            return _cannot_tell(first, cause)
    if first.verdict is Verdict.NOT_APPLIED and applied_beyond:
        return _step_by_step(first, revisions, applied_beyond, causes, upgrade)
    if first.verdict is Verdict.PARTIAL and not any(o.sql for o in first.missing):
        reason = f"{first.revision} is partially applied: {_counted(first)}. No statement is available for that"
        return Recommendation(Action.STOP, None, f"{reason}. Check the database, and make the change by hand")
    if first.verdict is Verdict.PARTIAL:
        by_hand = [o.name for o in first.missing if not o.sql]
        and_more = f", fix {_listed(by_hand[:_SHOWN])} by hand" if by_hand else ""
        reason = f"{first.revision} is partially applied: {_counted(first)}. Create what is missing{and_more}"
        return Recommendation(Action.COMPLETE, first.revision, f"{reason}, then stamp {first.revision}")
    if proved:
        return _stamp(proved, revisions, failing)
    return _rerun(_not_there(first), causes, upgrade, transactional=transactional)


def _step_by_step(
    first: RevisionEvidence,
    revisions: Sequence[RevisionEvidence],
    beyond: Sequence[str],
    causes: Sequence[Cause],
    upgrade: str,
) -> Recommendation:
    """Return the steps if later objects exist already: each stretch is upgraded or stamped separately."""
    proved = furthest_proved(revisions)
    ahead = _after(revisions, proved)
    runs_first = [e.revision for e in takewhile(lambda e: e.verdict in {Verdict.NOT_APPLIED, Verdict.EMPTY}, ahead)]
    cause = next((c for c in causes if c.revision in runs_first and (c.fails or c.swallowed)), None)
    are = "is" if len(beyond) == 1 else "are"
    there = f"{first.revision} is not applied, but {_listed(beyond)} after it {are}, as if create_all ran before"
    if cause is not None and not cause.steps:
        fix = f"{cause.place} fails ({cause.error}). Fix it ({cause.fix}), then check again"
        return Recommendation(Action.STOP, None, f"{there} the migrations. {fix}")
    said = f". {cause.place} {cause.error}. {sentence(cause.fix)}" if cause is not None else ""
    reason = f"{there} the migrations{said}. {_IN_ORDER}"
    action = Action.RERUN if proved is None else Action.STAMP
    return Recommendation(action, proved, reason, (*_by_hand(causes), *legs(revisions, upgrade)))


def _by_hand(causes: Sequence[Cause]) -> tuple[str, ...]:
    return tuple(step for cause in causes for step in cause.steps)


def _hides_before_it_ran(cause: Cause) -> bool:
    """Return whether it hides an error that rolls back every run; "already exists" could come from an earlier run."""
    return cause.swallowed and "already exists" not in cause.error


def _says_nothing(evidence: RevisionEvidence) -> bool:
    """Return whether it leaves nothing in the catalog, so that running it again meets nothing from an earlier run.

    One that could not be run, so that its effects are unknown, is reported under its own id.
    """
    return all(o.kind == "statement" and o.name != evidence.revision for o in evidence.objects)


def _stamp(proved: str, revisions: Sequence[RevisionEvidence], failing: Mapping[str, Cause]) -> Recommendation:
    rest = _after(revisions, proved)
    up_to = f"all revisions up to {proved} are applied"
    if not rest:
        return Recommendation(Action.STAMP, proved, f"{up_to}; only the version table is behind")
    following = next((e for e in rest if e.verdict is not Verdict.EMPTY), rest[0])
    word = {
        Verdict.NOT_APPLIED: "is not applied",
        Verdict.UNVERIFIABLE: "cannot be verified",
    }.get(following.verdict, "changes nothing that can be checked")
    if following.verdict is Verdict.NOT_APPLIED and any(o.met and not o.vacuous for o in following.objects):
        word = "has only objects that may come from elsewhere"
    cause = failing.get(following.revision)
    if cause and cause.code:
        then = f"stamp {proved}. {cause.place} {cause.error}: {cause.fix}, then upgrade"
        return Recommendation(Action.STAMP, proved, f"{up_to}; the next one, {following.revision}, {word}: {then}")
    if cause:
        fails = "failed according to the log" if cause.logged else "fails"
        then = f"stamp {proved}, fix {cause.place}, which {fails} ({cause.error}), then upgrade"
        return Recommendation(Action.STAMP, proved, f"{up_to}; the next one, {following.revision}, {word}: {then}")
    return Recommendation(Action.STAMP, proved, f"{up_to}; the next one, {following.revision}, {word}")


def _cannot_tell(first: RevisionEvidence, cause: Cause | None) -> Recommendation:
    if locked := next((o for o in first.objects if o.locked), None):
        reason = f"{locked.named} of {first.revision}: {locked.detail}"
        return Recommendation(Action.STOP, None, f"{reason}. Wait until that session ends, or end it, then check again")
    told = next(o for o in first.objects if o.presence is Presence.UNVERIFIABLE)
    where = f" ({first.place})" if first.place else ""
    why = f". {sentence(told.detail or '')}"
    if told.kind != "statement":
        said = f"{told.named} of {first.revision} cannot be verified{where}{why}"
    elif not first.holds:
        said = f"{first.revision} cannot be verified{where}{why}"
    elif told.detail in OF_ROWS:
        said = f"every object of {first.revision} exists, but its row changes cannot be verified{where}"
    else:
        said = f"every object of {first.revision} exists, but its other changes cannot be verified{where}{why}"
    fails = (
        "According to the log, it failed" if cause is not None and cause.logged else "If it runs again, it will fail"
    )
    again = f". {fails} at {cause.place} ({cause.error})" if cause is not None else ""
    return Recommendation(Action.STOP, None, f"{said}{again}. Check what it changes")


def _not_there(first: RevisionEvidence) -> str:
    if any(o.met and not o.vacuous for o in first.objects):  # something else made these
        return f"{first.revision} is not applied: none of its own objects exist"
    if others := [o.name for o in first.objects if o.presence is Presence.DIFFERENT and o.expected == "present"]:
        differ = "differs" if len(others) == 1 else "differ"
        return f"{first.revision} is not applied: {_listed(others[:_SHOWN])} {differ} from what it creates"
    return "none of the pending revisions is applied, as far as can be checked"


def _rerun(there: str, causes: Sequence[Cause], upgrade: str, *, transactional: bool) -> Recommendation:
    by_hand = _by_hand(causes)
    why, first = _what_fails(causes, transactional=transactional)
    then = _IN_ORDER if by_hand else f"{first}, then upgrade" if first else "Upgrade"
    return Recommendation(Action.RERUN, None, f"{there}. {sentence(why)}. {then}", (*by_hand, upgrade))


def _what_fails(causes: Sequence[Cause], *, transactional: bool) -> tuple[str, str]:
    """Return what fails, and what a person must do first; both empty if nothing fails."""
    hides = next((c for c in causes if c.code == "env-hides-errors"), None)
    others = [c for c in causes if c is not hides]
    and_hides = f", and {hides.place} hides it" if hides else ""
    and_raise = ", let env.py raise" if hides else ""
    cause = next((c for c in others if c.swallowed and c.aborts), None) or next(iter(others), hides)
    if cause is None:
        return _unknown(transactional=transactional), "Fix what failed"
    if cause is hides:
        return f"{cause.place} {cause.error}", "Re-raise it there"
    if cause.swallowed and cause.aborts and cause.without_rows:
        why = (
            f"{cause.place} fails on a copy without rows ({cause.error}), and the except at line "
            f"{cause.handler_line} hides it without a SAVEPOINT, so a failure rolls back the whole run"
        )
    elif cause.swallowed and cause.aborts:
        why = (
            f"the whole run was rolled back, because {cause.place} hides a failure ({cause.error}) without a SAVEPOINT"
        )
    elif cause.code:
        why = f"{cause.place}{cause.statement and f' ({cause.statement})'} {cause.error}"
    else:
        fails = "failed according to the log" if cause.logged else "must fail" if cause.fails else "does not create it"
        why = f"{cause.place} {fails} ({cause.error})"
    return f"{why}{and_hides}", f"{_fixed(cause)}{and_raise}"


def _fixed(cause: Cause) -> str:
    """Return how to fix the cause: only where, if the finding says how; empty if the upgrade command fixes it."""
    if cause.code == "several-heads":
        return ""
    return sentence(cause.fix) if cause.code else f"Fix {cause.place}"


def _unknown(*, transactional: bool) -> str:
    if not transactional:  # there may be no copy to rehearse on
        return f"the run did not get that far. To see what failed: {_BY_THE_LOG}"
    return f"if a run failed, all of it was rolled back. To see what fails: `alembic-rescue rehearse`, or {_BY_THE_LOG}"


def _counted(evidence: RevisionEvidence) -> str:
    missing = evidence.missing
    shown = [f"{o.kind} {o.name}" for o in missing[:_SHOWN]] + (["..."] if len(missing) > _SHOWN else [])
    checked = [o for o in evidence.objects if o.presence is not Presence.UNVERIFIABLE]
    return f"{len(missing)} of {len(checked)} objects missing or different ({', '.join(shown)})"


def _after(revisions: Sequence[RevisionEvidence], revision: str | None) -> Sequence[RevisionEvidence]:
    ids = [e.revision for e in revisions]
    return revisions if revision is None else revisions[ids.index(revision) + 1 :]


def _listed(names: Sequence[str]) -> str:
    *front, last = names
    return f"{', '.join(front)} and {last}" if front else last
