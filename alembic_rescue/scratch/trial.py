"""Run the pending revisions on a copy of the live schema, in the project's own transactions, to see what fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alembic_rescue import dialects, errors
from alembic_rescue.dialects.scratch import Copy, Place, Unavailable
from alembic_rescue.evidence.causes import Upgrade
from alembic_rescue.inspection import View
from alembic_rescue.model import Note
from alembic_rescue.scratch import outcomes
from alembic_rescue.scratch.bench import Bench, address_of
from alembic_rescue.scratch.chain import Asked, basis_of, hear_steps
from alembic_rescue.scratch.outcomes import Question
from alembic_rescue.worker.scratch.runs import OwnRun, OwnVisit, ScratchVisit

_NO_VISIT = OwnVisit(0)


@dataclass(frozen=True)
class Trial:
    """One run of the pending revisions."""

    upgrade: Upgrade | None = None
    """None if there was no copy to run them on."""
    notes: tuple[Note, ...] = ()
    visit: OwnVisit = _NO_VISIT
    """What the worker reported."""


def run(view: View, one: Asked, rows: Sequence[str], todo: Sequence[str], bench: Bench) -> Trial:
    """Run `todo` on a copy of the live schema whose version table has `rows`.

    Never raises: if there is no copy, a note says so.
    """
    try:
        return attempt(view, one, rows, todo, bench)
    except errors.NotRehearsed as error:
        return Trial(None, (_not_tried(error.reason),))
    except errors.RescueError as error:
        return Trial(None, (_not_tried(error.message),))


def attempt(view: View, one: Asked, rows: Sequence[str], todo: Sequence[str], bench: Bench) -> Trial:
    """Like :func:`run`, but raise.  A trial that was run already is not run again.

    Raises:
        NotRehearsed: there is no copy to run them on.
        RescueError: the scratch server or a worker fails.
    """
    asked = one.key, tuple(rows), tuple(todo)
    if asked not in bench.kept:
        bench.kept[asked] = _attempt(view, one, rows, tuple(todo), bench)
    kept: Trial = bench.kept[asked]
    return kept


def _attempt(view: View, one: Asked, rows: Sequence[str], todo: tuple[str, ...], bench: Bench) -> Trial:
    basis = basis_of(view, one, bench)
    question = outcomes.of_a_copy(view, basis, one.visited, bench, trial={"rows": tuple(rows), "todo": todo})
    own, lacking = (question and question.answer()) or _tried(view, one, rows, todo, bench, question)
    upgrade = Upgrade(own.failing, own.failed, own.failure, own.transactional, lacking, own.unheard, own.handling)
    return Trial(upgrade, visit=own)


def _tried(
    view: View, one: Asked, rows: Sequence[str], todo: tuple[str, ...], bench: Bench, question: Question | None
) -> tuple[OwnVisit, tuple[str, ...]]:
    """Run on a new copy; return the outcome, and what the copy lacks."""
    places = bench.placed(view, "_copy")
    files: set[str] = set()
    place = places[address_of(one.visited)]
    made = copied(view, one, place, rows, bench)
    if isinstance(made, Unavailable):
        raise errors.NotRehearsed(made.reason)
    ran: OwnRun = bench.run(
        "upgrade",
        places,
        view,
        hear_steps(bench),
        read=files.update,
        visits=visits_of(view, one, (), todo),
    )
    keys = [visited.database.identity.rows_key for visited in view.scripts.visited]
    own = next((visit for visit in ran.visits if visit.visit == keys.index(one.key)), None)
    if own is None:
        raise errors.NotRehearsed(ran.error.error if ran.error else "env.py does not visit the copy")
    tried = own, tuple(lack.what for lack in made.lacks)
    if question is not None and not made.lacks and ran.error is None and outcomes.trial_lasts(own):
        question.keep(tried, files)
    return tried


def visits_of(view: View, one: Asked, behind: tuple[str, ...], todo: tuple[str, ...]) -> tuple[ScratchVisit, ...]:
    """Return one for each of env.py's visits; only that of `one` has revisions to run."""
    found = []
    for visited in view.scripts.visited:
        identity = visited.database.identity
        own = (behind, todo) if identity.rows_key == one.key else ((), ())
        found.append(ScratchVisit(identity.version_table_schema, identity.version_table, *own))
    return tuple(found)


def copied(view: View, one: Asked, place: Place, rows: Sequence[str], bench: Bench) -> Copy | Unavailable:
    """Make `place` a copy of the live schema whose version table has `rows`.

    Raises:
        RescueError: the scratch server cannot be used.
    """
    identity = one.visited.database.identity
    server = bench.server(one.visited)
    kind = dialects.of(identity.dialect).scratch
    guest = bench.guest(place, view)
    return kind.copied(server, identity, place.database, rows, lambda: bench.dump(one.visited), guest)


def _not_tried(reason: str) -> Note:
    return Note(
        "upgrade-not-tried",
        f"the pending revisions were not tried on a copy of the schema: {reason}",
        "what would fail on this database is unknown",
    )
