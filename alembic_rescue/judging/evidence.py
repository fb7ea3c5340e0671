"""Footprints against the catalog: what is proved, what is missing, and what to do.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from alembic_rescue.catalog.snapshot import Snapshot
from alembic_rescue.footprint.net import Net, fold
from alembic_rescue.judging.comparison import Assessment, assess
from alembic_rescue.judging.remedy import sql_for
from alembic_rescue.model import Action, Recommendation
from alembic_rescue.model_evidence import (
    Cause,
    Expectation,
    Footprint,
    Kind,
    ObjectEvidence,
    Presence,
    RevisionEvidence,
    Statement,
    Verdict,
)

_OUTLIVES = frozenset(["enum", "enum-label", "domain", "type", "schema", "extension", "function", "sequence"])
"""Kinds that commonly stay behind when their tables go, or are there from elsewhere: alone they prove no run."""
_SHOWN = 3
_SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])
_NOTHING_THERE = frozenset([Verdict.NOT_APPLIED, Verdict.EMPTY])


def judge(footprints: Sequence[Footprint], snapshot: Snapshot, behind: int = 0) -> tuple[RevisionEvidence, ...]:
    """The verdict for each revision of a range, in its order.

    A database may stand anywhere in the range, and later revisions rename and drop what earlier ones made.  So the
    net effect of every prefix of the range is held against the catalog, and the prefix that explains it best is taken
    for where the database stands: what lies within is judged by that net effect, each later revision by its own.

    Args:
        behind: how many revisions at the front have run for certain.  What they made proves nothing for a later one.
    """
    nets = fold(footprints)
    known = _Assessed(snapshot)
    stands_at = max(range(behind, len(nets)), key=lambda n: (*known.score(nets[n]), n))
    seen: set[str] = set()
    judged = []
    for position, footprint in enumerate(footprints, start=1):
        before = nets[stands_at] if position > stands_at else None
        evidence = _judge_one(footprint, nets[max(stands_at, position)], before, known)
        judged.append(replace(evidence, objects=tuple(_each_statement_once(evidence.objects, seen))))
    return tuple(judged)


def furthest_proved(revisions: Sequence[RevisionEvidence]) -> str | None:
    """The last revision up to which each one is applied, or has nothing left to apply."""
    proved = None
    for evidence in revisions:
        if evidence.verdict not in _SETTLED:
            break
        if evidence.verdict is Verdict.APPLIED:
            proved = evidence.revision
    return proved


class _Assessed:
    """Assessments, each made once: most expectations stay the same from one prefix to the next."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._made: dict[int, tuple[Expectation, Assessment]] = {}

    def __call__(self, expectation: Expectation) -> Assessment:
        made = self._made.get(id(expectation))
        if made is None:  # the expectation is kept along: its id must not be given away
            made = self._made[id(expectation)] = (expectation, assess(expectation, self.snapshot))
        return made[1]

    def holds(self, expectation: Expectation) -> bool:
        return self(expectation).presence is (Presence.PRESENT if expectation.present else Presence.ABSENT)

    def score(self, net: Net) -> tuple[int, int]:
        """How well a net effect explains the catalog: what holds and says something, less what does not hold."""
        met = unmet = 0
        for expectation in net.expectations.values():
            if self.holds(expectation):
                met += not expectation.vacuous
            elif self(expectation).presence is not Presence.UNVERIFIABLE:
                unmet += 1
        return met - unmet, -unmet


def _judge_one(footprint: Footprint, net: Net, before: Net | None, known: _Assessed) -> RevisionEvidence:
    """Args: before: where the database stands, for a revision beyond that."""
    revision = footprint.revision
    objects = [
        _object(_vacuous_beyond(before, expectation, revision), known, revision)
        for expectation in net.expectations.values()
        if revision in expectation.revisions
    ]
    objects += [_unverifiable(s, o.reason) for s, o in net.opaque if s.revision == revision]
    return RevisionEvidence(revision, _verdict(objects), tuple(objects), net.cancelled.get(revision, ()))


