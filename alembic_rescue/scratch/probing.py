"""The fallback for a chain that does not run from an empty database: try its revisions on copies of the live schema.

There are two copies, because each way changes its own: see :mod:`alembic_rescue.worker.scratch.fallback`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alembic_rescue import dialects, errors
from alembic_rescue.dialects.scratch import Lack, Unavailable
from alembic_rescue.evidence.copies import judged
from alembic_rescue.evidence.model import RevisionEvidence
from alembic_rescue.graph import path as paths
from alembic_rescue.inspection import View
from alembic_rescue.model import Note
from alembic_rescue.scratch import outcomes
from alembic_rescue.scratch.bench import Bench, address_of
from alembic_rescue.scratch.chain import Asked, basis_of, hear_steps
from alembic_rescue.scratch.trial import copied, visits_of


@dataclass(frozen=True)
class Probe:
    """The result of :func:`probe`."""

    evidence: tuple[RevisionEvidence, ...] = ()
    notes: tuple[Note, ...] = ()
    """Why there is no evidence."""


def probe(view: View, one: Asked, todo: Sequence[str], bench: Bench) -> Probe:
    """Try the revisions `todo`, the last ones in question, on copies.  Never raises: a failure becomes a note."""
    before = paths.rows_after(view.graph, (), [r for r in (*one.behind, *one.todo) if r not in set(todo)])
    after = paths.rows_after(view.graph, before, tuple(todo))
    asked = {"before": before, "after": after, "todo": tuple(todo)}
    files: set[str] = set()
    lacks: list[Lack] = []
    try:
        question = outcomes.of_a_copy(view, basis_of(view, one, bench), one.visited, bench, probe=asked)
        kept = question and question.answer()
        upward, down_and_up = kept or (
            _on_a_copy(view, one, "upward", before, todo, bench, files, lacks),
            _on_a_copy(view, one, "down_and_up", after, todo, bench, files, lacks),
        )
    except errors.RescueError as error:
        return _not_probed(error.message)
    if isinstance(upward, str) or isinstance(down_and_up, str):
        return _not_probed(upward if isinstance(upward, str) else str(down_and_up))
    if question and not kept and not lacks and outcomes.steps_last((*upward.steps, *down_and_up.steps)):
        question.keep((upward, down_and_up), files)
    remedy = dialects.of(one.visited.database.identity.dialect).remedy
    return Probe(judged(upward.steps, down_and_up.steps, upward.copy, down_and_up.copy, upward.opposites, remedy))


def _not_probed(reason: str) -> Probe:
    return Probe(
        notes=(
            Note(
                "copies-not-asked",
                f"revisions that the chain did not reach could not be tried on copies of the schema: {reason}",
                "those revisions are unverifiable",
            ),
        )
    )


def _on_a_copy(
    view: View,
    one: Asked,
    way: str,
    rows: Sequence[str],
    todo: Sequence[str],
    bench: Bench,
    files: set[str],
    lacks: list[Lack],
) -> Any:
    """Return what the worker found, or why it found nothing.

    Args:
        files: the files that it read are added.
        lacks: what the copy lacks is added.
    """
    places = bench.placed(view, f"_{way}")
    made = copied(view, one, places[address_of(one.visited)], rows, bench)
    if isinstance(made, Unavailable):
        return made.reason
    lacks += made.lacks
    found = bench.run(
        "probe",
        places,
        view,
        hear_steps(bench),
        read=files.update,
        way=way,
        visits=visits_of(view, one, (), tuple(todo)),
    )
    keys = [visited.database.identity.rows_key for visited in view.scripts.visited]
    own = [probed for probed in found if probed.visit == keys.index(one.key)]
    return own[0] if own else "env.py does not visit the copy"
