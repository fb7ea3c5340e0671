"""The evidence for ranges of revisions: what the scratch database saw them do, held against the live catalogs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic_rescue import dialects, inspection
from alembic_rescue.client import Project
from alembic_rescue.connection.failures import shown
from alembic_rescue.evidence import judging
from alembic_rescue.evidence.causes import causes
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.observation import CatalogObject, Chain, Observation, Reading, Unobserved
from alembic_rescue.evidence.recommending import furthest_proved
from alembic_rescue.graph import path as paths
from alembic_rescue.inspection import Choose, View
from alembic_rescue.model import Note
from alembic_rescue.scratch import chain as chains
from alembic_rescue.scratch import probing, settling
from alembic_rescue.scratch import trial as trials
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.chain import Asked
from alembic_rescue.worker.requests import Visited

_NOTHING = Reading({})
_SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])


@dataclass(frozen=True)
class Proved:
    """A database that is meant, and the evidence for the revisions that are in question there."""

    visited: Visited
    chain: Chain
    proof: Proof
    notes: tuple[Note, ...] = ()
    """What a person should know of how that was found out."""


def prove(project: Project, view: View, choose: Choose, *, tried: bool = False) -> list[Proved]:
    """Judge the revisions that `choose` names, for each database that is meant.

    Args:
        tried: what is not there is run on a copy of the schema, for what it runs into.

    Raises:
        RescueError: a database cannot be read.
    """
    with Bench(project) as bench:
        return _prove(project, view, choose, bench, tried=tried)


def _prove(project: Project, view: View, choose: Choose, bench: Bench, *, tried: bool) -> list[Proved]:
    asked = [_asked(view, visited, choose) for visited in view.meant]
    observed = chains.observe(view, [one for one in asked if one.todo], bench)
    schemas = {
        one.key: {"public", one.visited.database.identity.schema or "public", *_schemas(one.visited)} for one in asked
    }
    wanted = {key: judging.looked_for(chain.observations, schemas[key]) for key, chain in observed.items()}
    readings = project.read({key: objects for key, objects in wanted.items() if objects})
    found = []
    for one in asked:
        chain, live = observed.get(one.key, Chain(())), readings.get(one.key, _NOTHING)
        steps, beside = chain.observations, judging.untouched(chain.observations)
        texts = judging.differing_texts(steps, live, beside)
        answers = settling.settled(view, one, texts, judging.position(steps, live, beside), bench) if texts else {}
        dialect = dialects.of(one.visited.database.identity.dialect)
        revisions = judging.judge(steps, live, answers, beside, dialect.remedy)
        clean = _observed_whole(steps)
        if steps and clean < len(steps) and bench.is_running:
            probed = probing.probe(view, one, one.todo[clean:], bench)
            unclean = revisions[clean:]
            surer = map(_surer, steps[clean:], unclean, probed.evidence or unclean)
            revisions = (*revisions[:clean], *surer)
        left_over = tuple(dialect.left_over(live.catalog))
        proof = Proof(revisions, furthest_proved(revisions), (), one.visited.transactional, left_over)
        notes = chain.notes
        if tried and not chain.is_missing and (rest := _not_settled(proof)):
            proof, more = _tried(view, one, rest, bench, proof, steps, live, beside)
            notes = (*notes, *more)
        found.append(Proved(one.visited, chain, _told(proof, project.secrets.hide), notes))
    return found


def _tried(
    view: View,
    one: Asked,
    rest: tuple[str, ...],
    bench: Bench,
    proof: Proof,
    steps: Sequence[Observation | Unobserved],
    live: Reading,
    beside: Collection[CatalogObject],
) -> tuple[Proof, tuple[Note, ...]]:
    """What the next upgrade runs into, behind what is proved; and what the last one swallowed on its way there."""
    stands, proved = one.visited.database.current_heads, _before(one.todo, rest[0])
    rows = paths.rows_after(view.graph, stands, proved)
    trial = trials.run(view, one, rows, rest, bench)
    found: tuple[Cause, ...] = ()
    if trial.upgrade is not None:
        found = causes(trial.upgrade, steps[len(proved) :], live, beside)
    if trial.upgrade is not None and proved:
        last = trials.run(view, one, stands, one.todo, bench)
        if last.upgrade is not None:
            swallowed = [cause for cause in causes(last.upgrade, steps, live, beside) if cause.swallowed]
            found = (*(cause for cause in swallowed if cause not in found), *found)
    of_left_over = {cause for cause in found for left in proof.left_over if left.copy in cause.error}
    return replace(proof, causes=tuple(cause for cause in found if cause not in of_left_over)), trial.notes


def _observed_whole(steps: Sequence[Observation | Unobserved]) -> int:
    """How many of them, from the first on, ran to their end on the scratch database."""
    whole = (isinstance(step, Observation) and step.failure is None for step in steps)
    return next((number for number, is_whole in enumerate(whole) if not is_whole), len(steps))


def _surer(step: Observation | Unobserved, observed: RevisionEvidence, probed: RevisionEvidence) -> RevisionEvidence:
    """What a copy proves of a revision that the chain did not get to, or past; otherwise what was observed."""
    ran = isinstance(step, Observation) and step.failure is None
    return observed if ran or probed.verdict is Verdict.UNVERIFIABLE else probed


def _not_settled(proof: Proof) -> tuple[str, ...]:
    """The revisions behind those that are proved, where one of them is not there, or not wholly."""
    ids = [evidence.revision for evidence in proof.revisions]
    rest = tuple(ids[ids.index(proof.proved) + 1 :] if proof.proved else ids)
    verdicts = {evidence.revision: evidence.verdict for evidence in proof.revisions}
    return rest if any(verdicts[revision] not in _SETTLED for revision in rest) else ()


def _before(todo: Sequence[str], revision: str) -> Sequence[str]:
    return todo[: todo.index(revision)]


def _schemas(visited: Visited) -> tuple[str, ...]:
    return visited.surroundings.schemas if visited.surroundings else ()


def _asked(view: View, visited: Visited, choose: Choose) -> Asked:
    todo = tuple(choose(view.graph, visited.database))
    ahead = set(todo)
    behind = tuple(r for r in inspection.applied(view.graph, visited.database) if r not in ahead) if todo else ()
    return Asked(visited, behind, todo)


def _told(proof: Proof, hide: Callable[[str], str]) -> Proof:
    """The proof for people: without passwords in what comes from migrations, paths as they would type them."""

    def told(found: ObjectEvidence) -> ObjectEvidence:
        return replace(
            found,
            name=hide(found.name),
            detail=found.detail and hide(found.detail),
            path=found.path and shown(Path(found.path)),
            sql=found.sql and hide(found.sql),
        )

    def told_cause(cause: Cause) -> Cause:
        return replace(
            cause,
            path=cause.path and shown(Path(cause.path)),
            statement=hide(cause.statement),
            error=hide(cause.error),
            mend=hide(cause.mend),
        )

    return replace(
        proof,
        revisions=tuple(replace(r, objects=tuple(told(o) for o in r.objects)) for r in proof.revisions),
        causes=tuple(map(told_cause, proof.causes)),
    )
