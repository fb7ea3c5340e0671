"""The caller's side of the scratch database: what is kept is taken, and only the rest is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alembic_rescue.client import Project
from alembic_rescue.evidence.observation import Chain, Reading, Unobserved
from alembic_rescue.inspection import View
from alembic_rescue.worker.requests import Visited

Key = tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """The revisions that are in question for one database."""

    visited: Visited
    behind: tuple[str, ...]
    """What must run first, in order."""
    todo: tuple[str, ...]
    """What is to be observed, in order."""


def observe(project: Project, view: View, asked: Sequence[Asked]) -> dict[Key, Chain]:
    """What each revision in question did on a scratch database, or why that is not known."""
    del project, view
    return {
        one.visited.database.identity.rows_key: Chain(tuple(Unobserved(r, "not observed yet") for r in one.todo))
        for one in asked
    }


def settled(project: Project, view: View, asked: Asked, chain: Chain, live: Reading) -> Mapping[Any, bool | None]:
    """Whether texts that are spelled otherwise mean the same."""
    del project, view, asked, chain, live
    return {}
