"""Prove revisions: compare what they did on the scratch database with the live catalogs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import dropwhile
from pathlib import Path

from alembic_rescue import dialects, inspection
from alembic_rescue.client import Project
from alembic_rescue.connection.failures import shown
from alembic_rescue.dialects import Dialect
from alembic_rescue.evidence import handling, judging
from alembic_rescue.evidence.causes import causes, too_long
from alembic_rescue.evidence.doubts import WORD, in_doubt
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.observation import CatalogObject, Chain, Observation, Reading, Unobserved
from alembic_rescue.evidence.recommending import furthest_proved
from alembic_rescue.graph import path as paths
from alembic_rescue.graph.forks import several_heads
from alembic_rescue.inspection import Choose, View
from alembic_rescue.model import Blocker, Database, Note
from alembic_rescue.redact import Secrets
from alembic_rescue.scratch import probing, settling
from alembic_rescue.scratch import trial as trials
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.chain import Asked, observe
from alembic_rescue.worker.requests import Visited

_NOTHING = Reading({})
_SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])


@dataclass(frozen=True)
class Proved:
    """A selected database, and the evidence for the revisions examined there."""

    visited: Visited
    proof: Proof
    notes: tuple[Note, ...] = ()
    """What a person should know about how the evidence was found."""
    blockers: tuple[Blocker, ...] = ()
    """The sessions with a lock on what could not be read."""

    @property
    def database(self) -> Database:
        """The database, with the remarks on env.py and with all blockers."""
        seen = self.visited.database
        known = {blocker.who for blocker in self.blockers}
        blockers = (*self.blockers, *(blocker for blocker in seen.blockers if blocker.who not in known))
        return replace(seen, remarks=(*self.visited.remarks, *self.notes), blockers=blockers)


def prove(
    project: Project,
    view: View,
    choose: Choose,
    *,
    besides: Choose = lambda _, __: (),
    tried: bool = False,
    bench: Bench | None = None,
) -> list[Proved]:
    """Judge the revisions that `choose` returns, for each selected database.

    Args:
        besides: later revisions that may have run too, and may have changed the effects of these; not reported on.
        tried: run what is missing on a copy of the schema, to find what it fails on.
        bench: whose scratch server to use; None starts a separate one.

    Raises:
        RescueError: a database cannot be read.
    """
    chosen = [_asked(view, visited, choose) for visited in view.meant]
    asked = [
        replace(one, todo=(*one.todo, *besides(view.graph, one.visited.database))) if one.todo else one
        for one in chosen
    ]
    with nullcontext(bench) if bench is not None else Bench(project) as server:
        chains = observe(view, [one for one in asked if one.todo], server)
        wanted = {one.key: _looked_for(one, chains[one.key]) for one in asked if one.todo}
        readings = project.read({key: objects for key, objects in wanted.items() if objects})
        found = []
        for meant, one in zip(chosen, asked, strict=True):
            chain, live = chains.get(one.key, Chain(())), readings.get(one.key, _NOTHING)
            ran = _without_what_fails(one, chain, len(meant.todo))
            case = _Case(view, *_as_it_stands(view, *ran, live), live, server)
            proof, notes = case.proof(tried=tried)
            proof = replace(proof, revisions=tuple(r for r in proof.revisions if r.revision in meant.todo))
            found.append(Proved(one.visited, _told(proof, project.secrets), notes, live.blockers))
    return found


@dataclass(frozen=True)
class _Case:
    """One database: the revisions examined, what the chain did on a scratch database, and what really exists."""

    view: View
    asked: Asked
    chain: Chain
    live: Reading
    bench: Bench

    @property
    def dialect(self) -> Dialect:
        """The database's dialect."""
        return dialects.of(self.asked.visited.database.identity.dialect)

    @cached_property
    def beside(self) -> Collection[CatalogObject]:
        """The objects that none of these revisions touched."""
        return judging.untouched(self.chain.observations)

    def proof(self, *, tried: bool) -> tuple[Proof, tuple[Note, ...]]:
        """The proof, and what a person should know about how it was found."""
        judged, unsettled = self.judged()
        revisions, unprobed = self.with_copies(judged)
        notes = (*self.chain.notes, *unsettled, *unprobed)
        left_over = tuple(self.dialect.left_over(self.live.catalog))
        proof = Proof(revisions, furthest_proved(revisions), (), self.asked.visited.transactional, left_over)
        rest = _not_settled(proof)
        if not tried or self.chain.is_missing or not rest:
            return proof, notes
        found, untried = self.causes(rest)
        there = [one.revision for one in revisions if one.verdict is Verdict.APPLIED]  # these will not run again
        found = tuple(one for one in found if one.swallowed or one.code or one.revision not in there)
        others = tuple(cause for cause in found if not any(left.copy in cause.error for left in left_over))
        return replace(proof, causes=others), (*notes, *untried)

    def judged(self) -> tuple[tuple[RevisionEvidence, ...], tuple[Note, ...]]:
        """The verdicts, once the server has said which texts are equivalent."""
        steps = self.chain.observations
        texts = judging.differing_texts(steps, self.live, self.beside)
        stands = judging.position(steps, self.live, self.beside) if texts else 0
        over = [step.revision for step in steps if isinstance(step, Observation) and step.failure is not None]
        settled = settling.NOTHING
        if texts:
            settled = settling.settle(self.view, self.asked, texts, stands, over, self.bench)
        return judging.judge(steps, self.live, settled.answers, self.beside, self.dialect.remedy), settled.notes

    def with_copies(
        self, observed: tuple[RevisionEvidence, ...]
    ) -> tuple[tuple[RevisionEvidence, ...], tuple[Note, ...]]:
        """The verdicts, with what copies of the live schema prove from the first revision on that failed on scratch."""
        steps = self.chain.observations
        clean = _observed_whole(steps)
        if clean == len(steps) or (self.chain.is_missing and not self.bench.is_running):
            return observed, ()
        unclean = observed[clean:]
        probe = probing.probe(self.view, self.asked, self.asked.todo[clean:], self.bench)
        found = (*observed[:clean], *map(_surer, steps[clean:], unclean, probe.evidence or unclean))
        return in_doubt(found, self._words_unseen(found)), probe.notes

    def _words_unseen(self, found: Sequence[RevisionEvidence]) -> dict[str, frozenset[str]]:
        """The words in the files of revisions that ran on the live database but not on the scratch database."""
        counted = set(inspection.applied(self.view.graph, self.asked.visited.database))
        ran = {one.revision for one in found if one.is_there or one.revision in counted}
        ran -= {step.revision for step in self.chain.observations if _ran(step)}
        files = {file.revision: file.path for file in self.view.scripts.scripts if file.revision in ran}
        return {revision: frozenset(WORD.findall(_text(path))) for revision, path in files.items()}

    def causes(self, rest: tuple[str, ...]) -> tuple[tuple[Cause, ...], tuple[Note, ...]]:
        """What the next upgrade fails on, from `rest` on, and what the last upgrade swallowed on the way there."""
        steps, todo, stands = self.chain.observations, self.asked.todo, self.asked.visited.database.stands_at
        proved = todo[: todo.index(rest[0])]
        ahead = steps[len(proved) :]
        trial = trials.run(self.view, self.asked, paths.rows_after(self.view.graph, stands, proved), rest, self.bench)
        found = tuple(self._foreseen(ahead))
        forked = several_heads(
            self.view.graph, stands, {file.revision: str(file.path) for file in self.view.scripts.scripts}
        )
        if trial.upgrade is None:
            return (*found, *forked), trial.notes
        found = (*found, *causes(trial.upgrade, ahead, self.live, self.beside))
        if proved:
            last = trials.run(self.view, self.asked, stands, todo, self.bench)
            if last.upgrade is not None:
                of_the_last = causes(last.upgrade, steps, self.live, self.beside)
                known = [(cause.code, cause.place) for cause in found]
                swallowed = [c for c in of_the_last if (c.swallowed or c.code) and (c.code, c.place) not in known]
                found = (*swallowed, *found)
            found = (*handling.unrecorded(steps[: len(proved)]), *found)
        return (*found, *forked), trial.notes

    def _foreseen(self, ahead: Sequence[Observation | Unobserved]) -> Iterator[Cause]:
        """What these revisions meet on the live server, whatever happens on a copy."""
        visited = self.asked.visited
        database = visited.database
        yield from too_long(ahead, database.id_limit, database.identity.table, database.widen)
        if visited.surroundings is not None:
            yield from self.dialect.barred(visited.surroundings, ahead)


