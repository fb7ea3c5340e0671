"""Compare what a revision did on the scratch database with the live one, for a verdict on each revision.  Pure.

A database may be anywhere in a range, and later revisions rename, replace and drop what earlier ones created.  So every
position of the chain is compared with the live catalog, and the one that explains it best is where the database is.
Revisions up to that position are judged by the chain's state there, each later revision by the state that it would
leave.  A match proves nothing if it holds equally at an equally good position before the revision.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from alembic_rescue.evidence import branches, dated, missing, unseen
from alembic_rescue.evidence.claims import Claim, Finding, claims, find
from alembic_rescue.evidence.folding import folded
from alembic_rescue.evidence.live import Live, Settled, Text, has_another_name
from alembic_rescue.evidence.model import ObjectEvidence, Presence, RevisionEvidence, Verdict
from alembic_rescue.evidence.names import column_of, spoken
from alembic_rescue.evidence.observation import CatalogObject, Observation, Reading, StatementKind, Unobserved
from alembic_rescue.evidence.positions import Positions, Step
from alembic_rescue.evidence.wording import detail, noteworthy

_OUTLIVES = frozenset(["type", "enum label", "schema", "extension", "function", "procedure", "sequence", "role"])
"""Kinds that often outlive their tables, or have another origin: on their own they do not prove that it ran."""
_HARMLESS = frozenset([StatementKind.QUERY, StatementKind.SESSION])
_UNASKED: Settled = {}

mentioned = unseen.mentioned


def objects(steps: Sequence[Step]) -> frozenset[CatalogObject]:
    """Return the live objects to read: everything that the range touches, and the tables of its constraints."""
    positions = Positions(steps)
    touched = {*positions.objects, *positions.gone}
    return frozenset(
        touched | {CatalogObject("table", o.parent) for o in touched if o.parent and has_another_name(o.kind)}
    )


def looked_for(steps: Sequence[Step], schemas: Collection[str]) -> frozenset[CatalogObject]:
    """Return what to read: :func:`objects`, plus names in lines that did not run, in each of these schemas."""
    named = {CatalogObject("", f"{schema}.{name}") for name in mentioned(steps) for schema in schemas}
    return objects(steps) | named | dated.looked_for(steps)


def untouched(steps: Sequence[Step]) -> frozenset[CatalogObject]:
    """Return the other objects on the scratch database, which no revision of the range touched."""
    beside = {one for step in steps if isinstance(step, Observation) for one in step.beside}
    return frozenset(beside - set(Positions(steps).objects))


def order(steps: Sequence[Step], follows: Mapping[str, AbstractSet[str]], live: Reading) -> tuple[int, ...]:
    """Return the indexes of the steps in the order in which to judge them; see :mod:`.branches`."""
    return branches.order(steps, follows, lambda: Live(Positions(steps), live, _UNASKED, untouched(steps)))


def position(steps: Sequence[Step], live: Reading, beside: Collection[CatalogObject] = ()) -> int:
    """Return how many of the revisions the live database is past, judged by equal texts only."""
    return Live(Positions(steps), live, _UNASKED, beside).best()[-1]


def differing_texts(
    steps: Sequence[Step], live: Reading, untouched: Collection[CatalogObject] = ()
) -> tuple[Text, ...]:
    """Return expressions that the live database spells unlike any position, each paired with each position's text.

    Pass them to :meth:`~alembic_rescue.dialects.base.CatalogReader.settle` before :func:`judge`.  An object and a fact
    may occur several times, once for each text that the chain gave it.  A text that is not settled counts as different.
    """
    return tuple(Live(Positions(steps), live, _UNASKED, untouched).differing_texts())


def judge(
    steps: Sequence[Step],
    live: Reading,
    settled: Settled = _UNASKED,
    untouched: Collection[CatalogObject] = (),
    remedy: missing.Remedy = missing.only_own,
) -> tuple[RevisionEvidence, ...]:
    """Return the verdict for each revision of a range, in order.

    Args:
        live: what the live database has under the names of :func:`objects` and :func:`mentioned`.
        settled: the server's answers to :func:`differing_texts`.
        untouched: what else the scratch database has under the same names, untouched by the range.  Without it, an
            object of the same kind may be mistaken for a touched one under another name.
        remedy: makes the SQL for what is missing, in the dialect's way.
    """
    positions = Positions(steps)
    seen = Live(positions, live, settled, untouched)
    bench = _Bench(steps, positions, seen, seen.best(), remedy)
    judged = []
    for number, step in enumerate(steps, start=1):
        if isinstance(step, Unobserved):
            told = (unseen.unobserved(step),)
            judged.append(RevisionEvidence(step.revision, Verdict.UNVERIFIABLE, told))
        else:
            judged.append(_judge_one(step, number, bench))
    return tuple(judged)


@dataclass(frozen=True)
class _Bench:
    """What every revision is judged with."""

    steps: Sequence[Step]
    positions: Positions
    live: Live
    best: Sequence[int]
    """The positions that explain the live database best."""
    remedy: missing.Remedy

    def reference(self, number: int) -> int:
        """Return the position to judge a revision by: where the database is, or right after the revision."""
        return max(self.best[-1], number)

    def rival(self, number: int) -> int | None:
        """Return the furthest of the best positions where the revision has not run; None if it must have run."""
        before = bisect_left(self.best, number)
        return self.best[before - 1] if before else None


def _judge_one(step: Observation, number: int, bench: _Bench) -> RevisionEvidence:
    reference, rival = bench.reference(number), bench.rival(number)
    mine = claims(bench.positions, step, number, reference, bench.live)
    findings = [
        find(
            claim,
            bench.live,
            None if rival is None else bench.positions.at(_before(claim), rival),
            proved=rival is None,
        )
        for claim in (kept.as_called(bench.live) for kept in mine.kept)
    ]
    otherwise = unseen.ran_otherwise(step, bench.positions, reference, bench.live)
    has_run = number <= bench.best[-1]
    findings = [
        replace(found, presence=Presence.UNVERIFIABLE)
        if not found.met and (otherwise or (has_run and _looks_dropped_since(found, reference, bench)))
        else found
        for found in findings
    ]
    cancelled_by = tuple(bench.steps[position - 1].revision for position in sorted(mine.cancelled_by))
    catalog = list(_objects(step, findings, bench, (number, reference)))
    beside = [
        *unseen.refused(step),
        *unseen.data(step),
        *(unseen.skipped(step, bench.positions, reference, bench.live) if step.changes else unseen.statements(step)),
    ]
    verdict = _verdict(step, findings, beside, proved=rival is None)
    if verdict is Verdict.UNVERIFIABLE and not any(o.presence is Presence.UNVERIFIABLE for o in (*catalog, *beside)):
        beside.append(unseen.ambiguous(step, cancelled_by))
    return RevisionEvidence(step.revision, verdict, (*catalog, *beside), cancelled_by)


def _looks_dropped_since(finding: Finding, reference: int, bench: _Bench) -> bool:
    """Return whether it is missing and a later revision that drops it may have run, as its other effects hold."""
    found, positions = finding.claim.object, bench.positions
    event = positions.next(found, reference, positions.last) if finding.actual is None else None
    if event is None or finding.claim.expected is None or not positions.is_dropped(found, event[0], event[0]):
        return False
    dropping = bench.steps[event[0] - 1]
    return isinstance(dropping, Observation) and all(
        (bench.live.facts(change.object) is None) == (change.after is None) for change in dropping.changes
    )


def _before(claim: Claim) -> CatalogObject:
    """Return the object's old name if it is gone, otherwise its name at the judged position."""
    return claim.change.object if claim.expected is None else claim.object