def _vacuous_beyond(before: Net | None, expectation: Expectation, revision: str) -> Expectation:
    """Vacuous where it holds already as the database stands: it brings back what an earlier one takes away."""
    stands = before.expectations.get(expectation.key) if before is not None else None
    if stands is None or stands.present != expectation.present or not stands.created:
        return expectation
    facts = [f for f, made_by in expectation.origin.items() if made_by.revision == revision and f in expectation.facts]
    if "name" in expectation.origin and expectation.origin["name"].revision == revision:
        return expectation
    same = all(expectation.facts[f] == stands.facts.get(f) for f in facts)
    return replace(expectation, vacuous=True) if same else expectation


def _verdict(objects: Sequence[ObjectEvidence]) -> Verdict:
    proves = any(o.met and not o.vacuous for o in objects)
    missing = {o.kind for o in objects if not o.met and o.presence is not Presence.UNVERIFIABLE}
    if missing:
        there = {o.kind for o in objects if o.met and not o.vacuous}
        left_over = there <= _OUTLIVES and bool(missing - _OUTLIVES)
        return Verdict.PARTIAL if proves and not left_over else Verdict.NOT_APPLIED
    if any(o.presence is Presence.UNVERIFIABLE for o in objects):
        return Verdict.UNVERIFIABLE
    return Verdict.APPLIED if proves else Verdict.EMPTY


def _object(expectation: Expectation, known: _Assessed, revision: str) -> ObjectEvidence:
    assessment = known(expectation)
    mine = [s for s in expectation.history if s.revision == revision]
    if not known.holds(expectation) and not _answers_for(expectation, assessment, revision):
        if assessment.former_is_there:  # that shows what was done before the rename, and nothing of what came after
            renamed = expectation.history.index(expectation.origin["name"])
            expectation = replace(expectation, vacuous=expectation.history.index(mine[0]) > renamed)
        assessment = Assessment(Presence.PRESENT, None, assessment.found, assessment.actual)
    facts = {**(assessment.actual or {}), **expectation.facts}
    kind = (
        str(facts.get("constraint", "constraint"))
        if expectation.key.kind is Kind.CONSTRAINT
        else expectation.key.kind.value
    )
    key = assessment.found or expectation.key
    table = expectation.key.table
    return ObjectEvidence(
        kind=kind,
        name=str(
            key if key.schema or key.kind in {Kind.SCHEMA, Kind.EXTENSION} else replace(key, schema=known.snapshot.home)
        ),
        expected="present" if expectation.present else "absent",
        presence=assessment.presence,
        detail=assessment.detail,
        path=mine[0].path,
        line=mine[0].line,
        sql=sql_for(
            expectation,
            assessment,
            known.snapshot.dialect,
            table_is_there=table is not None and known.snapshot.find(table) is not None,
        ),
        vacuous=expectation.vacuous,
    )


def _answers_for(expectation: Expectation, assessment: Assessment, revision: str) -> bool:
    """The revision is the one, or one of those, by which the expectation does not hold."""
    if assessment.former_is_there:
        return expectation.origin["name"].revision == revision
    if assessment.presence is Presence.DIFFERENT:
        return any(expectation.origin[f].revision == revision for f in assessment.mismatched if f in expectation.origin)
    return True


def _unverifiable(statement: Statement, reason: str) -> ObjectEvidence:
    return ObjectEvidence(
        kind="statement",
        name=" ".join(statement.sql.split())[:60] or statement.revision,
        expected="present",
        presence=Presence.UNVERIFIABLE,
        detail=reason,
        path=statement.path,
        line=statement.line,
        sql=None,
    )


def _each_statement_once(objects: Sequence[ObjectEvidence], seen: set[str]) -> Iterator[ObjectEvidence]:
    """Several objects may need one statement: the first of them carries it."""
    for found in objects:
        if found.sql is not None and found.sql in seen:
            yield replace(found, sql=None)
        else:
            seen.update([found.sql] if found.sql else ())
            yield found


# --- what to do --------------------------------------------------------------------------------------------------


