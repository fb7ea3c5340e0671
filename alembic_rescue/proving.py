"""The evidence for ranges of revisions: what the scratch database saw them do, held against the live catalogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from alembic_rescue import inspection
from alembic_rescue.client import Project
from alembic_rescue.evidence import judging
from alembic_rescue.evidence.model import ObjectEvidence, Proof
from alembic_rescue.evidence.observation import Chain, Reading
from alembic_rescue.evidence.recommending import furthest_proved
from alembic_rescue.inspection import Choose, View
from alembic_rescue.scratch import chain as chains
from alembic_rescue.scratch import settling
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.chain import Asked
from alembic_rescue.worker.requests import Visited

_NOTHING = Reading({})


@dataclass(frozen=True)
class Proved:
    """A database that is meant, and the evidence for the revisions that are in question there."""

    visited: Visited
    chain: Chain
    proof: Proof


def prove(project: Project, view: View, choose: Choose) -> list[Proved]:
    """Judge the revisions that `choose` names, for each database that is meant.

    Raises:
        RescueError: a database cannot be read.
    """
    with Bench(project) as bench:
        return _prove(project, view, choose, bench)


def _prove(project: Project, view: View, choose: Choose, bench: Bench) -> list[Proved]:
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
        revisions = judging.judge(steps, live, answers, beside)
        proof = Proof(revisions, furthest_proved(revisions), (), one.visited.transactional)
        found.append(Proved(one.visited, chain, _without_secrets(proof, project.secrets.hide)))
    return found


def _schemas(visited: Visited) -> tuple[str, ...]:
    return visited.surroundings.schemas if visited.surroundings else ()


def _asked(view: View, visited: Visited, choose: Choose) -> Asked:
    todo = tuple(choose(view.graph, visited.database))
    ahead = set(todo)
    behind = tuple(r for r in inspection.applied(view.graph, visited.database) if r not in ahead) if todo else ()
    return Asked(visited, behind, todo)


def _without_secrets(proof: Proof, hide: Callable[[str], str]) -> Proof:
    """The proof with the passwords taken out of all text that comes from migrations."""

    def told(found: ObjectEvidence) -> ObjectEvidence:
        return replace(
            found,
            name=hide(found.name),
            detail=found.detail and hide(found.detail),
            sql=found.sql and hide(found.sql),
        )

    return replace(
        proof,
        revisions=tuple(replace(r, objects=tuple(told(o) for o in r.objects)) for r in proof.revisions),
        causes=tuple(
            replace(c, statement=hide(c.statement), error=hide(c.error), mend=hide(c.mend)) for c in proof.causes
        ),
    )