def _verdict(
    step: Observation, findings: Sequence[Finding], beside: Sequence[ObjectEvidence], *, proved: bool
) -> Verdict:
    if step.failure is not None:
        return Verdict.UNVERIFIABLE
    if not step.changes and not beside and all(statement.kind in _HARMLESS for statement in step.statements):
        return Verdict.EMPTY
    missing_kinds = {f.claim.object.kind for f in findings if not f.met and f.presence is not Presence.UNVERIFIABLE}
    proving_kinds = {f.claim.object.kind for f in findings if f.proves}
    if missing_kinds:
        left_over = proving_kinds <= _OUTLIVES and bool(missing_kinds - _OUTLIVES)
        return Verdict.PARTIAL if proving_kinds and not left_over else Verdict.NOT_APPLIED
    if any(f.presence is Presence.UNVERIFIABLE for f in findings):
        return Verdict.UNVERIFIABLE
    if any(o.presence is Presence.UNVERIFIABLE for o in beside) or not step.changes:
        return Verdict.UNVERIFIABLE
    return Verdict.APPLIED if proving_kinds or proved else Verdict.UNVERIFIABLE


def _objects(
    step: Observation, findings: Sequence[Finding], bench: _Bench, span: tuple[int, int]
) -> Iterator[ObjectEvidence]:
    offered: set[str] = set()
    for finding in missing.in_order(folded(findings, noteworthy(findings, bench.live)), step):
        claim = finding.claim
        statement = None if claim.change.statement is None else step.statements[claim.change.statement]
        sql = None
        if not finding.met:
            sql = missing.sql_for(finding, step, bench.positions, bench.live, span, bench.remedy)
        expected, presence = _as_told(finding, bench.live)
        yield ObjectEvidence(
            kind=spoken(claim.object, claim.expected or claim.change.before),
            name=column_of(claim.object) or claim.object.name,
            expected=expected,
            presence=presence,
            detail=detail(finding, bench.live),
            path=statement.path if statement else step.path,
            line=statement.line if statement else step.line,
            sql=None if sql in offered else sql,
            vacuous=finding.vacuous,
            as_before=finding.as_before,
            locked=finding.unread.locked if finding.unread else "",
        )
        offered.update([sql] if sql else ())


def _as_told(finding: Finding, live: Live) -> tuple[str, Presence]:
    """Return what is expected and what was found; a default is reported as part of its column, if that exists."""
    column = column_of(finding.claim.object)
    if column is None or not live.has(column) or finding.presence is Presence.UNVERIFIABLE:
        return "absent" if finding.claim.expected is None else "present", finding.presence
    return "present", Presence.PRESENT if finding.met else Presence.DIFFERENT
