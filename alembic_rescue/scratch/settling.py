"""Decide whether two texts of a definition are equivalent: the scratch server loads both at the live position."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from alembic_rescue import errors
from alembic_rescue.evidence.live import Answer, Settled, Text
from alembic_rescue.inspection import View
from alembic_rescue.model import Note
from alembic_rescue.scratch.bench import Bench, address_of
from alembic_rescue.scratch.cache import Cache
from alembic_rescue.scratch.chain import ON_SCRATCH, Asked, basis_of, hear_steps, load_baseline
from alembic_rescue.scratch.trial import visits_of
from alembic_rescue.worker import sources


@dataclass(frozen=True)
class Settling:
    """The result of :func:`settle`."""

    answers: Settled
    """The server's answers; None for a text that it could not be asked about."""
    notes: tuple[Note, ...] = ()
    """Why it could not be asked."""


NOTHING = Settling({})
"""The result if there is nothing to ask."""


def settle(
    view: View, one: Asked, texts: Sequence[Text], position: int, over: Collection[str], bench: Bench
) -> Settling:
    """Ask the server.  Never raises: a failure to ask becomes a note.

    Args:
        texts: the texts that differ.
        position: position of the live database, as the number of revisions in question that are applied.
        over: revisions that fail on the scratch database and are stamped over there.
    """
    files = {file.revision: file for file in view.scripts.scripts}
    ran = (*one.behind, *one.todo[:position])
    cache = Cache.of(bench.project)
    basis = basis_of(view, one, bench)
    at = cache.keys(basis, [files[revision] for revision in ran])[-1:] or (json.dumps(basis, sort_keys=True),)
    keys = {text: sources.digest([*at, text.object.kind, text.object.name, *text[1:]]) for text in texts}
    answers: dict[Text, Answer] = {}
    for text, key in keys.items():
        found, answer = cache.answer(key)
        if found:
            answers[text] = answer
    asked = [text for text in texts if text not in answers]
    if asked:
        try:
            told = _asked(view, one, asked, ran, over, bench)
        except errors.RescueError as error:
            return Settling({**answers, **dict.fromkeys(asked)}, (_not_settled(error.message),))
        for text, answer in zip(asked, told, strict=True):
            answers[text] = answer
            cache.keep_answer(keys[text], answer)
    return Settling(answers)


def _not_settled(reason: str) -> Note:
    return Note(
        "texts-not-compared",
        f"the scratch server could not compare definitions that are spelled differently: {reason}",
        "objects that differ only in that are unverifiable",
    )


def _asked(
    view: View, one: Asked, texts: Sequence[Text], ran: tuple[str, ...], over: Collection[str], bench: Bench
) -> Sequence[Answer]:
    places = bench.placed(view, "_settled")
    load_baseline(view, places, bench)
    _, own = bench.route(places[address_of(one.visited)])
    chain: dict[str, Any] = {"visits": visits_of(view, one, ran, ()), "stamped_over": tuple(over)}
    asked: dict[str, Any] = {
        "dialect": one.visited.database.identity.dialect,
        "scratch_database": own,
        "texts": tuple(tuple(text) for text in texts),
    }
    told: Sequence[Answer]
    if bench.lacks_driver:
        arrived = bench.run("arrive", places, view, hear_steps(bench, ON_SCRATCH), **chain)
        told = bench.ask_server("compare", **asked) if arrived else [None] * len(texts)
    else:
        told = bench.run("settle", places, view, hear_steps(bench, ON_SCRATCH), **chain, **asked)
    return told
