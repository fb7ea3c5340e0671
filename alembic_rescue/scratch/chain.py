"""Find out what each revision in question does: from the cache, or by running it on scratch databases.

A revision that fails ends its worker.  It is reported and stamped over, and the chain continues after it in a new
worker.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alembic_rescue import dialects, errors
from alembic_rescue.connection.failures import shown
from alembic_rescue.dialects.scratch import Place, Prepared, Unavailable
from alembic_rescue.evidence.observation import Chain, Failure, Observation, Unobserved
from alembic_rescue.inspection import View
from alembic_rescue.model import Identity, Note
from alembic_rescue.scratch import outcomes
from alembic_rescue.scratch.bench import Address, Bench
from alembic_rescue.scratch.cache import Cache
from alembic_rescue.worker import sources
from alembic_rescue.worker.requests import Progress, ScriptFile, Visited
from alembic_rescue.worker.scratch.runs import ChainRun, ScratchVisit

Key = tuple[str, str]
NO_SCRATCH = "it was not observed, because no scratch database is available"
ON_SCRATCH = "on the scratch database"
_MOST_FAILURES = 5
"""Revisions to stamp over before giving up: the later ones would fail because those are missing."""


@dataclass(frozen=True)
class Asked:
    """The revisions in question for one database."""

    visited: Visited
    behind: tuple[str, ...]
    """Revisions that must run first, in order."""
    todo: tuple[str, ...]
    """Revisions to observe, in order."""

    @property
    def key(self) -> Key:
        """The key of its rows."""
        return self.visited.database.identity.rows_key


def observe(view: View, asked: Sequence[Asked], bench: Bench) -> dict[Key, Chain]:
    """Return what each revision in question did on a scratch database, or why that is unknown."""
    files = {file.revision: file for file in view.scripts.scripts}
    cache = Cache.of(bench.project)
    kept = {one.key: _kept(cache, basis_of(view, one, bench), one, files) for one in asked}
    failing = {one.key: _failing(view, one, bench) for one in asked if kept[one.key] is None}
    kept |= {key: question.answer() for key, question in failing.items() if question is not None}
    missing = [one for one in asked if kept[one.key] is None]
    found = {key: chain for key, chain in kept.items() if chain is not None}
    if not missing:
        return found
    try:
        run = _Runs(view, missing, bench)
        run.to_the_end()
    except errors.RescueError as error:
        asked_for = bench.project.scratch not in {None, "none"}
        if asked_for or isinstance(error, (errors.BaselineFailed, errors.BadConfig, errors.ModuleMissing)):
            raise
        sent = _offline(missing, bench)
        return found | {one.key: _unobserved(one, error, sent) for one in missing}
    for one in missing:
        found[one.key] = chain = run.chain(one)
        scripts = [files[revision] for revision in (*one.behind, *one.todo)]
        if not run.failed_behind:
            cache.store(basis_of(view, one, bench), scripts, chain.observations, run.files)
        if (question := failing[one.key]) and outcomes.chain_lasts(chain, one.visited):
            question.keep(chain, run.files)
    return found


def _kept(cache: Cache, basis: Mapping[str, Any], one: Asked, files: Mapping[str, ScriptFile]) -> Chain | None:
    keys = cache.keys(basis, [files[revision] for revision in (*one.behind, *one.todo)])[len(one.behind) :]
    observations = cache.load(keys)
    return Chain(tuple(observations[key] for key in keys)) if len(observations) == len(set(keys)) else None


def _failing(view: View, one: Asked, bench: Bench) -> outcomes.Question | None:
    """Return the question whose cached answer is the whole outcome of a chain that does not run from empty.

    Of such a chain, the effects of single revisions are not cached.
    """
    asked = {"behind": one.behind, "todo": one.todo}
    return outcomes.of_the_chain(view, basis_of(view, one, bench), one.visited, bench, chain=asked)


def basis_of(view: View, one: Asked, bench: Bench) -> dict[str, Any]:
    """Return what the outcome depends on besides the revision files."""
    project, identity = bench.project, one.visited.database.identity
    around = one.visited.surroundings
    in_question = {*one.behind, *one.todo}
    by_name = any(file.asks_for_the_database for file in view.scripts.scripts if file.revision in in_question)
    return {
        "env": _digest(project.loaded.env),
        "options": project.loaded.options,
        "named": [project.named.section, project.named.x, project.named.config_from, project.named.app],
        "database": identity.database if by_name else "",
        "dialect": identity.dialect,
        "server": identity.server_version,
        "scratch": project.scratch,
        "baseline": project.baseline and _digest(project.baseline),
        "tables": [_table(v.database.identity) for v in view.scripts.visited],
        "visit": [v.database.identity.rows_key for v in view.scripts.visited].index(one.key),
        "role": around and around.role,
        "superuser": around and around.superuser,
        "first role": around and around.first_role,
        "schemas": around and around.schemas,
        "driver": one.visited.driver,
        "versions": project.loaded.versions,
        "environment": sources.environment(os.environ),
        "installed": project.loaded.installed,
    }


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _table(identity: Identity) -> list[str | None]:
    return [identity.version_table_schema, identity.version_table, identity.version_table_found_in]


def _unobserved(one: Asked, error: errors.RescueError, sent: Mapping[str, str]) -> Chain:
    """Return a chain with the reason as one finding, and for each revision the SQL that it would send."""
    note = Note(error.code, error.message, error.help)
    return Chain(tuple(Unobserved(r, NO_SCRATCH, "", sent.get(r, "")) for r in one.todo), notes=(note,))


def _offline(asked: Sequence[Asked], bench: Bench) -> Mapping[str, str]:
    """Return the SQL of each revision, as in ``alembic upgrade --sql``; nothing if env.py does not support that."""
    revisions = tuple(dict.fromkeys(revision for one in asked for revision in one.todo))
    try:
        told: Mapping[str, str] = bench.ask("offline", loading=bench.project.named, revisions=revisions)
    except errors.RescueError:
        return {}
    return told


def hear_steps(bench: Bench, where: str = "on a copy of the schema") -> Callable[[Any], None]:
    """Return a callback that reports only the progress of a chain."""

    def hear(said: Any) -> None:
        if isinstance(said, Mapping) and "of" in said:
            bench.project.hear(_progress(said, where))

    return hear


def _progress(said: Mapping[str, Any], where: str) -> Progress:
    return Progress(f"Running the migrations {where}", said["number"], said["of"], said["revision"])


def load_baseline(
    view: View, places: Mapping[Address, Place], bench: Bench, loaded: Collection[str] = ()
) -> frozenset[str]:
    """Load ``--baseline``, the schema that existed before the first revision, into the databases at `places`.

    Args:
        loaded: names of the databases that have it already.

    Returns:
        The names of the databases that have it now.

    Raises:
        BaselineFailed: it does not load.
    """
    file, names = bench.project.baseline, frozenset(place.database for place in places.values())
    if file is None or names.issubset(loaded):
        return frozenset(loaded)
    bench.prepare(places, view)
    server = bench.server(view.scripts.visited[0])
    for place in places.values():
        failed = dialects.of(place.dialect).scratch.baseline(server, file, place.database, place.role)
        if isinstance(failed, Unavailable):
            raise errors.BaselineFailed(str(file), failed.reason)
        if failed:
            raise errors.BaselineFailed(failed[0].what, failed[0].reason)
    return names


@dataclass
class _Runs:
    """One chain, run by one worker after another."""

    view: View
    asked: Sequence[Asked]
    bench: Bench
    observations: dict[tuple[int, str], Observation | Unobserved] = field(default_factory=dict)
    """By visit and revision."""
    over: dict[str, None] = field(default_factory=dict)
    """The revisions that failed and are stamped over."""
    files: set[str] = field(default_factory=set)
    failed_behind: Failure | None = None
    """The failure of a revision that only had to run first."""
    unvisited: frozenset[int] = frozenset()
    env_failure: Failure | None = None
    server_version: str = ""
    provided: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    _current: tuple[int, str] | None = None
    _with_baseline: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        visited = self.view.scripts.visited
        self.places = self.bench.placed(self.view)
        by_key = {one.key: one for one in self.asked}
        self.visits = []
        for one in visited:
            identity = one.database.identity
            wanted = by_key.get(identity.rows_key)
            behind, todo = (wanted.behind, wanted.todo) if wanted else ((), ())
            self.visits.append(ScratchVisit(identity.version_table_schema, identity.version_table, behind, todo))

    def to_the_end(self) -> None:
        """Run the chain, continuing after each failure.

        Raises:
            RescueError: there is no scratch database.
        """
        self._run_on()
        if self._lacked_something():
            self._start_anew_with_everything_provided()
            self._run_on()

    def _run_on(self) -> None:
        for _ in range(_MOST_FAILURES + 1):
            self._with_baseline |= load_baseline(self.view, self.places, self.bench, self._with_baseline)
            run = self._one_run()
            failed = self._taken(run)
            if not failed or self.failed_behind:
                return

    def _one_run(self) -> ChainRun | None:
        """Run the chain in one worker; return None if the worker did not finish."""
        bench = self.bench
        self._current = None
        try:
            observed = bench.run(
                "observe",
                self.places,
                self.view,
                self._hear,
                self._prepared,
                visits=tuple(self.visits),
                stamped_over=tuple(self.over),
            )
        except (errors.WorkerDied, errors.WorkerSilent) as error:
            if self._current is None:
                raise
            self._failed(*self._current, Failure(ended(error), "", None))
            return None
        self.files |= set(observed.files) - set(bench.project.loaded.files)
        run: ChainRun = observed.run
        return run

    def _prepared(self, made: Prepared) -> None:
        self.server_version = made.server_version
        self.provided, self.lacking = (*self.provided, *made.provided), (*self.lacking, *made.lacking)

    def _hear(self, said: Any) -> None:
        if not isinstance(said, Mapping):
            self.bench.project.hear(said)
        elif "observed" in said:
            self._keep(said["visit"], said["observed"])
        else:
            self._current = (said["visit"], said["revision"])
            self.bench.project.hear(_progress(said, ON_SCRATCH))

    def _taken(self, run: ChainRun | None) -> bool:
        """Record the outcome of a run, and return whether a revision failed, so that another run is needed."""
        if run is None:
            return True
        self.unvisited, self.env_failure = frozenset(run.unvisited), run.error
        self._refuse_a_broken_file(run.error)
        failed = False
        for visit in run.visits:
            for observation in visit.observations:
                self._keep(visit.visit, observation)
            if visit.failed is not None:
                failed = True
                self._failed(visit.visit, visit.failed, visit.failure or Failure("it failed", "", None))
        return failed

    def _refuse_a_broken_file(self, failure: Failure | None) -> None:
        """Raise if a revision file cannot be loaded, because Alembic loads all of them before it runs one."""
        if failure is None or not any(str(file.path) == failure.path for file in self.view.scripts.scripts):
            return
        place = f"{shown(Path(failure.path))}:{failure.line}"
        if missing := re.search(r"ModuleNotFoundError: No module named '([^']+)'", failure.error):
            raise errors.ModuleMissing(missing[1], place)
        raise errors.BadConfig(place, failure.error)

    def _keep(self, visit: int, observation: Observation) -> None:
        if observation.revision not in self.over:  # a revision that is stamped over did nothing
            self.observations[visit, observation.revision] = observation

    def _failed(self, visit: int, revision: str, failure: Failure) -> None:
        self.over[revision] = None
        if revision in self.visits[visit].todo:
            known = self.observations.get((visit, revision))
            base = known if isinstance(known, Observation) else Observation(revision)
            self.observations[visit, revision] = replace(base, failure=base.failure or failure)
        else:
            self.failed_behind = failure

    def _lacked_something(self) -> bool:
        """Whether the failure may be due to objects that were created by hand on the live database."""
        around = [place.surroundings for place in self.places.values() if place.surroundings]
        given = any(a.extensions or set(a.schemas) - {"public"} for a in around)
        failed = self.failed_behind or self.over or self.unvisited or self.env_failure
        return bool(failed) and given and not any(place.provided for place in self.places.values())

    def _start_anew_with_everything_provided(self) -> None:
        self.observations.clear()
        self.over.clear()
        self.failed_behind = self.env_failure = None
        self.provided = ()
        for address, place in self.places.items():
            self.places[address] = replace(place, provided=True, database=f"{place.database}_2")

    def chain(self, one: Asked) -> Chain:
        """Return the outcome for one database."""
        keys = [visited.database.identity.rows_key for visited in self.view.scripts.visited]
        number = keys.index(one.key)
        found = [
            self.observations.get((number, revision)) or Unobserved(revision, *self._why_not(number))
            for revision in one.todo
        ]
        return Chain(tuple(found), self.server_version, self.provided, tuple(self._notes()))

    def _notes(self) -> Iterator[Note]:
        if self.bench.told:
            told = "; ".join(dict.fromkeys(self.bench.told))
            yield Note("scratch-server", told, "differences that come only from the version or locale may be reported")
        if self.provided:
            yield Note(
                "provided-first",
                f"created on the scratch database first, as on this one: {', '.join(dict.fromkeys(self.provided))}",
                "the migrations expect it; whether it is what they expect was not checked",
            )
        if self.lacking:
            names = [name.partition(" ")[2] for name in dict.fromkeys(self.lacking)]
            missing = errors.ExtensionMissing(names, f"PostgreSQL {self.server_version}")
            yield Note(missing.code, missing.message, missing.help)

    @property
    def _baseline(self) -> str:
        """The advice to pass ``--baseline``, if it was not passed."""
        return (
            ""
            if self.bench.project.baseline
            else ". Pass what existed before the first revision with `--baseline FILE.sql`"
        )

    def _why_not(self, number: int) -> tuple[str, str]:
        if self.failed_behind:
            failure = self.failed_behind
            where = f" at {failure.path}:{failure.line}" if failure.line else ""
            return f"the chain fails on an empty database: {failure.error}{where}{self._baseline}", ""
        if number in self.unvisited:
            if self.env_failure:
                return f"env.py fails on an empty database: {self.env_failure.error}", ""
            return "env.py does not visit this database when it is empty", ""
        if self.over:
            return f"revisions before it fail on an empty database: {', '.join(self.over)}{self._baseline}", ""
        if self.env_failure:
            return f"env.py fails on the scratch database: {self.env_failure.error}", ""
        return "the run on the scratch database did not get to it", ""


def ended(error: errors.RescueError) -> str:
    """Return how a worker that ran a revision ended, worded for a sentence."""
    if isinstance(error, errors.WorkerSilent):
        return f"it did not end within {error.seconds:g} s (--revision-timeout)"
    return f"the process that ran it {getattr(error, 'how', 'ended')}"
