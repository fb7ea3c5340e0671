"""Run a chain from empty: the earlier revisions, the revisions in question, then the comparison with the models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alembic_rescue import errors
from alembic_rescue.dialects.scratch import Place, Prepared
from alembic_rescue.evidence.consequences import follows_another
from alembic_rescue.evidence.observation import Failure
from alembic_rescue.from_empty.reaching import ON_EMPTY, Ground, place_of
from alembic_rescue.scratch.bench import Address, Bench
from alembic_rescue.scratch.chain import ended, hear_steps, load_baseline
from alembic_rescue.worker.scratch.reached import Compared
from alembic_rescue.worker.scratch.runs import ChainRun, OwnRun, OwnVisit, ScratchVisit

Places = dict[Address, Place]
_TOO_LONG = re.compile(r"too long|truncat", re.IGNORECASE)
_NO_EXTENSION = re.compile(
    r'extension "([^"]+)" is not available|extension control file "(?:[^"]*/)?([^/"]+)\.control"'
)


@dataclass(frozen=True)
class Todo:
    """The revisions to run on one of the databases, those of `before` first."""

    before: tuple[str, ...] = ()
    revisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """The result of the runs."""

    visits: Mapping[int, OwnVisit]
    """By number; a visit that env.py did not make is absent."""
    failure: Failure | None
    """The error with which env.py failed outside of a revision."""
    limits: tuple[int | None, ...]
    """Characters that each version table holds, if an id did not fit; empty if all ids fit."""
    compared: tuple[Compared, ...]
    server_version: str


def run(ground: Ground, todo: Sequence[Todo], reference: str, bench: Bench) -> Ran:
    """Run everything; if an id does not fit into the version table, run it again with a wider column.

    Args:
        todo: one for each of env.py's visits.
        reference: the point in git at which the earlier revisions exist.

    Raises:
        ReferenceFails: an earlier revision fails.
        ExtensionMissing: the scratch server lacks what the chain needs.
        RescueError: the scratch server, or a worker, fails.
    """
    runs = _Runs(ground, todo, reference, bench)
    places, own = runs.once(runs.places())
    limits: tuple[int | None, ...] = ()
    if _may_not_have_fitted(own):
        wide = runs.places()
        held: tuple[int | None, ...] = runs.ask("widen", wide, visits=runs.visits(tuple(_all(one) for one in todo)))
        if any(limit is not None and len(r) > limit for limit, one in zip(held, todo, strict=True) for r in _all(one)):
            limits = held
            places, own = runs.once(wide)
    _refuse_for_want_of_extensions(own, runs.server)
    whole = own.error is None and all(one.failed is None and not one.never_commits for one in own.visits)
    compared = runs.ask("compare_models", places, visits=runs.visits()) if whole and own.visits else ()
    return Ran({one.visit: one for one in own.visits}, own.error, limits, compared, runs.server_version)


def _all(todo: Todo) -> tuple[str, ...]:
    return (*todo.before, *todo.revisions)


def _may_not_have_fitted(own: OwnRun) -> bool:
    return any(one.failure is not None and _TOO_LONG.search(one.failure.error) for one in own.visits)


def _refuse_for_want_of_extensions(own: OwnRun, server: str) -> None:
    """Raise if the run ended because the server lacks an extension, which is not the chain's fault.

    A chain that handles the error in a SAVEPOINT goes on.
    """
    told = [text for visit in own.visits if visit.failure is not None for text in _ending(visit, visit.failure)]
    found = [one[1] or one[2] for text in told for one in [_NO_EXTENSION.search(text)] if one]
    if found:
        raise errors.ExtensionMissing(list(dict.fromkeys(found)), server)


def _ending(visit: OwnVisit, failure: Failure) -> list[str]:
    """Return the error that ended a run, and earlier errors of which it may be only a consequence."""
    before = [one.error or "" for _, one in visit.failing] if follows_another(failure.error) else []
    return [failure.error, *before]


@dataclass
class _Runs:
    ground: Ground
    todo: Sequence[Todo]
    reference: str
    bench: Bench
    server_version: str = ""
    _made: int = 0
    _heard: list[tuple[int, str]] = field(default_factory=list)

    @property
    def server(self) -> str:
        """Dialect and version, worded for a sentence."""
        dialect = self.ground.view.scripts.visited[0].database.identity.dialect
        return f"{dialect} {self.server_version}"

    def places(self) -> Places:
        """Create new empty databases, and load the baseline into them."""
        self._made += 1
        places = self.bench.placed(self.ground.view, f"_{self._made}" if self._made > 1 else "")
        load_baseline(self.ground.view, places, self.bench)
        return places

    def visits(self, todo: Sequence[Sequence[str]] = ()) -> tuple[ScratchVisit, ...]:
        """Return env.py's visits, by default with no revisions to run."""
        return tuple(self._visit(number, (), todo[number] if todo else ()) for number in range(len(self.todo)))

    def once(self, places: Places) -> tuple[Places, OwnRun]:
        """Run the earlier revisions, then the others as the project runs them."""
        if any(one.before for one in self.todo):
            brought = self.ask("bring", places, visits=tuple(self._brought()))
            self._refuse_what_does_not_run(brought)
        own = self.ask("run_from_empty", places, visits=self.visits([one.revisions for one in self.todo]))
        return places, own

    def _brought(self) -> Iterator[ScratchVisit]:
        return (self._visit(number, one.before, ()) for number, one in enumerate(self.todo))

    def _visit(self, number: int, before: Sequence[str], todo: Sequence[str]) -> ScratchVisit:
        identity = self.ground.view.scripts.visited[number].database.identity
        return ScratchVisit(identity.version_table_schema, identity.version_table, tuple(before), tuple(todo))

    def _refuse_what_does_not_run(self, brought: ChainRun | OwnRun) -> None:
        for one in brought.visits:
            if one.failed is not None and one.failure is not None:
                raise errors.ReferenceFails(self.reference, one.failed, one.failure.error, place_of(one.failure))
        if brought.error is not None:
            raise errors.ReferenceFails(self.reference, "env.py", brought.error.error)

    def ask(self, operation: str, places: Places, **arguments: Any) -> Any:
        """Run an operation in a worker; if the worker ends during a revision, that revision failed."""
        self._heard.clear()
        steps = hear_steps(self.bench, ON_EMPTY)

        def hear(said: Any) -> None:
            if isinstance(said, Mapping) and "revision" in said:
                self._heard.append((said["visit"], said["revision"]))
            steps(said)

        try:
            return self.bench.run(
                operation,
                places,
                self.ground.view,
                hear,
                self._prepared,
                stand_in=self.ground.stand_in,
                **arguments,
            )
        except (errors.WorkerDied, errors.WorkerSilent) as error:
            if not self._heard:
                raise
            visit, failed = self._heard[-1]
            ran = tuple(revision for number, revision in self._heard[:-1] if number == visit)
            files = {file.revision: str(file.path) for file in self.ground.view.scripts.scripts}
            failure = Failure(ended(error), files[failed], None)
            return OwnRun((OwnVisit(visit, ran, failed=failed, failure=failure),))

    def _prepared(self, made: Prepared) -> None:
        self.server_version = made.server_version