def recommend(
    revisions: Sequence[RevisionEvidence], causes: Sequence[Cause] = (), *, transactional: bool = True
) -> Recommendation:
    """The one thing to do with a database on which these revisions are pending, and why."""
    if not revisions:
        return Recommendation(Action.NOTHING, None, "the database stands at the latest revision")
    proved = furthest_proved(revisions)
    ahead = _after(revisions, proved)
    first = next((e for e in ahead if e.verdict is not Verdict.EMPTY), None)
    if first is None:
        return _stamp(proved, revisions) if proved else _nothing_to_prove(revisions)
    beyond = _after(revisions, first.revision)
    applied_beyond = [e.revision for e in beyond if e.verdict in {Verdict.APPLIED, Verdict.PARTIAL}]
    consistent = not applied_beyond and (proved or any(e.verdict is Verdict.NOT_APPLIED for e in beyond))
    if first.verdict is Verdict.UNVERIFIABLE and not consistent:
        return _cannot_tell(first)
    if first.verdict is Verdict.NOT_APPLIED and applied_beyond:
        return Recommendation(
            Action.STOP,
            None,
            f"contradictory: nothing of {first.revision} is there, but {_listed(applied_beyond)} after it is",
        )
    if first.verdict is Verdict.PARTIAL:
        return Recommendation(
            Action.COMPLETE,
            first.revision,
            f"{first.revision} is half there: {_counted(first)}. Run what is missing, then stamp {first.revision}",
        )
    if proved:
        return _stamp(proved, revisions)
    return Recommendation(Action.RERUN, None, _why_rerun(first, causes, transactional=transactional))


def _stamp(proved: str, revisions: Sequence[RevisionEvidence]) -> Recommendation:
    rest = _after(revisions, proved)
    up_to = f"everything up to {proved} is there"
    if not rest:
        return Recommendation(Action.STAMP, proved, f"{up_to}; only the version is behind")
    following = next((e for e in rest if e.verdict is not Verdict.EMPTY), rest[0])
    word = {
        Verdict.NOT_APPLIED: "nothing of it is there",
        Verdict.PARTIAL: "only what may be left over from elsewhere is there",
        Verdict.UNVERIFIABLE: "what it does cannot be checked",
    }.get(following.verdict, "it has nothing left to check")
    return Recommendation(
        Action.STAMP, proved, f"{up_to}; of {following.revision}, the next one, {word}: stamp {proved}, then upgrade"
    )


def _nothing_to_prove(revisions: Sequence[RevisionEvidence]) -> Recommendation:
    names = _listed([e.revision for e in revisions])
    return Recommendation(
        Action.STOP, None, f"nothing that {names} would leave behind can be checked: nothing is proved"
    )


def _cannot_tell(first: RevisionEvidence) -> Recommendation:
    told = next(o for o in first.objects if o.presence is Presence.UNVERIFIABLE)
    where = f" (line {told.line})" if told.line else ""
    return Recommendation(
        Action.STOP,
        None,
        f"not provable: {first.revision} {told.detail}{where}. Look at the database, then accept {first.revision} by "
        "name",
    )


def _why_rerun(first: RevisionEvidence, causes: Sequence[Cause], *, transactional: bool) -> str:
    there = "nothing that can be checked of the pending revisions is there"
    if left := [o.name for o in first.objects if o.met and not o.vacuous]:
        there = f"of {first.revision} only {_listed(left)} is there, which it did not make in a run that lasted"
    swallowed = next((c for c in causes if c.swallowed), None)
    if swallowed and transactional:
        return (
            f"{there}: the whole run was rolled back, because {swallowed.path}:{swallowed.line} hides a failure "
            f"({swallowed.error}) without a SAVEPOINT. Mend it ({swallowed.mend}), then run alembic upgrade"
        )
    if causes:
        where = f"{causes[0].path}:{causes[0].line}"
        return f"{there}: {where} must fail ({causes[0].error}). Mend it, then run alembic upgrade"
    if not transactional:  # what had run before the failure would have stayed
        return f"{there}: the run did not come so far. Mend what failed, then run alembic upgrade"
    return f"{there}: the failed run rolled back. Mend what failed, then run alembic upgrade"


def _counted(evidence: RevisionEvidence) -> str:
    missing = evidence.missing
    shown = [f"{o.kind} {o.name}" for o in missing[:_SHOWN]] + (["..."] if len(missing) > _SHOWN else [])
    return f"{len(missing)} of {len(evidence.objects)} objects missing or different ({_listed(shown)})"


def _after(revisions: Sequence[RevisionEvidence], revision: str | None) -> Sequence[RevisionEvidence]:
    ids = [e.revision for e in revisions]
    return revisions if revision is None else revisions[ids.index(revision) + 1 :]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