def _without_what_fails(one: Asked, chain: Chain, chosen: int) -> tuple[Asked, Chain]:
    """Drop the besides revisions, from the first one on that did not run on the scratch database."""
    steps = chain.observations
    ran = chosen + _observed_whole(steps[chosen:])
    return replace(one, todo=one.todo[:ran]), replace(chain, observations=steps[:ran])


def _as_it_stands(view: View, one: Asked, chain: Chain, live: Reading) -> tuple[Asked, Chain]:
    """The same revisions; with several branches, those that ran first."""
    follows = {revision: paths.follows(view.graph, revision) for revision in one.todo}
    found = judging.order(chain.observations, follows, live)
    steps = tuple(chain.observations[number] for number in found)
    return replace(one, todo=tuple(one.todo[number] for number in found)), replace(chain, observations=steps)


def _looked_for(one: Asked, chain: Chain) -> Collection[CatalogObject]:
    """The live objects that the judgement needs."""
    around, schema = one.visited.surroundings, one.visited.database.identity.schema
    schemas = {"public", schema or "public", *(around.schemas if around else ())}
    return judging.looked_for(chain.observations, schemas)


def _observed_whole(steps: Sequence[Observation | Unobserved]) -> int:
    """How many of them, from the first on, ran to their end on the scratch database."""
    return next((number for number, step in enumerate(steps) if not _ran(step)), len(steps))


