"""Cache the outcome of chains that fail from empty, and of runs on copies of a live schema, by all they depend on.

A failure is cached only if its message shows that the schema or the file causes it, so that it will recur.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alembic_rescue import dialects
from alembic_rescue.evidence.observation import Chain, Observation, Unobserved
from alembic_rescue.inspection import View
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.cache import Cache
from alembic_rescue.scratch.server import LOCAL
from alembic_rescue.worker.requests import ScriptFile, Visited
from alembic_rescue.worker.scratch.runs import OwnVisit

_LASTING = re.compile(
    r"does not exist|already exists|depends? on it|violates|contains null values|cannot (drop|alter|cast|be cast)"
    r"|\b(NoSuchTable|NotImplemented)Error\b|^revisions before it fail on an empty database"
)
"""Matches the message of a failure that recurs in another run.  A timeout or a full disk does not match."""


@dataclass(frozen=True)
class Question:
    """A question, with all that its answer depends on."""

    cache: Cache
    basis: Mapping[str, Any]
    scripts: tuple[ScriptFile, ...]
    """All revisions: Alembic loads every file before it runs one."""

    def answer(self) -> Any:
        """Return the cached answer; None if there is none."""
        return self.cache.outcome(self.basis, self.scripts)

    def keep(self, outcome: Any, files: Collection[str]) -> None:
        """Cache the answer.

        Args:
            outcome: the answer.
            files: the other files of the project that the run read.
        """
        self.cache.keep_outcome(self.basis, self.scripts, outcome, files)


def of_the_chain(view: View, basis: Mapping[str, Any], visited: Visited, bench: Bench, **asked: Any) -> Question | None:
    """Return a question to the chain from empty; None if the next run may use another server."""
    identity = visited.database.identity
    kind = dialects.of_server(identity.dialect, identity.server_version).scratch
    programs = kind.programs(identity.server_version) if bench.project.scratch in {None, LOCAL} else None
    if programs is None:
        return None
    cache = Cache.of(bench.project)
    return Question(cache, {**basis, "programs": str(programs), "asked": asked}, tuple(view.scripts.scripts))


def of_a_copy(view: View, basis: Mapping[str, Any], visited: Visited, bench: Bench, **asked: Any) -> Question | None:
    """Return a question to a copy of the live schema; None if that schema cannot be told from another."""
    question = of_the_chain(view, basis, visited, bench, **asked)
    if question is None or (schema := bench.schema(visited)) is None:
        return None
    return Question(question.cache, {**question.basis, "schema": schema}, question.scripts)


def chain_lasts(chain: Chain, visited: Visited) -> bool:
    """Whether the chain would have the same outcome again: it needs nothing that somebody may install later."""
    around = visited.surroundings
    given = bool(chain.notes or chain.provided or around is None or around.extensions)
    return bool(chain.server_version) and not given and steps_last(chain.observations)


def steps_last(steps: Sequence[Observation | Unobserved]) -> bool:
    """Whether each step would have the same outcome again."""
    return all(_step_lasts(step) for step in steps)


def trial_lasts(visit: OwnVisit) -> bool:
    """Whether a run on a copy would have the same outcome again."""
    errors = [statement.error for _, statement in visit.failing] + [visit.failure.error if visit.failure else None]
    told = all(bool(_LASTING.search(error)) for error in errors if error)
    return told and (visit.failed is None or visit.failure is not None) and not visit.never_commits


def _step_lasts(step: Observation | Unobserved) -> bool:
    if isinstance(step, Observation):
        return not step.outside and (step.failure is None or bool(_LASTING.search(step.failure.error)))
    told = step.reason
    return told in {"it has no downgrade()", "its downgrade() changes nothing"} or bool(_LASTING.search(told))
