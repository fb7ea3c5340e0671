"""Chains observed once, and judged against databases at any position, without the rest of the tool."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from alembic_rescue import dialects
from alembic_rescue.dialects.postgresql.catalog import READER
from alembic_rescue.evidence import judging, locating
from alembic_rescue.evidence.model import RevisionEvidence
from alembic_rescue.evidence.observation import Observation
from alembic_rescue.model import Located
from tests import scratching
from tests.conftest import Database, ProjectCopy
from tests.servers import ROLE

_SCHEMAS = {"public", "billing"}


@dataclass(frozen=True)
class Observed:
    """What each revision of a chain did on a scratch database, which is at the chain's end."""

    steps: tuple[Observation, ...]
    scratch: Database

    def judged(self, live: Database, first: int = 0, last: int | None = None) -> tuple[RevisionEvidence, ...]:
        """Judge the revisions after position `first`, up to `last`, as if only they were in question."""
        steps = self.steps[first:last]
        if not steps:
            return ()
        beside = judging.untouched(steps)
        with _engine(live.url).connect() as connection:
            wanted = judging.looked_for(steps, _SCHEMAS)
            reading = READER.named(connection.execution_options(isolation_level="AUTOCOMMIT"), wanted)
        texts = judging.differing_texts(steps, reading, beside)
        with _engine(self.scratch.url).connect() as connection:
            answers = {text: READER.settle(connection, [text]).get(text[:2]) for text in texts}
        return judging.judge(steps, reading, answers, beside, dialects.of("postgresql").remedy)

    def of(self, revisions: Collection[str]) -> Observed:
        """Return these revisions alone, if the others are unrelated to them."""
        return replace(self, steps=tuple(step for step in self.steps if step.revision in revisions))

    def located(self, judged: Sequence[RevisionEvidence]) -> Located:
        """Return where the database is, by the verdicts of all revisions."""
        ids = [step.revision for step in self.steps]
        return locating.locate(judged, {one: {before} for before, one in pairwise(ids)})


def observe(root: Path, revisions: Sequence[str], scratch: Database, role: str = ROLE) -> Observed:
    """Run the chain of the project in `root` as the scratch worker does, redirected to `scratch`."""
    led = {"host": str(scratch.server.pgdata), "port": scratch.server.port, "database": scratch.name, "user": role}
    project = ProjectCopy(root, root.parent / "state")
    done, _ = scratching.run(project, led=led, visits=[scratching.visit(*revisions)])
    assert done.is_whole, done
    return Observed(done.visits[0].observations, scratch)


@lru_cache(maxsize=4)
def _engine(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool)