def _ran(step: Observation | Unobserved) -> bool:
    return isinstance(step, Observation) and step.failure is None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _surer(step: Observation | Unobserved, observed: RevisionEvidence, probed: RevisionEvidence) -> RevisionEvidence:
    """The evidence from a copy for a revision that the chain did not complete; otherwise what was observed."""
    return observed if _ran(step) or probed.verdict is Verdict.UNVERIFIABLE else probed


def _not_settled(proof: Proof) -> tuple[str, ...]:
    """The revisions after those that exist, if at least one of them is missing or partial."""
    rest = tuple(dropwhile(lambda evidence: evidence.is_there or evidence.verdict is Verdict.EMPTY, proof.revisions))
    unsettled = any(evidence.verdict not in _SETTLED and not evidence.is_there for evidence in rest)
    return tuple(evidence.revision for evidence in rest) if unsettled else ()


def _asked(view: View, visited: Visited, choose: Choose) -> Asked:
    todo = tuple(choose(view.graph, visited.database))
    ahead = set(todo)
    behind = tuple(r for r in inspection.applied(view.graph, visited.database) if r not in ahead) if todo else ()
    return Asked(visited, behind, todo)


def told_cause(cause: Cause, secrets: Secrets) -> Cause:
    """The cause as shown to people: see :func:`_told`."""
    return replace(
        cause,
        path=cause.path and shown(Path(cause.path)),
        statement=secrets.hide_sql(cause.statement),
        error=secrets.hide(cause.error),
        fix=secrets.hide_sql(cause.fix),
    )


def _told(proof: Proof, secrets: Secrets) -> Proof:
    """The proof as shown to people: without secrets from migrations, and with paths as people type them.

    A statement with a secret is not offered; its location is.
    """
    hide_sql = secrets.hide_sql

    def told(found: ObjectEvidence) -> ObjectEvidence:
        path = found.path and shown(Path(found.path))
        detail = found.detail and secrets.hide_value(found.name, found.detail)
        sql = found.sql if found.sql and hide_sql(found.sql) == found.sql else None
        if found.sql and sql is None and path:
            where = f"{path}, line {found.line}" if found.line else path
            detail = f"{f'{detail}; ' if detail else ''}what makes it so holds a secret, and is not shown: see {where}"
        return replace(found, name=hide_sql(found.name), detail=detail, path=path, sql=sql)

    return replace(
        proof,
        revisions=tuple(replace(r, objects=tuple(told(o) for o in r.objects)) for r in proof.revisions),
        causes=tuple(told_cause(cause, secrets) for cause in proof.causes),
    )
